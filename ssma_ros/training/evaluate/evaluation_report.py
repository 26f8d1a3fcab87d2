"""The evaluation of one network, alone or against another, and its report."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ssma_ros.kernels.shared.resampling import nearest
from ssma_ros.training.datasets.shared_samples import SharedSamples
from ssma_ros.training.evaluate.contenders import Contender, Entry, Look, score_side_by_side
from ssma_ros.training.evaluate.evaluation import spread_indices
from ssma_ros.training.evaluate.improvement import Improvement
from ssma_ros.training.evaluate.pictures import improvement_picture, reliability_plot, sample_picture
from ssma_ros.training.evaluate.report import Report, Table, percent
from ssma_ros.training.evaluate.scoring import ALL_SENSORS, CaseResult, Tally, cases_of
from ssma_ros.training.evaluate.tables import class_table, group_tables, improvement_table, score_table, trimap_table
from ssma_ros.training.evaluate.versions import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ssma_ros.contract import Contract
    from ssma_ros.training.datasets.cache import Samples
    from ssma_ros.training.evaluate.calibration import CalibrationFit, PixelScores


class Evaluation:
    """Scores a network in every case of missing sensors.

    Args:
        contenders: the network, and the one it is compared with where there is one.
        open_samples: opens the data for a contract.
        limit: at most this many samples, spread evenly; 0 = all.
        multi_scale: also with flips and scales.
        pictures: this many samples as pictures.

    Attributes:
        contenders: as given.
        improvement: against the second contender, or None.
        pictures: file name → RGB image, after :meth:`run`.

    Raises:
        SsmaError: the contenders' classes differ, or the data cannot be opened.
    """

    def __init__(
        self,
        contenders: Sequence[Contender],
        open_samples: Callable[[Contract], Samples],
        *,
        limit: int = 0,
        multi_scale: bool = False,
        pictures: int = 0,
    ) -> None:
        self.contenders = contenders
        contract = contenders[0].contract
        self._samples = SharedSamples([c.contract for c in contenders], open_samples)
        self._indices = spread_indices(len(self._samples), limit)
        self._entries = [Entry(0, case, Tally(contract)) for case in cases_of(contract, multi_scale=multi_scale)]
        self.improvement: Improvement | None = None
        if len(contenders) > 1:
            self._entries.append(Entry(1, ALL_SENSORS, Tally(contenders[1].contract)))
            self.improvement = Improvement(contract.labels)
        shown = spread_indices(len(self._indices), pictures) if pictures > 0 else []
        self._shown = {self._indices[i]: number for number, i in enumerate(shown)}
        self.pictures: dict[str, NDArray[np.uint8]] = {}

    def run(self, progress: str = "") -> None:
        """Score all samples; ``progress`` is the text of a bar, or none."""
        score_side_by_side(
            self.contenders, self._entries, self._samples, self._indices, progress=progress, observe=[self._observe]
        )

    def results(self) -> dict[str, CaseResult]:
        """Of the first contender, by name of the case."""
        return {entry.case.name: entry.result() for entry in self._entries if entry.contender == 0}

    def _observe(self, look: Look) -> None:
        ours, contract = look.masks.get((0, ALL_SENSORS)), self.contenders[0].contract
        if ours is None:
            return
        sample, number = look.samples[0], self._shown.get(look.index)
        if number is not None:
            self.pictures[f"sample_{number}"] = sample_picture(sample.images, sample.label, ours, contract)
        other = look.masks.get((1, ALL_SENSORS))
        if other is None or self.improvement is None:
            return
        other = nearest(other, contract.width, contract.height)
        self.improvement.update(ours, other, sample.label)
        if number is not None:
            masks = dict(zip(self._names(), (ours, other), strict=True))
            self.pictures[f"improvement_{number}"] = improvement_picture(
                sample.images[0], sample.label, masks, contract
            )

    def _names(self) -> list[str]:
        """Of the contenders, told apart even where two runs have one name."""
        names = [contender.name for contender in self.contenders]
        return names if len(set(names)) == len(names) else [str(contender.path) for contender in self.contenders]

    def improvement_document(self) -> dict[str, Any]:
        """JSON-ready: the comparison with the second contender; empty without one."""
        if self.improvement is None:
            return {}
        return {"improvement": {"over": self._names()[1], **self.improvement.to_document()}}

    def tables(self) -> list[Table]:
        """For the report."""
        results = self.results()
        tables = [score_table(results), *group_tables(results), class_table(results), trimap_table(results)]
        if self.improvement is not None:
            tables.insert(1, improvement_table(self.improvement.to_document(), *self._names()))
        return tables


def evaluation_report(evaluation: Evaluation, facts: Mapping[str, Any], fit: CalibrationFit | None = None) -> Report:
    """The report of an evaluation that was run.

    Args:
        evaluation: with its scores.
        facts: what was scored, for the head.
        fit: the calibration that was fitted before, or None.
    """
    contract = evaluation.contenders[0].contract
    results = evaluation.results()
    head = {**facts, "network": evaluation.contenders[0].network.name, "temperature": contract.temperature}
    if contract.vector_scaling is not None:
        head["vector_scaling"] = {key: list(values) for key, values in asdict(contract.vector_scaling).items()}
    tables = evaluation.tables()
    document: dict[str, Any] = {"results": [r.to_document() for r in results.values()]}
    document.update(evaluation.improvement_document())
    if fit is not None:
        document["calibration"] = _fit_document(fit)
        tables.insert(1, _fit_table(fit))
    first = next(iter(results.values()))
    pictures = {**evaluation.pictures, "reliability": reliability_plot(first.reliability)}
    return Report("Evaluation", {**head, **versions()}, document, tables, pictures)


def _stages(fit: CalibrationFit) -> dict[str, PixelScores]:
    stages = {"none": fit.before, "fitted": fit.after}
    return stages if fit.held_out is None else {**stages, "fitted on the other half": fit.held_out}


def _fit_document(fit: CalibrationFit) -> dict[str, Any]:
    scores = {name: asdict(scores) for name, scores in _stages(fit).items()}
    return {"samples": fit.samples, "pixels": fit.pixels, "changed": fit.changed, **scores}


def _fit_table(fit: CalibrationFit) -> Table:
    rows = [[name, percent(s.ece, 2), f"{s.nll:.4f}", percent(s.miou)] for name, s in _stages(fit).items()]
    note = (f"On {fit.pixels} labelled pixels of {fit.samples} samples; "
            f"{percent(fit.changed, 2)} % of them change their class.")
    return Table("Calibration", ["calibration", "ECE (%)", "NLL", "mIoU (%)"], rows, note)
