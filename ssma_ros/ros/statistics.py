# SPDX-License-Identifier: Apache-2.0
"""Small running statistics for diagnostics; each object may be used from several threads."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class RateMeter:
    """Messages a second over the last few seconds.

    Args:
        window_s: length of the window in seconds.
    """

    def __init__(self, window_s: float = 5.0) -> None:
        self._window_ns = int(window_s * 1e9)
        self._arrivals: deque[int] = deque(maxlen=1000)
        self._lock = threading.Lock()

    def tick(self, now_ns: int) -> None:
        """One message arrived now."""
        with self._lock:
            self._arrivals.append(now_ns)

    def rate_hz(self, now_ns: int) -> float:
        """Mean rate over the window, 0 with fewer than two messages in it."""
        with self._lock:
            while self._arrivals and now_ns - self._arrivals[0] > self._window_ns:
                self._arrivals.popleft()
            if len(self._arrivals) < 2:
                return 0.0
            # Measured up to now, so that the rate sinks as soon as messages stay away.
            span = max(self._arrivals[-1] - self._arrivals[0], now_ns - self._arrivals[1], 1)
            return (len(self._arrivals) - 1) * 1e9 / span


class StageTimes:
    """Durations by stage; remembers the last few hundred of each."""

    def __init__(self, length: int = 300) -> None:
        self._length = length
        self._times: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def add(self, timings_ms: Mapping[str, float]) -> None:
        """Take in one frame's milliseconds by stage."""
        with self._lock:
            for stage, value in timings_ms.items():
                self._times.setdefault(stage, deque(maxlen=self._length)).append(value)

    def percentiles(self, *percents: float) -> dict[str, tuple[float, ...]]:
        """For each stage the wanted percentiles in milliseconds."""
        with self._lock:
            copies = {stage: list(times) for stage, times in self._times.items()}
        return {stage: tuple(float(v) for v in np.percentile(times, percents)) for stage, times in copies.items()}

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._times.clear()


class ThrottledLog:
    """Says each kind of sentence at most once a period, and how often it held its tongue.

    Args:
        write: receives the sentences.
        period_s: seconds between two sentences of one kind.
        clock_ns: a clock that never jumps.
    """

    #: Kinds remembered; beyond it the oldest is forgotten, so that a stream of ever new kinds takes no memory.
    LIMIT = 200

    def __init__(self, write: Callable[[str], object], clock_ns: Callable[[], int], period_s: float = 5.0) -> None:
        self._write = write
        self._clock_ns = clock_ns
        self._period_ns = int(period_s * 1e9)
        self._said: dict[str, tuple[int, int]] = {}  # kind -> (when, how many held back since)
        self._lock = threading.Lock()

    def say(self, kind: str, sentence: str) -> None:
        """Write ``sentence`` unless one of the same kind was written less than a period ago."""
        now = self._clock_ns()
        with self._lock:
            when, held_back = self._said.get(kind, (None, 0))
            if when is not None and now - when < self._period_ns:
                self._said[kind] = (when, held_back + 1)
                return
            self._said.pop(kind, None)
            self._said[kind] = (now, 0)
            if len(self._said) > self.LIMIT:
                del self._said[next(iter(self._said))]
        more = f" (and {held_back} more like it since the last report)" if held_back else ""
        self._write(sentence + more)
