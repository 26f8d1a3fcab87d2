# SPDX-License-Identifier: Apache-2.0
"""Loader of label-set files (JSON, one file a set, in ``ssma_ros/labels/data``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssma_ros.documents import load_json, read
from ssma_ros.errors import SsmaError, expected_one_of
from ssma_ros.options import option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Mask value of a pixel that carries no class.
UNLABELLED = 255

_NAME = re.compile("[a-z][a-z0-9_]*")
_DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class LabelClass:
    """One class of a label set.

    Attributes:
        id: value in a mask and channel index in the network's output.
        name: lower-case identifier, usable in a topic name (REP-144 style: letters, digits, underscore).
        color: R, G, B in 0..255.
        traversability: 0 (never drive) to 1 (best ground), or None for indoor sets that state none.
    """

    id: int
    name: str
    color: tuple[int, int, int] = option(text="R, G, B.", low=0, high=255)
    traversability: float | None = option(None, "From 0, never drive, to 1, the best ground.", low=0.0, high=1.0)


@dataclass(frozen=True)
class LabelSet:
    """Classes a network tells apart, in channel order (class ``i`` is channel ``i``).

    Attributes:
        name: identifier of the set.
        classes: in id order, ids 0, 1, … without gaps.
        ignore_id: value of ground-truth pixels that count in neither training nor evaluation.
        void_class: id of a class that the network has but that evaluation leaves out, or None.
        raw_ids: raw id in the data set's label images → train id (or ``ignore_id``).
        description: one sentence for people.
    """

    name: str
    classes: tuple[LabelClass, ...]
    ignore_id: int = UNLABELLED
    void_class: int | None = None
    raw_ids: Mapping[int, int] = field(default_factory=dict)
    description: str = ""

    @property
    def num_classes(self) -> int:
        """Number of output channels of a network for this set."""
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in channel order."""
        return tuple(c.name for c in self.classes)

    def palette(self) -> list[tuple[int, int, int]]:
        """256 R, G, B triples indexed by mask value; ids outside the set are black."""
        table = [(0, 0, 0)] * 256
        for c in self.classes:
            table[c.id] = c.color
        return table


    def shares(self, pixels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Share of each class in the pixels that count: neither ignored nor void.

        Args:
            pixels: at least C numbers, how many have each train id; those past the classes are ignored.

        Returns:
            C shares; all 0 where no pixel counts.
        """
        counts = pixels[: self.num_classes].copy()
        if self.void_class is not None:
            counts[self.void_class] = 0
        return counts / max(int(counts.sum()), 1)


def available_label_sets() -> tuple[str, ...]:
    """Names of the label sets that ship with the package."""
    return tuple(sorted(p.stem for p in _DATA.glob("*.json")))


def load_label_set(name_or_path: str | Path, beside: Path | None = None) -> LabelSet:
    """Load a shipped label set by name, or a file of the same form by path.

    Args:
        name_or_path: which.
        beside: folder of the file that names it, see :func:`label_path`.

    Raises:
        SsmaError: no such set, or the file is not a valid label set.
    """
    path = label_path(name_or_path, beside)
    if path.suffix != ".json":
        path = _DATA / f"{name_or_path}.json"
        if not path.is_file():
            known = expected_one_of(str(name_or_path), available_label_sets())
            raise SsmaError(f"label set '{name_or_path}': no such set, {known}, or the path of a .json file")
    return parse_label_set(load_json(path, "label set"), str(path))


def label_path(name_or_path: str | Path, beside: Path | None) -> Path:
    """Where a label set's file is: a relative path counts from the folder ``beside``, or from the working directory
    where the file is there alone (what it counted from once) or ``beside`` is None. Names stay as they are."""
    path = Path(name_or_path)
    if beside is None or path.suffix != ".json" or (path.is_file() and not (beside / path).is_file()):
        return path
    return beside / path


def parse_label_set(document: Any, where: str) -> LabelSet:
    """Build a label set from its JSON document; ``where`` names the file in messages.

    Raises:
        SsmaError: a field is unknown, missing or out of range, or ids are not 0, 1, … in order.
    """
    labels = read(LabelSet, document, f"label set {where}")
    _check(labels, where)
    return labels


def _check(labels: LabelSet, where: str) -> None:
    classes = labels.classes
    ids = [c.id for c in classes]
    if ids != list(range(len(classes))) or not classes:
        raise SsmaError(f"label set {where}: class ids are {ids}, expected 0, 1, 2, … in order")
    if len(set(labels.names)) != len(classes):
        raise SsmaError(f"label set {where}: two classes share a name, expected distinct names")
    unfit = [n for n in labels.names if not _NAME.fullmatch(n)]
    if unfit:
        raise SsmaError(
            f"label set {where}: class name is '{unfit[0]}', expected lower-case letters, digits and underscores"
        )
    if len(classes) > UNLABELLED or not len(classes) <= labels.ignore_id <= UNLABELLED:
        raise SsmaError(
            f"label set {where}: ignore_id is {labels.ignore_id} with {len(classes)} classes, "
            f"expected one from {len(classes)} to {UNLABELLED}"
        )
    if labels.void_class is not None and labels.void_class not in ids:
        raise SsmaError(f"label set {where}: void_class is {labels.void_class!r}, expected a class id or null")
    if len(classes) > 1 and all(level <= 1 for c in classes for level in c.color):
        raise SsmaError(f"label set {where}: all colors are 0 or 1, expected R, G, B from 0 to 255")
    wrong = [f"{raw} → {train}" for raw, train in labels.raw_ids.items() if train not in (*ids, labels.ignore_id)]
    if wrong:
        raise SsmaError(f"label set {where}: raw_ids map {wrong[0]}, expected a class id or {labels.ignore_id}")
