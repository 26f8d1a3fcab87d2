# SPDX-License-Identifier: Apache-2.0
"""Segmentation metrics from a confusion matrix, in numpy alone.

The demo's summary, replay and evaluation share these; metrics that need probabilities or image geometry are in
:mod:`ssma_ros.training.evaluate.metrics`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class ConfusionMatrix:
    """Counts of (true class, predicted class) over many images.

    Pixels whose label is ``ignore_id`` or ``void_class`` take no part, as in the paper. A prediction outside the
    classes (for example 255, unlabelled) on a counted pixel is a miss of its true class and a false alarm of none.

    Args:
        num_classes: of the label set, positive.
        ignore_id: value of label pixels without ground truth.
        void_class: a class of the network that evaluation leaves out, or None.
    """

    def __init__(self, num_classes: int, ignore_id: int = 255, void_class: int | None = None) -> None:
        if num_classes <= 0:
            raise ValueError(f"num_classes is {num_classes}, expected a positive number")
        self.num_classes = num_classes
        self.ignore_id = ignore_id
        self.void_class = void_class
        # The last column takes predictions that are no class.
        self._counts = np.zeros((num_classes, num_classes + 1), np.int64)

    @property
    def counts(self) -> NDArray[np.int64]:
        """C×(C+1): row = true class, column = predicted class, the last column = no class."""
        return self._counts

    def add_counts(self, counts: NDArray[Any]) -> None:
        """Add what :attr:`counts` of another matrix over the same classes says.

        Raises:
            ValueError: another shape.
        """
        if counts.shape != self._counts.shape:
            raise ValueError(f"confusion matrix: counts have shape {counts.shape}, expected {self._counts.shape}")
        self._counts += counts.astype(np.int64)

    def update(self, mask: NDArray[Any], label: NDArray[Any]) -> None:
        """Count one image.

        Args:
            mask: predicted class ids, integer, any shape.
            label: true class ids of the same shape.

        Raises:
            ValueError: shapes differ, or the label holds an id that is neither a class nor ``ignore_id``.
        """
        if mask.shape != label.shape:
            raise ValueError(f"mask: shape is {mask.shape}, expected {label.shape} as the label's")
        counted = label != self.ignore_id
        truth = label[counted].astype(np.intp)
        if truth.size and not (truth.min() >= 0 and truth.max() < self.num_classes):
            wrong = truth[(truth < 0) | (truth >= self.num_classes)][0]
            raise ValueError(f"label: holds id {wrong}, expected 0..{self.num_classes - 1} or {self.ignore_id}")
        found = mask[counted].astype(np.intp)
        found = np.where((found >= 0) & (found < self.num_classes), found, self.num_classes)
        width = self.num_classes + 1
        self._counts += np.bincount(truth * width + found, minlength=self.num_classes * width).reshape(-1, width)

    def merge(self, other: ConfusionMatrix) -> None:
        """Add the counts of another matrix over the same classes.

        Raises:
            ValueError: it has another number of classes.
        """
        if other.num_classes != self.num_classes:
            raise ValueError(f"confusion matrix has {other.num_classes} classes, expected {self.num_classes}")
        self.add_counts(other.counts)

    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each class, NaN where neither labels nor predictions hold it, or it is void."""
        hits, misses, alarms = self._hits_misses_alarms()
        return self._ratio(hits, hits + misses + alarms)

    def miou(self) -> float:
        """Mean IoU over the classes that occur, void excluded; NaN if none does."""
        return _mean(self.iou())

    def accuracy(self) -> float:
        """Share of counted pixels with the right class (the paper's Acc); NaN without pixels."""
        hits, misses, _ = self._hits_misses_alarms()
        total = float(np.nansum(hits + misses))
        return float(np.nansum(hits)) / total if total else float("nan")

    def mean_accuracy(self) -> float:
        """Mean recall over the classes that the labels hold."""
        return _mean(self.recall())

    def recall(self) -> NDArray[np.float64]:
        """TP / (TP + FN) of each class."""
        hits, misses, _ = self._hits_misses_alarms()
        return self._ratio(hits, hits + misses)

    def precision(self) -> NDArray[np.float64]:
        """TP / (TP + FP) of each class (the paper's AP is the mean over classes)."""
        hits, _, alarms = self._hits_misses_alarms()
        return self._ratio(hits, hits + alarms)

    def false_positive_rate(self) -> NDArray[np.float64]:
        """FP / (TP + FP + FN) of each class: with IoU and FNR it sums to 1, as in the paper's tables."""
        hits, misses, alarms = self._hits_misses_alarms()
        return self._ratio(alarms, hits + misses + alarms)

    def false_negative_rate(self) -> NDArray[np.float64]:
        """FN / (TP + FP + FN) of each class."""
        hits, misses, alarms = self._hits_misses_alarms()
        return self._ratio(misses, hits + misses + alarms)

    def global_iou(self) -> float:
        """Sum of intersections over sum of unions, all classes together (gIoU)."""
        hits, misses, alarms = self._hits_misses_alarms()
        union = float(np.nansum(hits + misses + alarms))
        return float(np.nansum(hits)) / union if union else float("nan")

    def summary(self, names: Sequence[str]) -> dict[str, Any]:
        """Everything above as JSON-ready data (NaN as None); ``names`` label the classes.

        Raises:
            ValueError: as many names as classes are expected.
        """
        if len(names) != self.num_classes:
            raise ValueError(f"names: {len(names)} given, expected {self.num_classes}")
        return {
            "miou": rounded(self.miou()),
            "acc": rounded(self.accuracy()),
            "mean_acc": rounded(self.mean_accuracy()),
            "ap": rounded(_mean(self.precision())),
            "giou": rounded(self.global_iou()),
            "fpr": rounded(_mean(self.false_positive_rate())),
            "fnr": rounded(_mean(self.false_negative_rate())),
            "iou": {name: rounded(value) for name, value in zip(names, self.iou(), strict=True)},
        }

    def _hits_misses_alarms(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """TP, FN, FP of each class, NaN for the void class; void rows take no part in anything."""
        counts = self._counts.astype(np.float64)
        if self.void_class is not None:
            counts[self.void_class] = 0.0
        hits = np.diagonal(counts).copy()
        misses = counts.sum(axis=1) - hits
        alarms = counts[:, : self.num_classes].sum(axis=0) - hits
        if self.void_class is not None:
            for part in (hits, misses, alarms):
                part[self.void_class] = np.nan
        return hits, misses, alarms

    @staticmethod
    def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def _mean(values: NDArray[np.float64]) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")


def rounded(value: float) -> float | None:
    """For JSON, which knows no NaN."""
    return None if np.isnan(value) else round(float(value), 6)
