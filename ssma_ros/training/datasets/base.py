"""What every data set gives: frames as a camera driver would give them, and checked labels."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.frame import Intrinsics

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

    def group(self, index: int) -> str | None:
        """What a sample has in common with others that are scored together, for example the condition it was taken
        under; None where the layout tells nothing."""
        return None

    def settings(self) -> Mapping[str, Any]:
        """What decides how the files are read and is not in them, JSON-ready; only what is not as by default."""
        return {}

    def digest(self) -> str:
        """SHA-256 over names and sizes of all files, the contents of every 50th sample and :meth:`settings`: quick, and
        enough to notice another version of the data."""
        digest = hashlib.sha256()
        for index in range(len(self)):
            for path in self.files(index):
                digest.update(f"{path.relative_to(self.root)}:{path.stat().st_size}\n".encode())
                if index % 50 == 0:
                    digest.update(path.read_bytes())
        settings = dict(self.settings())
        if settings:  # without any the digest is that of the files alone, so that caches made before are found
            digest.update(json.dumps(settings, sort_keys=True).encode())
        return digest.hexdigest()


def read_image(path: Path, flags: int, what: str) -> NDArray[Any]:
    """An image with OpenCV.

    Raises:
        SsmaError: missing or unreadable file.
    """
    if not path.is_file():
        raise SsmaError(f"{what} {path}: no such file")
    image = cv2.imread(str(path), flags)
    if image is None:
        raise SsmaError(f"{what} {path}: cannot be read as an image")
    return image


def read_gray(path: Path, what: str, *dtypes: str) -> NDArray[Any]:
    """A one-channel image in one of ``dtypes``.

    Raises:
        SsmaError: missing, unreadable, or another kind of image.
    """
    image = read_image(path, cv2.IMREAD_UNCHANGED, what)
    if image.ndim != 2 or image.dtype.name not in dtypes:
        raise SsmaError(
            f"{what} {path}: has shape {image.shape} and type {image.dtype}, "
            f"expected one channel of {' or '.join(dtypes)}"
        )
    return image


def map_label(raw: NDArray[Any], labels: LabelSet, path: Path) -> NDArray[np.uint8]:
    """Raw ids → train ids.

    Raises:
        SsmaError: an id that the label set does not know; the message has the id, the count and the file.
    """
    table = np.full(int(max(raw.max(initial=0), max(labels.raw_ids, default=0))) + 1, -1, np.int16)
    for raw_id, train_id in labels.raw_ids.items():
        if raw_id >= 0:
            table[raw_id] = train_id
    mapped = table[raw]
    unknown = mapped < 0
    if unknown.any():
        ids, counts = np.unique(raw[unknown], return_counts=True)
        raise SsmaError(
            f"label image {path}: {counts[0]} pixels have id {ids[0]}, which label set '{labels.name}' does not know "
            f"(it knows {', '.join(map(str, sorted(labels.raw_ids)))})"
        )
    return mapped.astype(np.uint8)


def read_intrinsics(path: Path) -> Intrinsics:
    """Intrinsics from a JSON file with fx, fy, cx, cy, width, height (first pixel centre at 0).

    Raises:
        SsmaError: missing file, field, or an impossible value.
    """
    try:
        document: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Intrinsics(
            fx=float(document["fx"]), fy=float(document["fy"]), cx=float(document["cx"]), cy=float(document["cy"]),
            width=int(document["width"]), height=int(document["height"]),
        )
    except FileNotFoundError:
        raise SsmaError(f"camera file {path}: no such file, expected JSON with fx, fy, cx, cy, width, height") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SsmaError(f"camera file {path}: {type(error).__name__} at {error}, "
                        "expected JSON with fx, fy, cx, cy, width, height") from None


def check_size(image: NDArray[Any], expected: tuple[int, int], path: Path, what: str) -> None:
    """All images of a sample have one size (width, height), which is also the calibration's.

    Raises:
        SsmaError: this one has another.
    """
    size = (image.shape[1], image.shape[0])
    if size != expected:
        raise SsmaError(f"{what} {path}: is {size[0]}x{size[1]}, expected {expected[0]}x{expected[1]}")
