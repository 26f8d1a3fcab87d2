# SPDX-License-Identifier: Apache-2.0
"""What every format has in common: pictures with masks, classes by name, regions painted one over the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.errors import SsmaError, expected_one_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.labels import LabelSet

#: Name of a class by which people unlabel what is below it; labelme's own word.
IGNORE = "__ignore__"


@dataclass(frozen=True)
class Painted:
    """A picture and its mask on the way out.

    Attributes:
        name: of the sample.
        picture: the file.
        mask: H×W uint8 class ids, the ignore id where nothing is painted.
        link: path of the picture from the folder of the result.
        by_network: whether a network painted it and nobody has looked at it yet.
    """

    name: str
    picture: Path
    mask: NDArray[np.uint8]
    link: str = ""
    by_network: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.mask.shape[1], self.mask.shape[0]


@dataclass(frozen=True)
class Read:
    """A mask on the way in.

    Attributes:
        name: of its picture as the file calls it, without folders and suffix.
        mask: H×W uint8 class ids, the ignore id where nothing is painted.
    """

    name: str
    mask: NDArray[np.uint8]


@dataclass(frozen=True)
class Names:
    """Classes as a file names them.

    Attributes:
        labels: to which they belong.
        renamed: name in the file → class of the label set, or :data:`IGNORE`.
    """

    labels: LabelSet
    renamed: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, target in self.renamed.items():
            if target not in (*self.labels.names, IGNORE):
                known = expected_one_of(target, (*self.labels.names, IGNORE))
                raise SsmaError(f"map {name}={target}: {known}")

    def id_of(self, name: str, where: str) -> int:
        """Class id of a name, or the ignore id.

        Raises:
            SsmaError: no class of the label set is called so.
        """
        meant = self.renamed.get(name, name)
        if meant == IGNORE:
            return self.labels.ignore_id
        if meant not in self.labels.names:
            known = expected_one_of(name, self.labels.names)
            raise SsmaError(f"{where}: class is '{name}', {known}; --map '{name}=CLASS' or --map '{name}={IGNORE}' "
                            "says what it is")
        return self.labels.names.index(meant)


def unpainted(width: Any, height: Any, labels: LabelSet, where: str) -> NDArray[np.uint8]:
    """A mask without a label.

    Raises:
        SsmaError: no such size.
    """
    good = isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0
    if not good:
        raise SsmaError(f"{where}: size is {width}x{height}, expected pixels of the picture")
    return np.full((height, width), labels.ignore_id, np.uint8)


@dataclass(frozen=True)
class Region:
    """Connected pixels of one class, which share edges.

    Attributes:
        class_id: of the mask.
        rows, columns: where it lies in the picture.
        inside: whether each pixel there is in the region.
    """

    class_id: int
    rows: slice
    columns: slice
    inside: NDArray[np.bool_]

    def within(self, image: NDArray[Any]) -> NDArray[Any]:
        """The part of a picture-sized array, a view on it, that ``inside`` lies on."""
        return image[self.rows, self.columns]


def regions(mask: NDArray[np.uint8], ids: Sequence[int]) -> Iterator[Region]:
    """The regions of some classes of a mask of H×W ids."""
    for each in ids:
        of_class = (mask == each).astype(np.uint8)
        if not of_class.any():
            continue
        _, numbers, facts, _ = cv2.connectedComponentsWithStats(of_class, connectivity=4)
        for number, (x, y, width, height, _) in enumerate(facts.tolist()[1:], 1):
            rows, columns = slice(y, y + height), slice(x, x + width)
            yield Region(each, rows, columns, numbers[rows, columns] == number)
