# SPDX-License-Identifier: Apache-2.0
"""Reports: one result as JSON, Markdown and HTML, with pictures."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.files import write_atomically, write_picture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

JSON_NAME = "report.json"


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: heading, with the unit.
        head: of the columns; the first names the rows.
        rows: as many cells each.
        note: a sentence below, or "".
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Report:
    """What is written.

    Attributes:
        title: heading.
        facts: what was scored, on what, with which versions.
        document: everything else for the JSON file, unrounded.
        tables: for people.
        pictures: file name without suffix → RGB image.
    """

    title: str
    facts: Mapping[str, Any]
    document: Mapping[str, Any]
    tables: Sequence[Table]
    pictures: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)


def write_report(folder: Path, report: Report) -> None:
    """Fill ``folder`` (which exists) with report.json, report.md, report.html and the pictures as PNG, each file whole
    or not at all.

    Raises:
        SsmaError: the disk refuses.
    """
    for name, picture in report.pictures.items():
        write_picture(folder / f"{name}.png", picture[..., ::-1])
    write_atomically(folder / "report.md", _markdown(report).encode())
    write_atomically(folder / "report.html", _html(report).encode())
    assert not report.facts.keys() & report.document.keys(), "a fact would be lost in the JSON file"
    document = {**report.facts, **report.document}
    write_atomically(folder / JSON_NAME, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


def percent(value: float | None, digits: int = 1) -> str:
    """A share as percent without the sign, – where there is none."""
    return "–" if value is None or np.isnan(value) else f"{100 * value:.{digits}f}"


def _markdown(report: Report) -> str:
    lines = [f"# {report.title}", "", *(f"- {key}: {value}" for key, value in report.facts.items()), ""]
    for table in report.tables:
        lines += [f"## {table.title}", "", *table_lines(table), ""]
        if table.note:
            lines += [table.note, ""]
    for name in report.pictures:
        lines += [f"![{name}]({name}.png)", ""]
    return "\n".join(lines)


def table_lines(table: Table) -> list[str]:
    """The table in Markdown, without title and note."""
    return [_row(table.head), _row(["---"] * len(table.head)), *map(_row, table.rows)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


_STYLE = (
    "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right}"
    "td:first-child,th:first-child{text-align:left}tr:nth-child(even){background:#f2f2f2}"
    "div{overflow-x:auto}img{max-width:100%}"
)


def _html(report: Report) -> str:
    def cells(tag: str, values: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(v)}</{tag}>" for v in values) + "</tr>"

    title = html.escape(report.title)
    facts = "".join(f"<li>{html.escape(key)}: {html.escape(str(value))}</li>" for key, value in report.facts.items())
    body = [f"<h1>{title}</h1><ul>{facts}</ul>"]
    for table in report.tables:
        inside = "".join(cells("td", row) for row in table.rows)
        note = f"<p>{html.escape(table.note)}</p>" if table.note else ""
        body.append(f"<h2>{html.escape(table.title)}</h2>")
        body.append(f"<div><table>{cells('th', table.head)}{inside}</table></div>{note}")
    body += [f'<p><img src="{html.escape(p)}.png" alt="{html.escape(p)}"></p>' for p in report.pictures]
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{chr(10).join(body)}</body></html>\n'
