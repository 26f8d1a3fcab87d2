# SPDX-License-Identifier: Apache-2.0
"""Data sets as lists of files: what a layout's class has to say is where the files are and how depth is stored."""

from __future__ import annotations

from abc import abstractmethod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.frame import Frame
from ssma_ros.kernels.shared.resampling import nearest
from ssma_ros.sensors import SENSORS
from ssma_ros.training.datasets.base import FrameDataset, check_size
from ssma_ros.training.datasets.cameras import read_other
from ssma_ros.training.datasets.images import read_pixels, read_sensor
from ssma_ros.training.datasets.label_images import read_label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.frame import Intrinsics
    from ssma_ros.labels import LabelSet
    from ssma_ros.sensors import Reading


class SamplePaths:
    """Files of one sample.

    Args:
        name: unique in the split.
        label: label image, or None where nobody has labelled the sample.
        camera: calibration file, or None.
        images: by sensor its image, None where the data set has no such sensor.

    Attributes:
        images: those that are there, in the order of the table of sensors.
        others: by sensor the camera file of its own, where its image is not in the driving camera's pixels.
    """

    def __init__(self, name: str, label: Path | None, camera: Path | None = None, **images: Path | None) -> None:
        self.name, self.label, self.camera = name, label, camera
        self.others: dict[str, Path] = {}
        self.images: dict[str, Path] = {s: path for s in SENSORS if (path := images.pop(s, None)) is not None}
        assert not images, f"no sensors: {', '.join(images)}"

    @property
    def files(self) -> list[Path]:
        """All that are there: images, the calibrations, and last the label."""
        others = (self.camera, *self.others.values(), self.label)
        return [*self.images.values(), *(path for path in others if path is not None)]


class PathDataset(FrameDataset):
    """A split given by the files of its samples. Every file is looked for at the start.

    All images are brought to the size of the colour image (of the first sensor where there is none); a data set whose
    images differ in size says so with ``may_resize``.
    """

    may_resize = False
    #: By sensor how raw values are read.
    readings: Mapping[str, Reading] = MappingProxyType({})

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

    def _read_depth(self, sample: SamplePaths) -> NDArray[np.float32] | None:
        """H×W metres, 0 = no reading, where a layout stores depth in a way of its own; None = as ``readings`` say."""
        return None

    def _read_label(self, path: Path) -> NDArray[np.uint8]:
        """H×W train ids."""
        return read_label(path, self.labels)

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
        for name, path in sample.images.items():
            image = self._read_depth(sample) if name == "depth" else None
            if image is None:
                read_sensor(path, name, frame, self.readings)
                image = frame.images[name]
            if name in sample.others:
                frame.cameras[name] = read_other(sample.others[name])
                own = frame.cameras[name].intrinsics
                check_size(image, (own.width, own.height), path, "image")
                frame.images[name] = image
                continue
            frame.images[name] = self._fit(image, size, path)
            size = size or _size(image)
        assert size is not None, "a sample has at least one sensor of the driving camera"
        frame.intrinsics = self._intrinsics(sample, *size)
        frame.gravity = self._gravity(sample)
        return frame

    def _gravity(self, sample: SamplePaths) -> NDArray[np.float64] | None:
        """"Down" in the optical frame, or None where the layout has none."""
        return None

    def label(self, index: int) -> NDArray[np.uint8]:
        """Train ids at the size of the first image; see :class:`FrameDataset`."""
        sample = self._samples[index]
        if sample.label is None:
            raise SsmaError(f"data set {self.root}: sample {sample.name} has no label, expected a labelled data set")
        first = next(iter(sample.images.values()))
        size = _size(read_pixels(first, "image"))
        return self._fit(self._read_label(sample.label), size, sample.label)

    def _fit(self, image: NDArray[Any], size: tuple[int, int] | None, path: Path) -> NDArray[Any]:
        """``image`` at ``size``: to the nearest pixel where sizes may differ, refused where they may not."""
        if size is None or _size(image) == size:
            return image
        if not self.may_resize:
            check_size(image, size, path, "image")
        return nearest(image, *size)


def _size(image: NDArray[Any]) -> tuple[int, int]:
    return int(image.shape[1]), int(image.shape[0])


def require_folder(root: Path, name: str) -> Path:
    """``root/name``.

    Raises:
        SsmaError: no such folder.
    """
    folder = root / name
    if not folder.is_dir():
        there = next(p for p in folder.parents if p.is_dir())
        found = ", ".join(sorted(p.name for p in there.iterdir() if p.is_dir())) or "no folder"
        raise SsmaError(f"data set {root}: no folder {name}, expected it in {there}, which holds {found}")
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
