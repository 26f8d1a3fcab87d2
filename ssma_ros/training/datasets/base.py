# SPDX-License-Identifier: Apache-2.0
"""What every data set gives: frames as a camera driver would give them, and checked labels."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.documents import load_json, read
from ssma_ros.encodings.hha import unit_vector
from ssma_ros.errors import SsmaError
from ssma_ros.frame import Intrinsics
from ssma_ros.options import option

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ssma_ros.frame import Frame
    from ssma_ros.labels import LabelSet


class FrameDataset(ABC):
    """A split of a labelled data set. Indexing is random access and free of side effects.

    Args:
        root: folder of the data set.
        split: for example ``train``.
        labels: the label set whose raw ids the label images hold.
    """

    def __init__(self, root: str | Path, split: str, labels: LabelSet) -> None:
        self.root = Path(root)
        self.split = split
        self.labels = labels
        if not self.root.is_dir():
            raise SsmaError(f"data set {self.root}: no such folder, expected the root of a {type(self).__name__}")

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Name of a sample, unique in the split."""

    @abstractmethod
    def frame(self, index: int) -> Frame:
        """The sensors' images of a sample.

        Raises:
            SsmaError: a file is missing, unreadable or of the wrong kind; the message names it.
        """

    @abstractmethod
    def label(self, index: int) -> NDArray[np.uint8]:
        """H×W train ids (or the ignore id).

        Raises:
            SsmaError: the file is missing or holds an id that the label set does not know.
        """

    @abstractmethod
    def files(self, index: int) -> Sequence[Path]:
        """Files a sample is made from, for the data's digest."""

    def label_file(self, index: int) -> Path:
        """The label image among :meth:`files`."""
        return self.files(index)[-1]

    def group(self, index: int) -> str | None:
        """What a sample has in common with others that are scored together, for example the condition it was taken
        under; None where the layout tells nothing."""
        return None

    def settings(self) -> Mapping[str, Any]:
        """What decides how the files are read and is not in them, JSON-ready; only what is not as by default."""
        return {}

    def digest(self) -> str:
        """SHA-256 over names and sizes of all files, the contents of all labels and of every 50th sample, and
        :meth:`settings`: quick, and enough to notice another version of the data."""
        digest = hashlib.sha256()
        for index in range(len(self)):
            label = self.label_file(index)
            for path in self.files(index):
                digest.update(f"{path.relative_to(self.root)}:{path.stat().st_size}\n".encode())
                if index % 50 == 0 or path == label:
                    digest.update(path.read_bytes())
        digest.update(json.dumps(dict(self.settings()), sort_keys=True).encode())
        return digest.hexdigest()

    def state(self) -> str:
        """SHA-256 over which file each is and when it was last changed: what a cache here depends on beside
        :meth:`digest`. Inode and time of change tell an edit that keeps the size and puts the time of writing back."""
        stats = [path.stat() for index in range(len(self)) for path in self.files(index)]
        facts = [(s.st_ino, s.st_ctime_ns, s.st_mtime_ns, s.st_size) for s in stats]
        return hashlib.sha256(repr(facts).encode()).hexdigest()


def read_intrinsics(path: Path) -> tuple[Intrinsics, NDArray[np.float64] | None]:
    """Intrinsics from a JSON file with fx, fy, cx, cy, width, height (first pixel centre at 0), and ``gravity``;
    ``baseline``, which synthesized sets have, is not needed.

    Returns:
        The intrinsics, and "down" in the camera's optical frame where the file has ``gravity``: [x, y, z], or None.

    Raises:
        SsmaError: missing file, unknown or missing field, or an impossible value.
    """
    expected = "one with fx, fy, cx, cy, width, height, and gravity where it is known"
    camera = read(_CameraFile, load_json(path, "camera file", expected), f"camera file {path}")
    facts = {name: value for name, value in vars(camera).items() if name not in ("gravity", "baseline")}
    gravity = camera.gravity
    try:
        return Intrinsics(**facts), None if gravity is None else unit_vector(np.asarray(gravity))
    except ValueError as error:
        raise SsmaError(f"camera file {path}: {error}") from None


@dataclass(frozen=True)
class PinholeFile:
    """What every camera file says of the camera itself."""

    fx: float = option(text="Pixels.", above=0)
    fy: float = option(text="Pixels.", above=0)
    cx: float = option(text="Pixels; the first pixel's centre is 0.")
    cy: float = option(text="Pixels.")
    width: int = option(text="Pixels.", low=1)
    height: int = option(text="Pixels.", low=1)


@dataclass(frozen=True)
class _CameraFile(PinholeFile):
    gravity: tuple[float, float, float] | None = option(None, "Down, in the camera's optical frame.")
    baseline: float | None = option(None, "Metres between a stereo pair's cameras; depth needs it no more.", above=0)


def check_size(image: NDArray[Any], expected: tuple[int, int], path: Path, what: str) -> None:
    """All images of a sample have one size (width, height), which is also the calibration's.

    Raises:
        SsmaError: this one has another.
    """
    size = (image.shape[1], image.shape[0])
    if size != expected:
        raise SsmaError(f"{what} {path}: is {size[0]}x{size[1]}, expected {expected[0]}x{expected[1]}")
