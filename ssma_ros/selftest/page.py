# SPDX-License-Identifier: Apache-2.0
"""The results as a page for people, and as the JSON that it is made from."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError
from ssma_ros.selftest.chain import TARGET_MS as CHAIN_MS
from ssma_ros.selftest.kernels import TARGETS_MS as PREPROCESSING_MS
from ssma_ros.selftest.networks import TARGETS_MS as NETWORKS_MS
from ssma_ros.selftest.run import Result
from ssma_ros.selftest.steps import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: Whose times are compared: as quick as ``torch.compile`` at least, we hope for twice.
_RATIO_OF = "ssma-resnet50-rgb-hha"


def document(results: Sequence[Result], note: str, size: str) -> dict[str, Any]:
    """The results, JSON-ready."""
    return {"note": note, "size": size, "results": [asdict(result) for result in results]}


def results_of(found: Mapping[str, Any]) -> list[Result]:
    """The results that :func:`document` made a document of.

    Raises:
        SsmaError: it is none.
    """
    try:
        return [Result(**entry) for entry in found["results"]]
    except (KeyError, TypeError) as error:
        raise SsmaError(f"results: cannot be read ({error!r}), expected the JSON of 'ssma selftest --gpu'") from None


def page(found: Mapping[str, Any]) -> str:
    """The page of a document: what the machine is, what became of each step, all times and all comparisons."""
    results = results_of(found)
    machine = [result.found.get("facts", {}) for result in results if result.step == "machine"]
    facts: Mapping[str, str] = machine[0] if machine else {}
    gpu = facts.get("GPU", "none at hand, the columns of times are empty")
    lines = [
        "# GPU: what runs, how near, how fast",
        "",
        "Written by `ssma selftest --gpu --markdown`; more in [benchmarks.md](benchmarks.md).",
        "",
        f"* GPU: {gpu}",
        *(f"* {name}: {words}" for name, words in facts.items() if name != "GPU"),
        f"* size: {found['size']}; the shipped network has its own",
        *([f"* {found['note']}"] if found.get("note") else []),
        "",
        "## Steps",
        "",
        *_table(("step", "what", "result", "s", "why"), [
            (r.step, r.title, r.state, f"{r.seconds:.0f}" if r.found else "", "" if r.state == "no GPU" else r.words)
            for r in results
        ]),
        "",
        "## Times",
        "",
        "Milliseconds; of networks and kernels by the GPU's own events, of calls and the chain by the clock.",
        "",
        *_table(("what", "target", "median", "p95"), list(_times(results))),
        *_ratio(results),
        "",
    ]
    comparisons = [
        (result.step, check["name"], "yes" if check["passed"] else "**no**", check["words"])
        for result in results for check in result.found.get("checks", [])
    ]
    if comparisons:
        lines += ["## Comparisons", "", *_table(("step", "what", "as it must be", "found"), comparisons), ""]
    remarks = [
        (result.step, name, words) for result in results if result.step != "machine"
        for name, words in result.found.get("facts", {}).items()
    ]
    if remarks:
        lines += ["## Remarks", "", *_table(("step", "what", ""), remarks), ""]
    return "\n".join(lines)


def summary(results: Sequence[Result]) -> str:
    """One line: how many steps ended how."""
    states = dict.fromkeys(result.state for result in results)
    return ", ".join(f"{sum(r.state == state for r in results)} {state}" for state in states)


def exit_status(results: Sequence[Result]) -> int:
    """0: what could be run passed. 1: something failed. 3: nothing could be run."""
    states = {result.state for result in results}
    return 1 if "failed" in states else 0 if "passed" in states else 3


def _times(results: Sequence[Result]) -> Iterator[tuple[str, ...]]:
    """A row for each time: first those of the table of what is expected, empty where they are not known."""
    found = {figure["name"]: figure for result in results for figure in result.found.get("figures", [])}
    for name, target in expected_figures().items():
        figure = found.pop(name, None)
        cells = ("", "") if figure is None else (_ms(figure["median_ms"]), _ms(figure["p95_ms"]))
        yield (name, "" if target is None else f"{target:g}", *cells)
    for name, figure in found.items():
        yield name, "", _ms(figure["median_ms"]), _ms(figure["p95_ms"])


def expected_figures() -> dict[str, float | None]:
    """Times that a complete run brings, in the page's order, with their targets in milliseconds."""
    expected: dict[str, float | None] = dict(PREPROCESSING_MS)
    for step in STEPS:
        options = step.options
        if step.function.startswith("networks:"):
            network = options.get("network", "forest_rgb_hha_evi")
            key = (network, options["backend"], options["precision"])
            expected[f"{network}, {key[1]} {key[2]}: network"] = NETWORKS_MS.get(key)
        elif step.function.startswith("chain:"):
            expected[f"frame to mask, {options['backend']}, preprocessing on gpu: total"] = CHAIN_MS
    return expected


def _ratio(results: Sequence[Result]) -> list[str]:
    times = {figure["name"]: figure["median_ms"] for r in results for figure in r.found.get("figures", [])}
    ours, theirs = (times.get(f"{_RATIO_OF}, {backend} fp16: network") for backend in ("tensorrt", "torch:compile"))
    if not ours or not theirs:
        return []
    return ["", f"TensorRT runs {_RATIO_OF} {theirs / ours:.2f} times as fast as torch.compile (target: 2)."]


def _ms(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    body = [[str(cell).replace("|", "/").replace("\n", " ") for cell in row] for row in rows]
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body)]
