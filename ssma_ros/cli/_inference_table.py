# SPDX-License-Identifier: Apache-2.0
"""Measurements of backends as Markdown, a table for each network."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssma_ros.inference.benchmark import Measurement


def markdown_page(found: Sequence[Measurement], gpu: str | None, machine: str, note: str) -> str:
    """The tables with what a reader must know about them: machine, software, how often was measured."""
    versions = sorted({
        f"{m.identity['backend']} {m.identity['version']}" for m in found if m.identity and "version" in m.identity
    })
    counts = sorted(m.frames for m in found if not m.error)
    times = f"{counts[0]} to {counts[-1]} timed calls each" if counts else "nothing could be timed"
    lines = [
        "# Inference: every network, size and backend",
        "",
        "Written by `ssma benchmark inference --markdown`; more in [benchmarks_inference.md](benchmarks_inference.md).",
        "",
        f"* machine: {machine}; GPU: {gpu or 'none, its column is empty'}",
        f"* software: {', '.join(versions) or 'none'}",
        f"* untrained weights, images of noise; {times}, each case in a process of its own",
        *([f"* {note}"] if note else []),
        "",
        markdown_tables(found, gpu),
        "",
    ]
    return "\n".join(lines)


def markdown_tables(found: Sequence[Measurement], gpu: str | None) -> str:
    """One table for each network, largest size last.

    Args:
        found: measurements in any order.
        gpu: its name; None keeps its column, labelled and empty.
    """
    networks = dict.fromkeys(m.case.network for m in found)
    return "\n\n".join(
        f"### {network}\n\n{markdown_table([m for m in found if m.case.network == network], gpu)}"
        for network in networks
    )


def markdown_table(found: Sequence[Measurement], gpu: str | None) -> str:
    """The measurements as one table; what could not be measured is a line with the reason."""
    gpu_title = f"GPU ({gpu}) ms, MB" if gpu else "GPU ms, MB (not run: no GPU at hand)"
    head = (
        "size", "backend", "precision", "threads", "network ms (median / p95)", gpu_title,
        "whole call ms (median / p95)", "processor ms", "memory MB", "file MB", "load s", "build s",
    )
    lines = [_line(head), "|" + "---|" * len(head)]
    for m in sorted(found, key=lambda m: (m.case.width * m.case.height, m.case.on_gpu)):
        case = m.case
        threads = "–" if case.on_gpu else str(case.threads or "all")
        start = (f"{case.width}×{case.height}", case.backend, case.precision, threads)
        lines.append(_line((*start, *_cells(m))))
    return "\n".join(lines)


def _cells(m: Measurement) -> tuple[str, ...]:
    if m.error:
        return ("–", "", m.error.replace("|", "/"), *[""] * 5)
    network = f"{_ms(m.device_ms)} / {_ms(m.device_p95_ms)}"
    on_processor, on_gpu = ("", f"{network}, {m.gpu_mb:.0f}") if m.case.on_gpu else (network, "")
    build = f"{m.build_s:.0f}" if m.build_s else ""
    call = f"{_ms(m.call_ms)} / {_ms(m.call_p95_ms)}"
    sizes = f"{m.memory_mb:.0f}", f"{m.file_mb:.1f}"
    return on_processor, on_gpu, call, _ms(m.processor_ms), *sizes, f"{m.load_s:.1f}", build


def _ms(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
