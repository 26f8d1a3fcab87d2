# SPDX-License-Identifier: Apache-2.0
"""Synthia: Rand-Cityscapes and the video sequences."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.frame import Intrinsics
from ssma_ros.labels import apply_raw_ids
from ssma_ros.training.datasets.images import read_pixels
from ssma_ros.training.datasets.paths import PathDataset, SamplePaths, read_lines, read_numbers, require_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.labels import LabelSet

#: Focal length and principal point that every camera of Synthia has at 1280×760 (the sequences' intrinsics.txt).
_FOCAL, _CX, _CY = 532.740352, 640.0, 380.0


class _Synthia(PathDataset):
    """What both forms share: depth in centimetres, ids in the first of three channels."""

    def _read_depth(self, sample: SamplePaths) -> NDArray[np.float32]:
        path = sample.images["depth"]
        raw = read_pixels(path, "depth image")
        if raw.dtype != np.uint16:
            raise SsmaError(f"depth image {path}: type is {raw.dtype}, expected uint16 centimetres")
        one = raw if raw.ndim == 2 else raw[..., 0]
        metres = one.astype(np.float32) * np.float32(0.01)
        metres[one == np.iinfo(np.uint16).max] = 0.0  # the sky: infinitely far
        return metres

    #: Ids that mean something else here than in SYNTHIA-RAND-CITYSCAPES, whose numbers label sets have.
    renumbered: Mapping[int, int] = MappingProxyType({})

    def _read_label(self, path: Path) -> NDArray[np.uint8]:
        raw = read_pixels(path, "label image")
        # First channel as R, G, B, which OpenCV gives last; the others hold instance numbers.
        raw = raw if raw.ndim == 2 else raw[..., 2]
        changed = raw.copy()
        for here, there in self.renumbered.items():
            changed[raw == here] = there
        return apply_raw_ids(changed, self.labels, path)

    def _intrinsics(self, sample: SamplePaths, width: int, height: int) -> Intrinsics | None:
        if "depth" not in sample.images:
            return None
        focal, cx, cy = _FOCAL, _CX, _CY
        if sample.camera is not None:
            focal, cx, cy = read_numbers(sample.camera, "camera file", 3)[:3]
        return Intrinsics(fx=focal, fy=focal, cx=cx, cy=cy, width=width, height=height)


class SynthiaRandDataset(_Synthia):
    """``RGB/NAME.png``, ``GT/LABELS/NAME.png`` and, where it exists, ``Depth/NAME.png`` (or ``Depth/Depth/NAME.png``).

    The data set has no splits. Where ``ROOT/SPLIT.txt`` exists it lists the names; else every tenth sample by name is
    ``val`` and the others are ``train``.
    """

    def _list_samples(self) -> list[SamplePaths]:
        images = require_folder(self.root, "RGB")
        depth = next((f for f in (self.root / "Depth/Depth", self.root / "Depth") if f.is_dir()), None)
        listing = self.root / f"{self.split}.txt"
        if listing.is_file():
            names = [line.removesuffix(".png") for line in read_lines(listing, "split file")]
        elif self.split in ("train", "val"):
            every = sorted(p.stem for p in images.glob("*.png"))
            names = [n for i, n in enumerate(every) if (i % 10 == 9) == (self.split == "val")]
        else:
            raise SsmaError(
                f"data set {self.root}: split is '{self.split}', expected train, val or a file {listing.name}"
            )
        return [
            SamplePaths(
                name=name, color=images / f"{name}.png", label=self.root / "GT/LABELS" / f"{name}.png",
                depth=None if depth is None else depth / f"{name}.png",
            )
            for name in names
        ]


class SynthiaSequencesDataset(_Synthia):
    """``SEQUENCE/{RGB,Depth,GT/LABELS}/CAMERA/NAME.png`` with ``SEQUENCE/CameraParams/intrinsics.txt``.

    Args:
        sequences: split name → names of its sequence folders, for example
            ``{"train": ["SYNTHIA-SEQS-01-SUMMER"], "val": ["SYNTHIA-SEQS-01-FALL"]}``.
        cameras: folders below RGB.

    The sequences number some classes otherwise than SYNTHIA-RAND-CITYSCAPES: 12 is lane marking (22 there), 13 and 14
    are nothing. They are given the numbers of that set, which the label set ``synthia12`` knows.
    """

    renumbered = MappingProxyType({12: 22, 13: 0, 14: 0})

    def __init__(
        self,
        root: str | Path,
        split: str,
        labels: LabelSet,
        *,
        sequences: Mapping[str, Sequence[str]],
        cameras: Sequence[str] = ("Stereo_Left/Omni_F",),
    ) -> None:
        if split not in sequences:
            raise SsmaError(f"data set {root}: split is '{split}', expected one of {', '.join(sequences)}")
        self._sequences, self._cameras = sequences[split], cameras
        super().__init__(root, split, labels)

    def _list_samples(self) -> list[SamplePaths]:
        return [
            sample
            for sequence in self._sequences
            for camera in self._cameras
            for sample in self._list_sequence(sequence, camera)
        ]

    def _list_sequence(self, sequence: str, camera: str) -> list[SamplePaths]:
        images = require_folder(self.root, f"{sequence}/RGB/{camera}")
        base = self.root / sequence
        depth = base / "Depth" / camera if (base / "Depth").is_dir() else None
        return [
            SamplePaths(
                name=f"{sequence}/{camera}/{image.stem}", color=image, label=base / "GT/LABELS" / camera / image.name,
                depth=None if depth is None else depth / image.name, camera=base / "CameraParams/intrinsics.txt",
            )
            for image in sorted(images.glob("*.png"))
        ]
