# SPDX-License-Identifier: Apache-2.0
"""Whether work keeps pace with what comes in. Pure: told of every moment, asks no clock."""

from __future__ import annotations

from collections import deque
from statistics import median

#: Work that takes more than this share of the time between two arrivals cannot catch up with them.
_BUSY = 0.9


class Pace:
    """How fast driving images come and how long the work on one frame takes."""

    def __init__(self) -> None:
        self._arrivals: deque[int] = deque(maxlen=30)
        self._work: deque[int] = deque(maxlen=5)
        self._given_ns: int | None = None

    def arrived(self, now_ns: int, pause_ns: int) -> None:
        """A driving image came; after a pause the pace before it says nothing."""
        if self._arrivals and now_ns - self._arrivals[-1] > pause_ns:
            self._arrivals.clear()
        self._arrivals.append(now_ns)

    def given(self, now_ns: int) -> None:
        """Work on a frame begins."""
        self._given_ns = now_ns

    def free(self, now_ns: int) -> None:
        """The next frame is asked for."""
        if self._given_ns is not None:
            self._work.append(now_ns - self._given_ns)
            self._given_ns = None

    @property
    def busy(self) -> bool:
        """Whether work on a frame goes on."""
        return self._given_ns is not None

    @property
    def falls_behind(self) -> bool:
        """Whether the work is too slow for the driving images."""
        if len(self._arrivals) < 2 or not self._work:
            return False
        interval = (self._arrivals[-1] - self._arrivals[0]) / (len(self._arrivals) - 1)
        return median(self._work) > _BUSY * interval
