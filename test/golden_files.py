# SPDX-License-Identifier: Apache-2.0
"""Where the goldens lie: figures of the published implementations that ours must meet.

``test/goldens`` holds a cut that may be copied (its README.md says what each file is); ``shared/data/golden`` beside
the project holds more, made from images whose licences forbid a copy.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent / "goldens"
BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data" / "golden"
#: Kernels whose last two axes are output × input: the transposed convolutions.
TRANSPOSED = ("conv41", "conv16", "conv5")

DEPTH_FILLS = (
    "ipbasic_seeded_lidar", "ipbasic_seeded_stereo",
    "ipbasic_kitti_velo_crop", "ipbasic_nyu_raw_crop", "ipbasic_rgbd_mm_crop", "ipbasic_stereo_holes_160x120",
)  # fmt: skip
HHA = ("hha_seeded_dense", "hha_seeded_holes", "hha_nyu_crop_DD", "hha_nyu_crop_DRD")


def golden(name: str) -> np.lib.npyio.NpzFile:
    """The arrays of the golden ``name``; the test skips where the file is not in the repository nor beside it."""
    for folder in (HERE, BESIDE):
        path = folder / f"{name}.npz"
        if path.is_file():
            arrays: np.lib.npyio.NpzFile = np.load(path)
            return arrays
    pytest.skip("shared/data/golden (made from images that may not be copied) is not beside the project")


def _uniform(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of -1 to 1 that follow from ``name`` alone, the same on every platform."""
    return np.random.RandomState(zlib.crc32(name.encode())).random_sample(shape) * 2 - 1


def network_variables(name: str) -> dict[str, np.ndarray]:
    """TensorFlow variables of the golden network ``name`` by their names, float32 in TensorFlow's layouts.

    Kernels are uniform with He's variance and biases within 0.3, each from a generator seeded with the CRC-32 of the
    variable's name, as the network that made the goldens had them; the values of batch normalisation are stored.
    """
    stored = golden(f"{name}_bn")
    variables = {}
    for entry in json.loads((HERE / f"{name}_variables.json").read_text(encoding="utf-8")):
        key, shape = entry["name"], tuple(entry["shape"])
        if key.endswith("/weights"):
            inputs = shape[3] if key.split("/")[-2] in TRANSPOSED else shape[2]
            bound = np.sqrt(6.0 / (shape[0] * shape[1] * inputs))
            variables[key] = (_uniform(key, shape) * bound).astype(np.float32)
        elif key.endswith("/biases"):
            variables[key] = (_uniform(key, shape) * 0.3).astype(np.float32)
        else:
            variables[key] = stored[key]
    return variables


def network_images(name: str) -> list[np.ndarray]:
    """The golden network's inputs, H×W×3 uint8."""
    io = golden(f"{name}_128x64_io")
    return [io[key] for key in sorted(io.files) if key.startswith("input")]


def softmax_error(name: str, softmax: np.ndarray) -> float:
    """Largest difference of 1×H×W×C ``softmax`` from the golden network's: at a quarter of the pixels by the golden
    of the repository, at all of them where the whole picture lies beside the project."""
    io = golden(f"{name}_128x64_io")
    classes = softmax.shape[-1]
    assert softmax.shape == (1, 64, 128, classes)
    error = np.abs(softmax.reshape(-1, classes)[io["pixels"]] - io["softmax"]).max()
    whole = BESIDE / f"{name}_128x64_io.npz"
    if whole.is_file():
        error = max(error, np.abs(softmax - np.load(whole)["softmax"]).max())
    return float(error)
