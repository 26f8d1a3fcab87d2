# SPDX-License-Identifier: Apache-2.0
"""Small samples and data sets for the trainer's tests."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from ssma_ros.contract import Contract, Stream
from ssma_ros.labels import load_label_set
from ssma_ros.training.datasets.cache import Sample


class MemorySamples:
    """Samples held in memory."""

    def __init__(self, samples: list[Sample], digest: str = "memory") -> None:
        self._samples = samples
        self.digest = digest

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]

    def name(self, index: int) -> str:
        return str(index)

    def blank(self, index: int) -> dict[str, str]:
        return {str(i): "made so" for i, there in enumerate(self._samples[index].present) if not there}

    def group(self, index: int) -> str | None:
        return ("even", "odd")[index % 2]


@pytest.fixture(scope="session")
def contract() -> Contract:
    """Two streams at 64×32, five classes."""
    return Contract(
        width=64,
        height=32,
        streams=(
            Stream("rgb", "bgr", mean=(128, 128, 128), scale=(0.01, 0.01, 0.01)),
            Stream("nir", "nir", mean=(128, 128, 128), scale=(0.01, 0.01, 0.01)),
        ),
        labels=load_label_set("synthetic_forest"),
        network={"name": "SSMA", "preset": "forest-mobilenet", "modalities": ["rgb", "nir"], "width": 0.25},
    )


@pytest.fixture(scope="session")
def samples() -> MemorySamples:
    """Pictures whose columns are coloured by class, so that they can be learnt."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(6):
        label = np.repeat(rng.integers(0, 5, 8).astype(np.uint8), 8)[None, :].repeat(32, axis=0)
        label = np.ascontiguousarray(label)
        rgb = np.stack([label * 50, 255 - label * 50, label * 20], axis=2).astype(np.uint8)
        nir = np.repeat((label * 40)[..., None], 3, axis=2).astype(np.uint8)
        made.append(Sample((rgb, nir), (True, True), label))
    return MemorySamples(made)


@pytest.fixture
def forest_folder(tmp_path: Path) -> Path:
    """The generic layout with three samples in train and two in val, all sensors."""
    root = tmp_path / "forest"
    rng = np.random.default_rng(1)
    for split, count in (("train", 3), ("val", 2)):
        for name in ("rgb", "depth", "nir", "label"):
            (root / split / name).mkdir(parents=True)
        for i in range(count):
            pictures = {
                "rgb": rng.integers(0, 256, (32, 64, 3), np.uint8),
                "depth": rng.integers(500, 9000, (32, 64)).astype(np.uint16),
                "nir": rng.integers(0, 256, (32, 64), np.uint8),
                "label": rng.integers(0, 5, (32, 64), np.uint8),
            }
            for name, picture in pictures.items():
                assert cv2.imwrite(str(root / split / name / f"{i:03d}.png"), picture)
    camera = {"fx": 50.0, "fy": 50.0, "cx": 31.5, "cy": 15.5, "width": 64, "height": 32}
    (root / "camera.json").write_text(json.dumps(camera))
    return root
