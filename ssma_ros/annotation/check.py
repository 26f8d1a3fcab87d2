# SPDX-License-Identifier: Apache-2.0
"""Everything that is wrong or looks odd about the labels of a data set, file by file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.annotation.odd import Layout, layout_of, stands_out, surprises
from ssma_ros.annotation.samples import LABEL
from ssma_ros.errors import SsmaError
from ssma_ros.training.datasets.conditions import scene_of
from ssma_ros.training.datasets.images import pictures_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.annotation.samples import Sample
    from ssma_ros.labels import LabelSet

#: Specks of a picture that nobody wonders about.
_SPECKS = 10
#: Nats by which a mask must surprise to be shown, and share of labelled pixels at which one is called almost empty.
_SURPRISE, _EMPTY = 1.0, 0.05


@dataclass(frozen=True)
class Oddity:
    """Something to look at.

    Attributes:
        sample: whose labels.
        reason: in words.
    """

    sample: Sample
    reason: str


@dataclass
class LabelCheck:
    """What was found.

    Attributes:
        labels: that the masks were checked against.
        errors: sentences about what training would refuse or learn wrongly.
        warnings: sentences about what it would not notice.
        odd: masks to look at, the oddest first.
        pixels: by split the number of pixels of each class.
        pictures: by split the number of pictures in which each class is.
        labelled: by split the number of labelled pictures.
        samples: by split the number of pictures.
    """

    labels: LabelSet
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    odd: list[Oddity] = field(default_factory=list)
    pixels: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    pictures: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    labelled: dict[str, int] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """JSON-ready."""
        names = self.labels.names
        splits = {
            split: {
                "pictures": self.samples[split], "labelled": self.labelled[split],
                "classes": {name: {"pixels": int(self.pixels[split][i]), "pictures": int(self.pictures[split][i])}
                            for i, name in enumerate(names)},
            } for split in self.samples
        }  # fmt: skip
        odd = [{"split": o.sample.split, "name": o.sample.name, "reason": o.reason} for o in self.odd]
        return {"label_set": self.labels.name, "errors": self.errors, "warnings": self.warnings, "splits": splits,
                "odd": odd}


def check_labels(
    root: Path, samples: Sequence[Sample], labels: LabelSet, *, on_sample: Callable[[], object] | None = None
) -> LabelCheck:
    """Look at every mask of a data set; what is wrong with one does not hide the others.

    Args:
        root: of the data set.
        samples: of it.
        labels: its label set.
        on_sample: called for each picture.
    """
    check = LabelCheck(labels)
    layouts: list[tuple[Sample, Layout]] = []
    for sample in samples:
        _count(check, sample.split, None)
        if LABEL in sample.masks:
            try:
                mask = sample.read_mask(LABEL, labels)
            except SsmaError as error:
                check.errors.append(str(error))
            else:
                _count(check, sample.split, mask)
                layouts.append((sample, layout_of(mask, labels)))
                share = float(np.count_nonzero(mask < labels.num_classes) / mask.size)
                if share < _EMPTY:
                    check.odd.append(Oddity(sample, f"{100 * share:.1f} % of its pixels are labelled"))
        if on_sample is not None:
            on_sample()
    _check_splits(check, root, samples)
    _check_classes(check)
    _find_odd(check, layouts)
    return check


def _count(check: LabelCheck, split: str, mask: NDArray[np.uint8] | None) -> None:
    """A picture, or a mask of one."""
    if split not in check.samples:
        check.samples[split] = check.labelled[split] = 0
        check.pixels[split] = np.zeros(check.labels.num_classes, np.int64)
        check.pictures[split] = np.zeros(check.labels.num_classes, np.int64)
    if mask is None:
        check.samples[split] += 1
        return
    counts = np.bincount(mask.ravel(), minlength=256)[: check.labels.num_classes]
    check.labelled[split] += 1
    check.pixels[split] += counts
    check.pictures[split] += counts > 0


def _check_splits(check: LabelCheck, root: Path, samples: Sequence[Sample]) -> None:
    """Labels without pictures; sequences and pictures that are in two splits."""
    for split in check.samples:
        folder = root / split / LABEL
        names = {sample.name for sample in samples if sample.split == split}
        strange = sorted(set(pictures_in(folder)) - names) if folder.is_dir() else []
        check.errors += [f"label image {folder / name}: has no picture, expected one of that name" for name in strange]
    sequences: dict[str, set[str]] = {}
    contents: dict[bytes, Sample] = {}
    for sample in samples:
        if LABEL not in sample.masks:
            continue
        sequences.setdefault(scene_of(sample.name), set()).add(sample.split)
        digest = hashlib.sha256(sample.picture.read_bytes()).digest()
        first = contents.setdefault(digest, sample)
        if first.split != sample.split:
            check.errors.append(f"picture {sample.picture}: is the same as {first.picture}, expected no picture in two "
                                "splits: scores on it say nothing")
    # Where all names begin alike (img_0001) they tell of no sequences.
    named = {scene_of(s.name) for s in samples if scene_of(s.name) != s.name} if len(sequences) > 1 else set()
    for sequence, splits in sequences.items():
        if len(splits) > 1 and sequence in named:
            check.warnings.append(f"sequence {sequence}: is in {' and '.join(sorted(splits))}, expected a sequence in "
                                  "one split, for neighbouring frames look alike")


def _check_classes(check: LabelCheck) -> None:
    for split, labelled in check.labelled.items():
        if labelled < check.samples[split]:
            check.warnings.append(f"split {split}: {check.samples[split] - labelled} of {check.samples[split]} "
                                  "pictures have no label")
        if labelled:
            absent = [n for i, n in enumerate(check.labels.names) if not check.pixels[split][i]]
            if absent:
                check.warnings.append(f"split {split}: no pixel is {', '.join(absent)}")


def _find_odd(check: LabelCheck, layouts: Sequence[tuple[Sample, Layout]]) -> None:
    found = surprises([layout for _, layout in layouts])
    for index in stands_out(found, _SURPRISE):
        check.odd.append(Oddity(layouts[index][0], "its classes lie where they do in no other picture "
                                                   f"(surprise {found[index]:.1f})"))
    specks = np.array([layout.specks for _, layout in layouts], float)
    for index in stands_out(specks, _SPECKS):
        check.odd.append(Oddity(layouts[index][0], f"it has {specks[index]:.0f} specks of a few pixels"))
