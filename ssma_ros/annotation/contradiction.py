# SPDX-License-Identifier: Apache-2.0
"""Masks that a network contradicts where it is sure: a slip of people, or what the network has yet to learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.annotation.check import Oddity
from ssma_ros.annotation.odd import stands_out
from ssma_ros.annotation.prelabel import class_table
from ssma_ros.annotation.samples import LABEL
from ssma_ros.errors import SsmaError
from ssma_ros.training.datasets.folder import PictureFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ssma_ros.annotation.painting import Names
    from ssma_ros.annotation.samples import Sample
    from ssma_ros.segmenter import Segmenter

#: Share of the labelled pixels below which a contradiction is no news.
_LEAST = 0.1


def contradicted(
    root: Path, samples: Sequence[Sample], names: Names, segment: Segmenter, *,
    options: Mapping[str, Any] | None = None, on_sample: Callable[[], object] | None = None,
) -> list[Oddity]:
    """The masks that a network contradicts far more than the others, the most contradicted first.

    Args:
        root: of the data set.
        samples: of it; those whose labels cannot be read are left to :func:`~ssma_ros.annotation.check.check_labels`.
        names: its label set, and what the network's other names mean in it.
        segment: the network, which delivers at the camera's size; its ``min_confidence`` says of what it is sure.
        options: how the pictures are read, see :class:`~ssma_ros.training.datasets.folder.FolderDataset`.
        on_sample: called for each picture.

    Raises:
        SsmaError: the pictures cannot be read, or no class fits.
    """
    found = list(_shares(root, samples, names, segment, options or {}, on_sample))
    shares = np.array([share for _, share in found])
    return [
        Oddity(found[i][0], f"the network is sure of another class in {100 * shares[i]:.0f} % of its labelled pixels")
        for i in stands_out(shares, _LEAST)
    ]


def _shares(
    root: Path, samples: Sequence[Sample], names: Names, segment: Segmenter, options: Mapping[str, Any],
    on_sample: Callable[[], object] | None,
) -> Iterator[tuple[Sample, float]]:
    """Of each mask the share of its labelled pixels that the network contradicts."""
    table, ignored = class_table(segment.labels, names), names.labels.ignore_id
    for split in dict.fromkeys(sample.split for sample in samples):
        pictures = PictureFolder(root, split, names.labels, **options)
        indices = {pictures.name(index): index for index in range(len(pictures))}
        for sample in samples:
            if sample.split != split:
                continue
            if on_sample is not None:
                on_sample()
            try:
                label = sample.read_mask(LABEL, names.labels) if LABEL in sample.masks else None
            except SsmaError:
                continue
            if label is None or (label == ignored).all():
                continue
            segment.reset()
            mask = table[segment(pictures.frame(indices[sample.name])).mask]
            against = (mask != ignored) & (label != ignored) & (mask != label)
            yield sample, float(np.count_nonzero(against) / np.count_nonzero(label != ignored))
