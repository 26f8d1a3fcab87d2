"""What one network gets right that another gets wrong, and the reverse: the paper's improvement and error maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.metrics import ConfusionMatrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.labels import LabelSet


class Improvement:
    """Pixels gained and lost against another network, by true class.

    Args:
        labels: classes of both networks.
    """

    def __init__(self, labels: LabelSet) -> None:
        self._names = labels.names
        self._void, self._ignore_id = labels.void_class, labels.ignore_id
        settings = (labels.num_classes, labels.ignore_id, labels.void_class)
        self._ours, self._other = ConfusionMatrix(*settings), ConfusionMatrix(*settings)
        # By true class: both right, gained, lost, both wrong.
        self._counts = np.zeros((labels.num_classes, 4), np.int64)

    def update(self, ours: NDArray[np.uint8], other: NDArray[np.uint8], label: NDArray[np.uint8]) -> None:
        """Count one sample; all H×W, the masks at the label's size."""
        self._ours.update(ours, label)
        self._other.update(other, label)
        counted = label != self._ignore_id
        if self._void is not None:
            counted &= label != self._void
        truth = label[counted].astype(np.intp)
        outcome = 2 * (ours[counted] != truth) + (other[counted] != truth)
        # 0 both right, 1 only ours right, 2 only other right, 3 neither.
        self._counts += np.bincount(4 * truth + outcome, minlength=self._counts.size).reshape(-1, 4)

    def to_document(self) -> dict[str, Any]:
        """JSON-ready: mIoU of both and their difference; for each class and in all the share of its labelled pixels
        that were gained, lost and wrong in both; IoU of both."""
        ours, other = self._ours.summary(self._names), self._other.summary(self._names)
        classes = {
            name: {**_shares(counts), "iou": ours["iou"][name], "other_iou": other["iou"][name]}
            for name, counts in zip(self._names, self._counts, strict=True)
        }
        if self._void is not None:
            del classes[self._names[self._void]]
        return {
            "miou": ours["miou"], "other_miou": other["miou"], "miou_difference": _difference(ours, other),
            "all": _shares(self._counts.sum(axis=0)), "classes": classes,
        }


def _shares(counts: NDArray[np.int64]) -> dict[str, float | None]:
    total = int(counts.sum())
    names = ("gained", "lost", "both_wrong")
    return {name: round(int(c) / total, 6) if total else None for name, c in zip(names, counts[1:], strict=True)}


def _difference(ours: dict[str, Any], other: dict[str, Any]) -> float | None:
    if ours["miou"] is None or other["miou"] is None:
        return None
    return round(float(ours["miou"] - other["miou"]), 6)
