"""Evaluation reports: one result as JSON, Markdown and HTML, with pictures."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract


@dataclass
class CaseResult:
    """Scores of one way of looking at the data.

    Attributes:
        name: for example ``all sensors`` or ``no depth``.
        samples: how many were scored.
        scores: of :meth:`ssma_ros.metrics.ConfusionMatrix.summary`.
        ece: expected calibration error.
        reliability: of :meth:`ssma_ros.training.metrics.Calibration.reliability`.
        trimap: band half-width in pixels → mIoU in it.
    """

    name: str
    samples: int
    scores: Mapping[str, Any]
    ece: float
    reliability: Sequence[Mapping[str, float]] = field(default_factory=list)
    trimap: Mapping[int, float] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "case": self.name, "samples": self.samples, **self.scores, "ece": _number(self.ece),
            "trimap_miou": {str(w): _number(v) for w, v in self.trimap.items()},
            "reliability": [{k: _number(v) for k, v in b.items()} for b in self.reliability],
        }


def write_report(
    folder: Path,
    facts: Mapping[str, Any],
    results: Sequence[CaseResult],
    pictures: Mapping[str, NDArray[np.uint8]],
) -> None:
    """Fill ``folder`` (which exists) with report.json, report.md, report.html and the pictures (RGB, as PNG)."""
    document = {**facts, "results": [r.to_document() for r in results]}
    (folder / "report.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    shown = {**pictures, "reliability": reliability_plot(results[0].reliability)}
    for name, picture in shown.items():
        cv2.imwrite(str(folder / f"{name}.png"), picture[..., ::-1])
    tables = [_main_table(results), _class_table(results), _trimap_table(results)]
    (folder / "report.md").write_text(_markdown(facts, tables, list(shown)), encoding="utf-8")
    (folder / "report.html").write_text(_html(facts, tables, list(shown)), encoding="utf-8")


Table = tuple[str, list[str], list[list[str]]]


def _main_table(results: Sequence[CaseResult]) -> Table:
    keys = {"miou": "mIoU", "acc": "Acc", "ap": "AP", "giou": "gIoU", "fpr": "FPR", "fnr": "FNR"}
    rows = [
        [r.name, str(r.samples), *(_percent(r.scores[k]) for k in keys), f"{100 * r.ece:.1f}"] for r in results
    ]
    return "Scores (%)", ["case", "samples", *keys.values(), "ECE"], rows


def _class_table(results: Sequence[CaseResult]) -> Table:
    names = list(results[0].scores["iou"])
    return "IoU by class (%)", ["case", *names], [
        [r.name, *(_percent(r.scores["iou"][n]) for n in names)] for r in results
    ]


def _trimap_table(results: Sequence[CaseResult]) -> Table:
    widths = list(results[0].trimap)
    return "mIoU near class boundaries (%), by distance in pixels", ["case", *(f"<= {w}" for w in widths)], [
        [r.name, *(_percent(r.trimap[w]) for w in widths)] for r in results
    ]


def _markdown(facts: Mapping[str, Any], tables: Sequence[Table], pictures: Sequence[str]) -> str:
    lines = ["# Evaluation", "", *(f"- {key}: {value}" for key, value in facts.items()), ""]
    for title, head, rows in tables:
        lines += [f"## {title}", "", _row(head), _row(["---"] * len(head)), *(_row(r) for r in rows), ""]
    lines += [f"![{name}]({name}.png)" for name in pictures]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _html(facts: Mapping[str, Any], tables: Sequence[Table], pictures: Sequence[str]) -> str:
    def cells(tag: str, values: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(v)}</{tag}>" for v in values) + "</tr>"

    parts = [f"<li>{html.escape(key)}: {html.escape(str(value))}</li>" for key, value in facts.items()]
    body = f"<h1>Evaluation</h1><ul>{''.join(parts)}</ul>"
    for title, head, rows in tables:
        inside = "".join(cells("td", row) for row in rows)
        body += f"<h2>{html.escape(title)}</h2><table>{cells('th', head)}{inside}</table>"
    body += "".join(f'<p><img src="{p}.png" alt="{p}"></p>' for p in pictures)
    style = "body{font-family:sans-serif;margin:2em}td,th{padding:.2em .8em;text-align:right}img{max-width:100%}"
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Evaluation</title><style>{style}</style>{body}'


def reliability_plot(bins: Sequence[Mapping[str, float]], side: int = 360) -> NDArray[np.uint8]:
    """Accuracy over confidence as bars with the diagonal of a calibrated network; side×side×3 uint8."""
    image = np.full((side, side, 3), 255, np.uint8)
    margin, span = 30, side - 60

    def at(x: float, y: float) -> tuple[int, int]:
        return margin + round(x * span), side - margin - round(y * span)

    for entry in bins:
        left, top = at(entry["confidence"] - 0.02, entry["accuracy"])
        right, bottom = at(entry["confidence"] + 0.02, 0.0)
        cv2.rectangle(image, (left, top), (right, bottom), (70, 120, 190), cv2.FILLED)
    cv2.line(image, at(0, 0), at(1, 1), (160, 160, 160), 1, cv2.LINE_AA)
    cv2.rectangle(image, at(0, 1), at(1, 0), (0, 0, 0), 1)
    cv2.putText(image, "confidence", at(0.35, -0.07), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.putText(image, "accuracy", (4, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return image


def sample_picture(
    images: Sequence[NDArray[np.uint8]], label: NDArray[np.uint8], mask: NDArray[np.uint8], contract: Contract
) -> NDArray[np.uint8]:
    """Inputs above; label, prediction and error map (white = wrong) below; at half size, RGB."""
    palette = np.array(contract.labels.palette(), np.uint8)
    wrong = (mask != label) & (label != contract.labels.ignore_id)
    errors = np.repeat((wrong * np.uint8(255))[..., None], 3, axis=2)
    inputs = [i if s.encoding == "rgb" else i[..., ::-1] for i, s in zip(images, contract.streams, strict=True)]
    rows = [np.hstack(inputs), np.hstack([palette[label], palette[mask], errors])]
    width = max(row.shape[1] for row in rows)
    rows = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return np.ascontiguousarray(np.vstack(rows)[::2, ::2])


def _percent(value: float | None) -> str:
    return "–" if value is None or np.isnan(value) else f"{100 * value:.1f}"


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
