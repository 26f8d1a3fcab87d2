"""Loader of label-set files (JSON, one file a set, in ``ssma_ros/labels/data``)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    color: tuple[int, int, int]
    traversability: float | None = None


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
    ignore_id: int
    void_class: int | None
    raw_ids: Mapping[int, int]
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


def available_label_sets() -> tuple[str, ...]:
    """Names of the label sets that ship with the package."""
    return tuple(sorted(p.stem for p in _DATA.glob("*.json")))


def load_label_set(name_or_path: str | Path) -> LabelSet:
    """Load a shipped label set by name, or a file of the same form by path.

    Raises:
        SsmaError: no such set, or the file is not a valid label set.
    """
    path = Path(name_or_path)
    if path.suffix != ".json":
        path = _DATA / f"{name_or_path}.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SsmaError(
            f"label set '{name_or_path}': no such set, expected one of {', '.join(available_label_sets())} "
            "or the path of a .json file"
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SsmaError(f"label set {path}: cannot be read as JSON ({error})") from None
    return parse_label_set(document, str(path))


def parse_label_set(document: Any, where: str) -> LabelSet:
    """Build a label set from its JSON document; ``where`` names the file in messages.

    Raises:
        SsmaError: a field is missing or out of range, or ids are not 0, 1, … in order.
    """
    try:
        classes = tuple(_parse_class(entry) for entry in document["classes"])
        labels = LabelSet(
            name=str(document["name"]),
            classes=classes,
            ignore_id=int(document.get("ignore_id", UNLABELLED)),
            void_class=document.get("void_class"),
            raw_ids={int(k): int(v) for k, v in document.get("raw_ids", {}).items()},
            description=str(document.get("description", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SsmaError(f"label set {where}: {type(error).__name__} in field {error}, see docs/labels.md") from None
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
    wrong = [f"{raw} → {train}" for raw, train in labels.raw_ids.items() if train not in (*ids, labels.ignore_id)]
    if wrong:
        raise SsmaError(f"label set {where}: raw_ids map {wrong[0]}, expected a class id or {labels.ignore_id}")


def _parse_class(entry: Mapping[str, Any]) -> LabelClass:
    red, green, blue = (int(v) for v in entry["color"])
    if not all(0 <= v <= 255 for v in (red, green, blue)):
        raise ValueError(f"color {entry['color']} outside 0..255")
    value = entry.get("traversability")
    if value is not None and not 0.0 <= float(value) <= 1.0:
        raise ValueError(f"traversability {value} outside 0..1")
    return LabelClass(
        id=int(entry["id"]),
        name=str(entry["name"]),
        color=(red, green, blue),
        traversability=None if value is None else float(value),
    )
