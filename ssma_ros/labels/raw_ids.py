# SPDX-License-Identifier: Apache-2.0
"""From the ids in a data set's label images to train ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.labels.label_set import LabelSet

_SHOWN = 5
#: Of label images with a byte a pixel.
_LARGEST = 255


def apply_raw_ids(label_image: NDArray[np.integer], labels: LabelSet, where: str | Path) -> NDArray[np.uint8]:
    """Train ids of a label image.

    Args:
        label_image: H×W of any integer type, raw ids of the data set.
        labels: whose ``raw_ids`` are applied; a set without any has its own class ids and ignore id in its images.
        where: the image's file, for the message.

    Returns:
        H×W uint8: class ids of ``labels`` or its ``ignore_id``.

    Raises:
        SsmaError: an id that the label set does not know; names each id, its number of pixels, and the file.
        ValueError: not an H×W integer array.
    """
    if label_image.ndim != 2 or label_image.dtype.kind not in "ui":
        raise ValueError(
            f"label image {where}: {label_image.dtype} with {label_image.ndim} axes, expected H×W of an integer type"
        )
    if label_image.dtype == np.uint8:
        # A table of all 256 values is several times faster than sorting the pixels.
        present = np.flatnonzero(np.bincount(label_image.ravel(), minlength=256))
    else:
        present, inverse = np.unique(label_image, return_inverse=True)
    known = labels.raw_ids or {i: i for i in (*range(labels.num_classes), labels.ignore_id)}
    unknown = [int(i) for i in present if int(i) not in known]
    if unknown:
        counts = [f"{int((label_image == i).sum())} pixels have id {i}" for i in unknown[:_SHOWN]]
        more = f" and {len(unknown) - _SHOWN} more ids" if len(unknown) > _SHOWN else ""
        raise SsmaError(
            f"label image {where}: {', '.join(counts)}{more}, which label set '{labels.name}' does not know "
            f"(it knows {', '.join(map(str, sorted(known)))})"
        )
    train_ids = np.array([known[int(i)] for i in present], dtype=np.uint8)
    if label_image.dtype == np.uint8:
        table = np.full(256, labels.ignore_id, dtype=np.uint8)
        table[present] = train_ids
        return table[label_image]
    return train_ids[inverse].reshape(label_image.shape)


def stored_ids(labels: LabelSet) -> dict[int, int]:
    """By class id (and the ignore id) the id that stands for it in the data set's label images: the smallest raw id
    where there are several; a class without one is absent."""
    if not labels.raw_ids:
        return {i: i for i in (*range(labels.num_classes), labels.ignore_id)}
    return {train: min(raw for raw, t in labels.raw_ids.items() if t == train) for train in labels.raw_ids.values()}


def raw_ids_of(mask: NDArray[np.uint8], labels: LabelSet, where: str | Path) -> NDArray[np.uint8]:
    """The label image that :func:`apply_raw_ids` makes ``mask`` of.

    Args:
        mask: H×W class ids of ``labels`` or its ``ignore_id``.
        labels: whose ``raw_ids`` are applied backwards.
        where: what the label image is for, for the message.

    Returns:
        H×W uint8 raw ids.

    Raises:
        SsmaError: a class of the mask has no raw id, or none that fits in eight bits.
    """
    stored = stored_ids(labels)
    present = [int(i) for i in np.flatnonzero(np.bincount(mask.ravel(), minlength=256))]
    lacking = [i for i in present if not 0 <= stored.get(i, -1) <= _LARGEST]
    if lacking:
        names = ", ".join(labels.names[i] if i < labels.num_classes else f"unlabelled ({i})" for i in lacking)
        raise SsmaError(f"label image {where}: label set '{labels.name}' has no raw id from 0 to {_LARGEST} for {names}"
                        ", expected one in its raw_ids")
    table = np.zeros(256, np.uint8)
    table[present] = [stored[i] for i in present]
    return table[mask]
