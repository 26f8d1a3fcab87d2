# SPDX-License-Identifier: Apache-2.0
"""Metrics that need probabilities or the shape of objects: calibration and boundary bands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.metrics import ConfusionMatrix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


class Calibration:
    """How often the network is right when it says it is p sure (Guo et al. 2017).

    Confidences are put into equally wide bins over [0, 1]; a pixel without ground truth takes no part, nor one of
    the void class, which the network is never asked to find.

    Args:
        ignore_id: label of pixels without ground truth.
        void_class: a class that evaluation leaves out, or None.
        bins: number of bins.
    """

    def __init__(self, ignore_id: int = 255, void_class: int | None = None, bins: int = 15) -> None:
        if bins < 1:
            raise ValueError(f"bins is {bins}, expected at least 1")
        self._left_out = (ignore_id,) if void_class is None else (ignore_id, void_class)
        self._counts = np.zeros(bins, np.int64)
        self._hits = np.zeros(bins, np.int64)
        self._confidence = np.zeros(bins, np.float64)

    def update(self, confidence: NDArray[Any], mask: NDArray[Any], label: NDArray[Any]) -> None:
        """Count one image.

        Args:
            confidence: H×W probability of the winning class, 0..1.
            mask: H×W winning class.
            label: H×W true class.
        """
        if not confidence.shape == mask.shape == label.shape:
            raise ValueError(f"confidence {confidence.shape}, mask {mask.shape}, label {label.shape}: "
                             "expected one shape")
        counted = np.logical_and.reduce([label != each for each in self._left_out])
        values = np.clip(confidence[counted].astype(np.float64), 0.0, 1.0)
        bins = len(self._counts)
        # Bin b holds ((b)/bins, (b+1)/bins], as the usual definition has it.
        index = np.clip(np.ceil(values * bins).astype(np.intp) - 1, 0, bins - 1)
        right = mask[counted] == label[counted]
        self._counts += np.bincount(index, minlength=bins)
        self._hits += np.bincount(index[right], minlength=bins)
        self._confidence += np.bincount(index, weights=values, minlength=bins)

    def expected_error(self) -> float:
        """Expected calibration error, ``Σ share·|accuracy − confidence|``; NaN without pixels."""
        total = self._counts.sum()
        if total == 0:
            return float("nan")
        return float(np.abs(self._hits - self._confidence).sum() / total)

    def to_document(self) -> dict[str, Any]:
        """What was counted, JSON-ready and exact."""
        return {"counts": self._counts.tolist(), "hits": self._hits.tolist(), "confidence": self._confidence.tolist()}

    def add_document(self, document: Mapping[str, Any]) -> None:
        """Add what :meth:`to_document` of another one with as many bins told."""
        self._counts += np.array(document["counts"], np.int64)
        self._hits += np.array(document["hits"], np.int64)
        self._confidence += np.array(document["confidence"], np.float64)

    def reliability(self) -> list[dict[str, float]]:
        """The reliability diagram: for each bin that is not empty its mean confidence, accuracy and share."""
        total = max(int(self._counts.sum()), 1)
        return [
            {
                "confidence": float(self._confidence[i] / self._counts[i]),
                "accuracy": float(self._hits[i] / self._counts[i]),
                "share": float(self._counts[i] / total),
            }
            for i in np.flatnonzero(self._counts)
        ]


class TrimapBands:
    """mIoU within narrow bands along class boundaries (Kohli et al. 2009): how good the outlines are.

    Args:
        num_classes, ignore_id, void_class: as for :class:`~ssma_ros.metrics.ConfusionMatrix`.
        widths: half-widths of the bands in pixels.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_id: int = 255,
        void_class: int | None = None,
        widths: Sequence[int] = (2, 4, 8, 16),
    ) -> None:
        self._ignore_id = ignore_id
        self._matrices = {width: ConfusionMatrix(num_classes, ignore_id, void_class) for width in widths}

    def update(self, mask: NDArray[np.uint8], label: NDArray[np.uint8]) -> None:
        """Count one H×W image."""
        distance = boundary_distance(label)
        for width, matrix in self._matrices.items():
            matrix.update(mask, np.where(distance <= width, label, self._ignore_id))

    def miou(self) -> dict[int, float]:
        """Band half-width → mIoU in it."""
        return {width: matrix.miou() for width, matrix in self._matrices.items()}

    def to_document(self) -> dict[str, Any]:
        """What was counted, JSON-ready."""
        return {str(width): matrix.counts.tolist() for width, matrix in self._matrices.items()}

    def add_document(self, document: Mapping[str, Any]) -> None:
        """Add what :meth:`to_document` of another one with the same bands told."""
        for width, matrix in self._matrices.items():
            matrix.add_counts(np.array(document[str(width)]))


def boundary_distance(label: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Distance in pixels of every pixel to the nearest pixel that has a neighbour of another id; inf if none has."""
    edge = np.zeros(label.shape, np.bool_)
    across, down = label[:, 1:] != label[:, :-1], label[1:] != label[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    if not edge.any():
        return np.full(label.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
