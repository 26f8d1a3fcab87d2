# SPDX-License-Identifier: Apache-2.0
"""All scores of one network in one case of missing sensors, gathered sample by sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.metrics import ConfusionMatrix, rounded
from ssma_ros.sensors import SENSORS
from ssma_ros.training.datasets.survey import shows_something
from ssma_ros.training.evaluate.metrics import Calibration, TrimapBands
from ssma_ros.training.evaluate.predict import mask_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from ssma_ros.contract import Contract
    from ssma_ros.training.datasets.cache import Sample


@dataclass(frozen=True)
class Case:
    """A way of looking at the data.

    Attributes:
        name: for tables, for example ``no depth``.
        missing: sensors that send nothing.
        multi_scale: mean over flips and scales.
    """

    name: str
    missing: tuple[str, ...] = ()
    multi_scale: bool = False


#: The sensor that drives comes last.
DRIVER, *_OTHERS = SENSORS
_ORDER = (*_OTHERS, DRIVER)
ALL_SENSORS = Case("all sensors")
MULTI_SCALE = Case("all sensors, msf", multi_scale=True)
#: Names of all cases but msf, in the order of tables.
CASE_NAMES = (ALL_SENSORS.name, *(f"no {sensor}" for sensor in _ORDER), f"{DRIVER} only")


def cases_of(contract: Contract, *, multi_scale: bool = False) -> list[Case]:
    """All sensors, each one missing, colour alone: every case that leaves the network an input; and msf."""
    used = [sensor for sensor in _ORDER if any(sensor in stream.sensors for stream in contract.streams)]
    cases = [Case(f"no {sensor}", (sensor,)) for sensor in used]
    if used[-1] == DRIVER and len(used) > 2:
        cases.append(Case(f"{DRIVER} only", tuple(used[:-1])))
    left = [c for c in cases if any(not set(stream.sensors) & set(c.missing) for stream in contract.streams)]
    return [ALL_SENSORS, *left, *([MULTI_SCALE] if multi_scale else [])]


@dataclass(frozen=True)
class GroupScore:
    """Scores over the samples of one group, a condition for example.

    Attributes:
        samples: how many were scored.
        scores: of :meth:`ssma_ros.metrics.ConfusionMatrix.summary`.
    """

    samples: int
    scores: Mapping[str, Any]


@dataclass(frozen=True)
class CaseResult:
    """Scores of one network in one case.

    Attributes:
        name: of the case.
        samples: how many were scored.
        scores: of :meth:`ssma_ros.metrics.ConfusionMatrix.summary`, all samples together.
        ece: expected calibration error.
        reliability: of :meth:`ssma_ros.training.evaluate.metrics.Calibration.reliability`.
        trimap: band half-width in pixels → mIoU in it.
        groups: scores by the samples' group, where the data set tells groups.
        there: stream → samples in which the network got a picture of it that shows something.
    """

    name: str
    samples: int
    scores: Mapping[str, Any]
    ece: float
    reliability: Sequence[Mapping[str, float]] = field(default_factory=list)
    trimap: Mapping[int, float] = field(default_factory=dict)
    groups: Mapping[str, GroupScore] = field(default_factory=dict)
    there: Mapping[str, int] = field(default_factory=dict)

    def spread(self) -> tuple[float, float]:
        """Mean and standard deviation of the mIoU over the groups (of these groups, not of a population they were
        drawn from); NaN without groups."""
        found = [g.scores["miou"] for g in self.groups.values() if g.scores["miou"] is not None]
        return (float(np.mean(found)), float(np.std(found))) if found else (nan, nan)

    def to_document(self) -> dict[str, Any]:
        """JSON-ready."""
        document = {
            "case": self.name, "samples": self.samples, **self.scores, "ece": rounded(self.ece),
            "trimap_miou": {str(w): rounded(v) for w, v in self.trimap.items()},
            "reliability": [{k: rounded(v) for k, v in b.items()} for b in self.reliability],
            "samples_with": dict(self.there),
        }
        if self.groups:
            mean, deviation = self.spread()
            document["groups"] = {n: {"samples": g.samples, **g.scores} for n, g in self.groups.items()}
            document["over_groups"] = {"miou_mean": rounded(mean), "miou_std": rounded(deviation)}
        return document


class Score:
    """What a network got right and wrong so far. Can be written down at any time and taken up again.

    Args:
        contract: of the network.
        case: in which it is scored.
    """

    def __init__(self, contract: Contract, case: Case = ALL_SENSORS) -> None:
        labels = contract.labels
        self._case = case
        self._streams = contract.streams
        self._names = labels.names
        self._settings = (labels.num_classes, labels.ignore_id, labels.void_class)
        self._matrices: dict[str, ConfusionMatrix] = {}  # by group, "" for samples without one
        self._samples: dict[str, int] = {}
        self._there = dict.fromkeys(contract.modalities, 0)
        self._trimap = TrimapBands(*self._settings)
        self._calibration = Calibration(labels.ignore_id, labels.void_class)

    def update(self, scores: Tensor, sample: Sample, group: str | None = None) -> NDArray[np.uint8]:
        """Count one sample.

        Args:
            scores: C×H×W, their softmax is what is published.
            sample: gives the H×W train ids, and what streams there were.
            group: of the sample.

        Returns:
            H×W class ids, the largest score's.
        """
        mask = mask_of(scores)
        confidence = scores.softmax(dim=0).amax(dim=0)
        self._matrix(group or "").update(mask, sample.label)
        self._samples[group or ""] += 1
        self._trimap.update(mask, sample.label)
        self._calibration.update(confidence.numpy(), mask, sample.label)
        for index, stream in enumerate(self._streams):
            there = not set(stream.sensors) & set(self._case.missing) and shows_something(sample, index, stream)
            self._there[stream.name] += there
        return mask

    def result(self) -> CaseResult:
        """The scores so far."""
        total = ConfusionMatrix(*self._settings)
        for matrix in self._matrices.values():
            total.merge(matrix)
        groups = {
            group: GroupScore(self._samples[group], matrix.summary(self._names))
            for group, matrix in self._matrices.items()
            if group
        }
        return CaseResult(
            name=self._case.name, samples=sum(self._samples.values()), scores=total.summary(self._names),
            ece=self._calibration.expected_error(), reliability=self._calibration.reliability(),
            trimap=self._trimap.miou(), groups=groups, there=dict(self._there),
        )

    def to_document(self) -> dict[str, Any]:
        """All that was counted, JSON-ready and exact."""
        return {
            "groups": {
                group: {"samples": self._samples[group], "counts": matrix.counts.tolist()}
                for group, matrix in self._matrices.items()
            },
            "there": self._there,
            "trimap": self._trimap.to_document(),
            "calibration": self._calibration.to_document(),
        }

    def add_document(self, document: Mapping[str, Any]) -> None:
        """Add what :meth:`to_document` of another one for the same label set told."""
        for group, content in document["groups"].items():
            self._matrix(group).add_counts(np.array(content["counts"]))
            self._samples[group] += int(content["samples"])
        for stream, count in document["there"].items():
            self._there[stream] += int(count)
        self._trimap.add_document(document["trimap"])
        self._calibration.add_document(document["calibration"])

    def _matrix(self, group: str) -> ConfusionMatrix:
        if group not in self._matrices:
            self._matrices[group] = ConfusionMatrix(*self._settings)
            self._samples[group] = 0
        return self._matrices[group]
