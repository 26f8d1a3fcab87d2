"""Tables of scores for reports; figures are percentages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssma_ros.training.evaluate.report import Table, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssma_ros.training.evaluate.scoring import CaseResult
_SCORES = {"miou": "mIoU", "acc": "Acc", "ap": "AP", "giou": "gIoU", "fpr": "FPR", "fnr": "FNR"}



def score_table(results: Mapping[str, CaseResult], first: str = "case") -> Table:
    """The summary scores; ``first`` heads the column of names."""
    rows = [
        [name, str(r.samples), *(percent(r.scores[key]) for key in _SCORES), percent(r.ece)]
        for name, r in results.items()
    ]
    return Table("Scores (%)", [first, "samples", *_SCORES.values(), "ECE"], rows)


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


def _shares(counts: Mapping[str, float | None]) -> list[str]:
    gained, lost = counts["gained"], counts["lost"]
    return [percent(gained), percent(lost), _signed(lost, gained), percent(counts["both_wrong"])]


def _signed(before: float | None, after: float | None) -> str:
    return "–" if before is None or after is None else f"{100 * (after - before):+.1f}"
