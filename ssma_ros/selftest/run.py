# SPDX-License-Identifier: Apache-2.0
"""Runs the steps one after the other, each in a process of its own, and says what became of each."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ssma_ros.apart import run_apart

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ssma_ros.selftest.findings import Settings
    from ssma_ros.selftest.steps import Step

#: A step that could have less time than this is not begun.
_LEAST_S = 5.0
#: Kinds of ends that are no failure.
_STATES = {"NoGpuError": "no GPU", "NotInstalledError": "not installed"}


@dataclass(frozen=True)
class Result:
    """What became of a step.

    Attributes:
        step: its name.
        title: its title.
        state: ``passed``, ``failed``, ``no GPU``, ``not installed`` or ``no time``.
        words: why it is not ``passed``.
        seconds: that it took.
        found: as :meth:`ssma_ros.selftest.findings.Findings.document`, or empty.
    """

    step: str
    title: str
    state: str
    words: str = ""
    seconds: float = 0.0
    found: Mapping[str, Any] = field(default_factory=dict)


def run_steps(
    steps: Sequence[Step], settings: Settings, minutes: float, function: str = "ssma_ros.selftest.steps:run_step"
) -> Iterator[Result]:
    """Run the steps in order.

    Args:
        steps: to run.
        settings: of all.
        minutes: in all; a step that does not fit in any more is not begun, and one under way is ended.
        function: that runs a step, see :func:`ssma_ros.apart.run_apart`.

    Yields:
        A result for each step, as soon as it is over.
    """
    end = time.monotonic() + 60.0 * minutes
    for step in steps:
        left = end - time.monotonic()
        if left < _LEAST_S:
            yield Result(step.name, step.title, "no time", f"the {minutes:g} minutes were over")
            continue
        argument = {"step": step.name, "settings": asdict(settings)}
        outcome = run_apart(function, argument, min(step.limit_s, left))
        found = outcome.result or {}
        wrong = [check for check in found.get("checks", []) if not check["passed"]]
        state, words = "passed", ""
        if outcome.error:
            state, words = _STATES.get(outcome.kind, "failed"), outcome.error
            if outcome.kind == "timeout" and left < step.limit_s:
                state, words = "no time", f"the {minutes:g} minutes were over before it was done"
        if wrong:
            state = "failed"
            words = "; ".join([*(f"{check['name']}: {check['words']}" for check in wrong), *([words] if words else [])])
        yield Result(step.name, step.title, state, words, outcome.seconds, found)
