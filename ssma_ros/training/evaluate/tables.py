# SPDX-License-Identifier: Apache-2.0
"""The tables of reports; figures are percentages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssma_ros.training.evaluate.render import Table, percent
from ssma_ros.training.evaluate.score import CASE_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ssma_ros.training.evaluate.calibration import CalibrationFit
    from ssma_ros.training.evaluate.networks import TrainedNetwork
    from ssma_ros.training.evaluate.score import CaseResult

_SCORES = {"miou": "mIoU", "acc": "Acc", "ap": "AP", "giou": "gIoU", "fpr": "FPR", "fnr": "FNR"}


def score_table(results: Mapping[str, CaseResult], first: str = "case") -> Table:
    """The summary scores, and what streams the samples had; ``first`` heads the column of names."""
    rows = [
        [name, str(r.samples), *(percent(r.scores[key]) for key in _SCORES), percent(r.ece)]
        for name, r in results.items()
    ]
    lacking = [
        f"in {name} {stream} was blank in {r.samples - count} of {r.samples} samples"
        for name, r in results.items() if "no " not in name and "only" not in name
        for stream, count in r.there.items() if count < r.samples
    ]
    note = f"{'; '.join(lacking)}." if lacking else "Every sample had every stream of the contract."
    return Table("Scores (%)", [first, "samples", *_SCORES.values(), "ECE"], rows, note[0].upper() + note[1:])


def class_table(results: Mapping[str, CaseResult], first: str = "case") -> Table:
    """IoU of each class."""
    names = list(next(iter(results.values())).scores["iou"])
    rows = [[name, *(percent(r.scores["iou"][n]) for n in names)] for name, r in results.items()]
    return Table("IoU by class (%)", [first, *names], rows)


def trimap_table(results: Mapping[str, CaseResult], first: str = "case") -> Table:
    """mIoU in bands along class boundaries."""
    widths = list(next(iter(results.values())).trimap)
    rows = [[name, *(percent(r.trimap[w]) for w in widths)] for name, r in results.items()]
    return Table("mIoU near class boundaries (%), by distance in pixels", [first, *(f"<= {w}" for w in widths)], rows)


def group_tables(results: Mapping[str, CaseResult], first: str = "case") -> list[Table]:
    """mIoU by group with mean and standard deviation over the groups; none where the data tells no groups."""
    groups = list(dict.fromkeys(group for r in results.values() for group in r.groups))
    if not groups:
        return []
    rows = []
    for name, r in results.items():
        by_group = [percent(r.groups[g].scores["miou"]) if g in r.groups else "–" for g in groups]
        rows.append([name, *by_group, *(percent(value) for value in r.spread())])
    counts = {g: max(r.groups[g].samples for r in results.values() if g in r.groups) for g in groups}
    spelled = ", ".join(f"{g} {n}" for g, n in counts.items())
    note = f"Samples: {spelled}. Mean and standard deviation are over the conditions, each counting once."
    return [Table("mIoU by condition (%)", [first, *groups, "mean", "std"], rows, note)]


def improvement_table(document: Mapping[str, Any], name: str, other: str) -> Table:
    """Shares gained and lost by class; ``document`` is what an ``Improvement`` says."""
    rows = [
        [class_name, *_shares(c), percent(c["other_iou"]), percent(c["iou"]), _signed(c["other_iou"], c["iou"])]
        for class_name, c in document["classes"].items()
    ]
    total = [percent(document["other_miou"]), percent(document["miou"]),
             _signed(document["other_miou"], document["miou"])]
    rows.append(["all (mIoU)", *_shares(document["all"]), *total])
    head = ["class", "gained", "lost", "net", "both wrong", f"IoU {other}", f"IoU {name}", "difference"]
    note = (f"Of the labelled pixels of each class: gained = right in {name} only, lost = right in {other} only. "
            "Pictures: green = gained, red = lost.")
    return Table(f"{name} against {other} (%)", head, rows, note)


def missing_tables(found: Mapping[str, Mapping[str, CaseResult]]) -> list[Table]:
    """mIoU with sensors missing, of the networks that have a stream left then; network → case → scores."""
    cases = [case for case in CASE_NAMES if any(case in results for results in found.values())]
    several = {n: results for n, results in found.items() if sum(case in results for case in cases) > 1}
    if not several:
        return []
    rows = [
        [name, *(percent(results[case].scores["miou"]) if case in results else "–" for case in cases)]
        for name, results in several.items()
    ]
    return [Table("mIoU with sensors missing (%)", ["network", *cases], rows, "All samples together.")]


def network_table(networks: Sequence[TrainedNetwork]) -> Table:
    """What the networks are."""
    rows = []
    for network in networks:
        facts = network.facts()
        rows.append([network.name, facts["network"], ", ".join(facts["streams"]),
                     f"{facts['parameters'] / 1e6:.2f} M", facts["model"]])
    return Table("Networks", ["network", "kind", "streams", "parameters", "model"], rows)


def calibration_table(fit: CalibrationFit) -> Table:
    """What a fitted calibration changes."""
    rows = [[name, percent(s.ece, 2), f"{s.nll:.4f}", percent(s.miou)] for name, s in fit.stages().items()]
    note = (f"On {fit.pixels} labelled pixels of {fit.samples} samples; "
            f"{percent(fit.changed, 2)} % of them change their class.")
    return Table("Calibration", ["calibration", "ECE (%)", "NLL", "mIoU (%)"], rows, f"{note} {fit.remark()}".rstrip())


def _shares(counts: Mapping[str, float | None]) -> list[str]:
    gained, lost = counts["gained"], counts["lost"]
    return [percent(gained), percent(lost), _signed(lost, gained), percent(counts["both_wrong"])]


def _signed(before: float | None, after: float | None) -> str:
    return "–" if before is None or after is None else f"{100 * (after - before):+.1f}"
