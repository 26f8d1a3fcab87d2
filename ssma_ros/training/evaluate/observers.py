# SPDX-License-Identifier: Apache-2.0
"""What looks on while an evaluation runs: pictures of samples, and what one network gets right that another gets wrong
(the paper's improvement and error maps)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.kernels.shared.resampling import nearest
from ssma_ros.metrics import ConfusionMatrix
from ssma_ros.training.evaluate.pictures import improvement_picture, sample_picture
from ssma_ros.training.evaluate.score import ALL_SENSORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ssma_ros.labels import LabelSet
    from ssma_ros.training.datasets.cache import Sample
    from ssma_ros.training.evaluate.networks import TrainedNetwork
    from ssma_ros.training.evaluate.run import Masks


class SamplePictures:
    """Inputs, ground truth and prediction of the first network, all sensors.

    Args:
        network: the first of the run.
        shown: index of a sample → its number, for those that become pictures.

    Attributes:
        shown: as given.
        drawn: file name → RGB image; other observers add theirs.
    """

    def __init__(self, network: TrainedNetwork, shown: Mapping[int, int]) -> None:
        self._network, self.shown = network, shown
        self.drawn: dict[str, NDArray[np.uint8]] = {}

    def __call__(self, index: int, samples: Sequence[Sample], masks: Masks) -> None:
        """Look at one sample."""
        mask, sample = masks.get((self._network, ALL_SENSORS)), samples[0]
        if mask is not None and index in self.shown:
            picture = sample_picture(sample.images, sample.label, mask, self._network.contract)
            self.drawn[f"sample_{self.shown[index]}"] = picture


class Against:
    """The first network of a run against the second, all sensors.

    Args:
        networks: of the run.
        pictures: says which samples become pictures, and takes them.

    Attributes:
        names: of the two, told apart even where two runs have one name.
        improvement: in numbers.
    """

    def __init__(self, networks: Sequence[TrainedNetwork], pictures: SamplePictures) -> None:
        self._networks, self._pictures = networks, pictures
        names = [network.name for network in networks]
        self.names = names if len(set(names)) == len(names) else [str(network.path) for network in networks]
        self.improvement = Improvement(networks[0].contract.labels)

    def __call__(self, index: int, samples: Sequence[Sample], masks: Masks) -> None:
        """Look at one sample."""
        ours, other = (masks.get((network, ALL_SENSORS)) for network in self._networks)
        if ours is None or other is None:
            return
        sample, contract = samples[0], self._networks[0].contract
        other = nearest(other, contract.width, contract.height)
        self.improvement.update(ours, other, sample.label)
        if index in self._pictures.shown:
            named = dict(zip(self.names, (ours, other), strict=True))
            picture = improvement_picture(sample.images[0], sample.label, named, contract)
            self._pictures.drawn[f"improvement_{self._pictures.shown[index]}"] = picture


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
