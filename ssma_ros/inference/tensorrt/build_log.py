# SPDX-License-Identifier: Apache-2.0
"""How far the build of an engine is, a line of the log for each tenth."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class _Phase:
    """A phase under way: ``done`` of ``steps`` steps; a phase inside it fills a part of its next step."""

    parent: str | None
    steps: int
    done: int = 0


class BuildLog:
    """A :class:`ssma_ros.inference.tensorrt.builder.Progress` that writes sentences.

    TensorRT calls it from its own threads.

    Args:
        write: receives the sentences.
        going_on: asked after each step; False stops the build.
        lines: of the log from the beginning to the end.
    """

    def __init__(self, write: Callable[[str], object], going_on: Callable[[], bool], lines: int = 10) -> None:
        self._write = write
        self._going_on = going_on
        self._lines = lines
        self._phases: dict[str, _Phase] = {}
        self._said = 0
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def start(self, phase: str, parent: str | None, steps: int) -> None:
        """A phase of ``steps`` steps begins."""
        with self._lock:
            outermost = not self._phases
            self._phases[phase] = _Phase(parent, max(1, steps))
            if outermost:
                self._said, self._began = 0, time.monotonic()
                self._write(f"{phase}, which can take minutes")

    def step(self, phase: str, step: int) -> bool:
        """Step ``step`` (from 0) of a phase is done; False stops the build."""
        with self._lock:
            known = self._phases.get(phase)
            if known is not None:
                known.done = max(known.done, min(step + 1, known.steps))
                self._say(phase)
        return self._going_on()

    def finish(self, phase: str) -> None:
        """A phase ends."""
        with self._lock:
            self._phases.pop(phase, None)

    def _say(self, phase: str) -> None:
        """Write a line where another part of the whole is done."""
        share, outermost = self._share(phase)
        part = int(share * self._lines + 1e-9)
        if part > self._said:
            self._said = part
            seconds = time.monotonic() - self._began
            self._write(f"{outermost}: {100 * part // self._lines} % after {seconds:.0f} s")

    def _share(self, phase: str) -> tuple[float, str]:
        """How much of the outermost phase around ``phase`` is done (0..1), and that phase."""
        entry = self._phases[phase]
        share = entry.done / entry.steps
        seen = {phase}
        while entry.parent in self._phases and entry.parent not in seen:
            phase = entry.parent
            seen.add(phase)
            entry = self._phases[phase]
            share = min(1.0, (entry.done + share) / entry.steps)
        return share, phase
