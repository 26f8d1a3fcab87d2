# SPDX-License-Identifier: Apache-2.0
"""Freiburg Forest, annotated part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.frame import Intrinsics
from ssma_ros.labels import apply_raw_ids
from ssma_ros.training.datasets.images import pictures_in, read_gray
from ssma_ros.training.datasets.label_images import read_raw_label
from ssma_ros.training.datasets.paths import PathDataset, SamplePaths, require_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.labels import LabelSet

#: R, G, B of the annotation → raw id; tree and vegetation share one.
_COLORS = {
    (255, 255, 255): 0, (170, 170, 170): 1, (0, 255, 0): 2, (102, 102, 51): 3, (0, 60, 0): 3, (0, 120, 255): 4,
    (0, 0, 0): 5,
}
_DEFAULTS: Mapping[str, Any] = {"depth_scale": 0.2, "focal": None, "center": None}


class FreiburgForestDataset(PathDataset):
    """``SPLIT/{rgb, GT_color, nir_gray, depth_gray}/KEY_….*``; SPLIT is ``train`` or ``test``.

    Files of a sample share what comes before the first underscore of their names, as in the download:
    ``rgb/KEY_Clipped.jpg``, ``GT_color/KEY_mask.png`` (or ``KEY_Clipped.png``), ``nir_gray/KEY.tif`` and
    ``depth_gray/KEY_Clipped_redict_depth_gray.png``. Near infrared and depth are used
    where their folders exist. Images of a sample may differ a little in size and are brought to the colour image's.
    The set's depth is estimated, 8-bit and without a scale, and no intrinsics come with it: for HHA both are to be
    given.

    Args:
        depth_scale: metres of one grey level.
        focal, center: of the colour image in pixels, center defaults to its middle; None = no intrinsics.
    """

    may_resize = True

    def __init__(
        self,
        root: str | Path,
        split: str,
        labels: LabelSet,
        *,
        depth_scale: float = 0.2,
        focal: float | None = None,
        center: Sequence[float] | None = None,
    ) -> None:
        self._depth_scale, self._focal, self._center = depth_scale, focal, center
        super().__init__(root, split, labels)

    def settings(self) -> Mapping[str, Any]:
        """Scale of depth and intrinsics."""
        center = None if self._center is None else [float(v) for v in self._center]
        chosen = {"depth_scale": float(self._depth_scale), "focal": self._focal, "center": center}
        return {name: value for name, value in chosen.items() if value != _DEFAULTS[name]}

    def _list_samples(self) -> list[SamplePaths]:
        color = _by_key(require_folder(self.root, f"{self.split}/rgb"))
        others = {}
        for name, folder in (("label", "GT_color"), ("nir", "nir_gray"), ("depth", "depth_gray")):
            path = self.root / self.split / folder
            if name == "label" or path.is_dir():
                others[name] = _by_key(require_folder(self.root, f"{self.split}/{folder}"))
        samples = []
        for key, image in sorted(color.items()):
            for name, found in others.items():
                if key not in found:
                    raise SsmaError(f"data set {self.root}: no {name} image for {self.split}/rgb/{image.name}")
            samples.append(SamplePaths(name=key, color=image, **{name: found[key] for name, found in others.items()}))
        return samples

    def _read_depth(self, sample: SamplePaths) -> NDArray[np.float32]:
        raw = read_gray(sample.images["depth"], "depth image", ("uint8", "uint16"))
        return raw.astype(np.float32) * np.float32(self._depth_scale)

    def _read_label(self, path: Path) -> NDArray[np.uint8]:
        image = read_raw_label(path)
        if image.ndim != 3:
            raise SsmaError(f"label image {path}: has one channel, expected the colours of the set's annotation")
        code = image.astype(np.int32) @ np.array([65536, 256, 1])
        raw = np.full(code.shape, 254, np.uint8)
        for (red, green, blue), raw_id in _COLORS.items():
            raw[code == blue + 256 * green + 65536 * red] = raw_id
        unknown = code[raw == 254]
        if unknown.size:
            first = int(unknown[0])
            color = (first >> 16, first >> 8 & 255, first & 255)
            raise SsmaError(f"label image {path}: {unknown.size} pixels have a colour that is no class, "
                            f"the first R, G, B = {color}")
        return apply_raw_ids(raw, self.labels, path)

    def _intrinsics(self, sample: SamplePaths, width: int, height: int) -> Intrinsics | None:
        if self._focal is None:
            return None
        cx, cy = self._center or ((width - 1) / 2, (height - 1) / 2)
        return Intrinsics(fx=self._focal, fy=self._focal, cx=cx, cy=cy, width=width, height=height)


def _by_key(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for name, path in pictures_in(folder).items():
        key = name.partition("_")[0]
        if key in found:
            raise SsmaError(f"data set folder {folder}: {found[key].name} and {path.name} are one sample, expected one "
                            "picture of each key (what comes before the first underscore)")
        found[key] = path
    return found
