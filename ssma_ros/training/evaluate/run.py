# SPDX-License-Identifier: Apache-2.0
"""The evaluation: networks on the same samples, each with all sensors and with each one missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from ssma_ros.training.datasets.shared_samples import SharedSamples
from ssma_ros.training.evaluate.ledger import Ledger, Row
from ssma_ros.training.evaluate.predict import mask_of, spread_indices
from ssma_ros.training.evaluate.score import ALL_SENSORS, CaseResult, cases_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ssma_ros.contract import Contract
    from ssma_ros.training.datasets.cache import Sample, Samples
    from ssma_ros.training.evaluate.networks import TrainedNetwork
    from ssma_ros.training.evaluate.score import Case

    #: Network and case → H×W class ids of one sample; lacks what was scored before and what had no input.
    Masks = Mapping[tuple[TrainedNetwork, Case], NDArray[np.uint8]]
    #: Called with every sample that is looked at: its index, its inputs and label for each network, the masks.
    Observer = Callable[[int, Sequence[Sample], Masks], None]


class EvaluationRun:
    """Scores networks in their cases, sample by sample, so that each sample is encoded once for all of them.

    Args:
        networks: with the same classes.
        open_samples: opens the data for a contract.
        cases: of each network; default: :func:`.score.cases_of`.
        limit: at most this many samples, spread evenly; 0 = all.
        part: (k, n), only the k-th of n stretches of these samples; what each stretch counted is put together by
            :meth:`add`.
        ledger: keeps the scores; what it holds already is not scored again.
        data: digest of the data, for the ledger.

    Attributes:
        networks: as given.
        rows: each network in each of its cases.
        indices: of the samples that are scored.

    Raises:
        SsmaError: the networks' classes differ, the data cannot be opened, or has no image for one of their streams.
    """

    def __init__(
        self,
        networks: Sequence[TrainedNetwork],
        open_samples: Callable[[Contract], Samples],
        *,
        cases: Sequence[Sequence[Case]] = (),
        limit: int = 0,
        part: tuple[int, int] = (0, 1),
        ledger: Ledger | None = None,
        data: str = "",
    ) -> None:
        self.networks = networks
        self._samples = SharedSamples([n.contract for n in networks], open_samples)
        self.indices = spread_indices(len(self._samples), limit)
        self._samples.refuse_blank(self.indices, "evaluation")
        number, parts = part
        self.indices = self.indices[number * len(self.indices) // parts : (number + 1) * len(self.indices) // parts]
        cases = cases or [cases_of(n.contract) for n in networks]
        self.rows = [Row(n, case) for n, own in zip(networks, cases, strict=True) for case in own]
        self._ledger = ledger
        if ledger is not None:
            ledger.open(self.rows, data, self.indices, [self._samples.group(i) for i in self.indices])

    def run(self, progress: str = "", observers: Sequence[Observer] = ()) -> None:
        """Score what is not scored yet; a row that is further than others waits for them.

        Args:
            progress: text of a progress bar, or none.
            observers: called in this order with every sample that is looked at.
        """
        first = min((row.done for row in self.rows), default=len(self.indices))
        bar = tqdm(total=len(self.indices), initial=first, desc=progress, unit="sample", disable=not progress)
        with bar:
            for position in range(first, len(self.indices)):
                self._score(position, observers)
                if self._ledger is not None:
                    self._ledger.save(now=position == len(self.indices) - 1)
                bar.update()

    def _score(self, position: int, observers: Sequence[Observer]) -> None:
        index = self.indices[position]
        samples, group = self._samples[index], self._samples.group(index)
        by_network = dict(zip(self.networks, samples, strict=True))
        masks = {}
        for row in self.rows:
            if row.done > position:
                continue
            sample = by_network[row.network]
            scores = row.network.predictor.scores(sample, row.case.missing, multi_scale=row.case.multi_scale)
            if scores is not None:
                masks[row.network, row.case] = row.score.update(scores, sample, group)
            row.done = position + 1
        for observer in observers:
            observer(index, samples, masks)

    def counted(self) -> list[dict[str, Any]]:
        """What every row counted, JSON-ready and exact."""
        return [row.score.to_document() for row in self.rows]

    def add(self, parts: Iterable[Sequence[Mapping[str, Any]]]) -> None:
        """Take the counts of all parts over (:meth:`counted`, in their order) instead of scoring here."""
        for counted in parts:
            for row, document in zip(self.rows, counted, strict=True):
                row.score.add_document(document)
        for row in self.rows:
            row.done = len(self.indices)

    def show(self, indices: Iterable[int], observers: Sequence[Observer]) -> None:
        """Let observers look at some samples, with the masks of every network with all sensors; nothing is counted."""
        for index in indices:
            samples = self._samples[index]
            masks = {}
            for network, sample in zip(self.networks, samples, strict=True):
                scores = network.predictor.scores(sample, ALL_SENSORS.missing)
                if scores is not None:
                    masks[network, ALL_SENSORS] = mask_of(scores)
            for observer in observers:
                observer(index, samples, masks)

    def spread(self, count: int) -> dict[int, int]:
        """Index → number of ``count`` samples, spread evenly over those that are scored."""
        shown = spread_indices(len(self.indices), count) if count > 0 else []
        return {self.indices[i]: number for number, i in enumerate(shown)}

    def results(self, network: TrainedNetwork) -> dict[str, CaseResult]:
        """Of one network, by name of the case."""
        return {row.case.name: row.score.result() for row in self.rows if row.network is network}

    def remarks(self) -> list[str]:
        """A sentence for each stream that some samples lack."""
        found: dict[str, None] = {}
        for network in self.networks:
            result = self.results(network)[ALL_SENSORS.name]
            for stream, count in result.there.items():
                if count < result.samples:
                    lacking = result.samples - count
                    found[f"stream '{stream}' is blank in {lacking} of {result.samples} samples"] = None
        return list(found)
