"""Data sets as lists of files: what a layout's class has to say is where the files are and how depth is stored."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.frame import Frame
from ssma_ros.training.datasets.base import FrameDataset, check_size, map_label, read_gray, read_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.frame import Intrinsics
    from ssma_ros.labels import LabelSet


@dataclass(frozen=True)
class SamplePaths:
    """Files of one sample.

    Attributes:
        name: unique in the split.
        label: label image.
        color, depth, nir: images, None where the data set has no such sensor.
        camera: calibration file, or None.
    """

    name: str
    label: Path
    color: Path | None = None
    depth: Path | None = None
    nir: Path | None = None
    camera: Path | None = None

    @property
    def files(self) -> list[Path]:
        """All that are there, colour first."""
        return [p for p in (self.color, self.depth, self.nir, self.label, self.camera) if p is not None]


class PathDataset(FrameDataset):
    """A split given by the files of its samples. Every file is looked for at the start.

    All images are brought to the size of the colour image (of the first sensor where there is none); a data set whose
    images differ in size says so with ``may_resize``.
    """

    may_resize = False

    def __init__(self, root: str | Path, split: str, labels: LabelSet) -> None:
        super().__init__(root, split, labels)
        self._samples = self._list_samples()
        if not self._samples:
            raise SsmaError(f"data set {self.root}: split '{split}' has no samples")
        for sample in self._samples:
            for path in sample.files:
                if not path.is_file():
                    raise SsmaError(
                        f"data set {self.root}: {path.relative_to(self.root)} is missing (sample {sample.name})"
                    )

    @abstractmethod
    def _list_samples(self) -> list[SamplePaths]:
        """The split's samples in a fixed order; called once, when ``root``, ``split`` and ``labels`` are set."""

    def _read_depth(self, sample: SamplePaths) -> NDArray[np.float32]:
        """H×W metres, 0 = no reading; 16-bit millimetres unless a layout says otherwise."""
        assert sample.depth is not None
        return millimetres(read_gray(sample.depth, "depth image", "uint16"))

    def _read_raw_label(self, sample: SamplePaths) -> NDArray[Any]:
        """H×W raw ids; an 8- or 16-bit grey image unless a layout says otherwise."""
        return read_gray(sample.label, "label image", "uint8", "uint16")

    def _intrinsics(self, sample: SamplePaths, width: int, height: int) -> Intrinsics | None:
        """Of the sample's colour image, which is ``width`` × ``height``; None where the layout has none."""
        return None

    def __len__(self) -> int:
        return len(self._samples)

    def name(self, index: int) -> str:
        """Of the sample, unique in the split."""
        return self._samples[index].name

    def files(self, index: int) -> Sequence[Path]:
        """Those the sample is made from, colour first."""
        return self._samples[index].files

    def frame(self, index: int) -> Frame:
        """The sensors' images; see :class:`FrameDataset`."""
        sample = self._samples[index]
        frame = Frame(stamp_ns=0, frame_id="camera")
        size: tuple[int, int] | None = None
        if sample.color is not None:
            frame.color = np.asarray(read_image(sample.color, cv2.IMREAD_COLOR, "colour image"), np.uint8)
            size = _size(frame.color)
        if sample.depth is not None:
            depth = self._fit(self._read_depth(sample), size, sample.depth)
            frame.depth, size = depth, size or _size(depth)
        if sample.nir is not None:
            nir = self._fit(read_gray(sample.nir, "near-infrared image", "uint8", "uint16"), size, sample.nir)
            frame.nir, size = nir, size or _size(nir)
            frame.nir_full_scale = 255.0 if nir.dtype == np.uint8 else 65535.0
        assert size is not None, "a sample has at least one sensor"
        frame.intrinsics = self._intrinsics(sample, *size)
        return frame

    def label(self, index: int) -> NDArray[np.uint8]:
        """Train ids at the size of the first image; see :class:`FrameDataset`."""
        sample = self._samples[index]
        first = sample.files[0]
        size = _size(read_image(first, cv2.IMREAD_UNCHANGED, "image"))
        raw = self._fit(self._read_raw_label(sample), size, sample.label)
        return map_label(raw, self.labels, sample.label)

    def _fit(self, image: NDArray[Any], size: tuple[int, int] | None, path: Path) -> NDArray[Any]:
        """``image`` at ``size``: to the nearest pixel where sizes may differ, refused where they may not."""
        if size is None or _size(image) == size:
            return image
        if not self.may_resize:
            check_size(image, size, path, "image")
        return cv2.resize(image, size, interpolation=cv2.INTER_NEAREST_EXACT)


def _size(image: NDArray[Any]) -> tuple[int, int]:
    return int(image.shape[1]), int(image.shape[0])


def millimetres(raw: NDArray[Any]) -> NDArray[np.float32]:
    """16-bit millimetres → float32 metres."""
    return np.multiply(raw, np.float32(1e-3), dtype=np.float32)


def require_folder(root: Path, name: str) -> Path:
    """``root/name``.

    Raises:
        SsmaError: no such folder.
    """
    folder = root / name
    if not folder.is_dir():
        raise SsmaError(f"data set {root}: no folder {name}")
    return folder


def read_lines(path: Path, what: str) -> list[str]:
    """Non-empty lines of a text file.

    Raises:
        SsmaError: missing or unreadable.
    """
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise SsmaError(f"{what} {path}: cannot be read ({type(error).__name__})") from None


def read_numbers(path: Path, what: str, count: int) -> list[float]:
    """At least ``count`` whitespace-separated numbers of a text file.

    Raises:
        SsmaError: missing file, or something else in it.
    """
    words = " ".join(read_lines(path, what)).split()
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        raise SsmaError(f"{what} {path}: {error}, expected numbers") from None
    if len(numbers) < count:
        raise SsmaError(f"{what} {path}: holds {len(numbers)} numbers, expected at least {count}")
    return numbers
