# SPDX-License-Identifier: Apache-2.0
"""The thread that does the heavy work, so that no callback ever waits for a network."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from ssma_ros.synchronization import Matched, SyncCounters, Synchronizer, SyncOptions

if TYPE_CHECKING:
    from collections.abc import Callable


class FusionWorker:
    """Matches messages into frames and hands the newest ready one to ``handle``, one at a time.

    Args:
        options: how frames are matched.
        handle: does the work; called in the worker's thread with the frame and its ticket.
        ticket: asked at the moment the frame is taken, so that no deactivation can come between.
        failed: is told of an exception that ``handle`` let through; the worker goes on with the next frame.
    """

    def __init__(
        self,
        options: SyncOptions,
        handle: Callable[[Matched[Any], int], None],
        ticket: Callable[[], int],
        failed: Callable[[Exception], None],
    ) -> None:
        self._synchronizer: Synchronizer[Any] = Synchronizer(options)
        self._handle = handle
        self._ticket = ticket
        self._failed = failed
        self._changed = threading.Condition()
        self._active = False
        self._ending = False
        self._began_ns: int | None = None
        self._thread = threading.Thread(target=self._run, name="fusion", daemon=True)
        self._thread.start()

    @property
    def active(self) -> bool:
        """Whether messages are taken in and frames handed out."""
        return self._active

    @property
    def counters(self) -> SyncCounters:
        """The synchroniser's counters."""
        return self._synchronizer.counters

    def offer(self, sensor: str, stamp_ns: int, message: Any) -> None:
        """Take in one message; returns at once. Ignored while inactive."""
        with self._changed:
            if self._active:
                self._synchronizer.add(sensor, stamp_ns, message, time.monotonic_ns())
                self._changed.notify()

    def set_active(self, active: bool) -> None:
        """Start or stop handing out frames; a frame in work is finished. Messages from before are forgotten."""
        with self._changed:
            self._active = active
            self._synchronizer.clear()
            self._changed.notify()

    def set_options(self, options: SyncOptions) -> None:
        """Change slop, timeout or staleness."""
        with self._changed:
            self._synchronizer.options = options
            self._changed.notify()

    def ages_ns(self) -> dict[str, int | None]:
        """Nanoseconds since each sensor's last message, None for never."""
        with self._changed:
            now = time.monotonic_ns()
            return {sensor: self._synchronizer.age_ns(sensor, now) for sensor in self._synchronizer.options.sensors}

    def driver(self) -> str:
        """The sensor whose images make frames now."""
        with self._changed:
            return self._synchronizer.driver(time.monotonic_ns())

    def work_ns(self, now_ns: int) -> int | None:
        """How long the work on the present frame has gone on, None while there is none."""
        began = self._began_ns
        return None if began is None else now_ns - began

    def close(self, timeout_s: float = 30.0) -> bool:
        """End the thread after the frame in work; False if it is still busy after ``timeout_s``."""
        with self._changed:
            self._active = False
            self._ending = True
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (taken := self._wait()) is not None:
            self._began_ns = time.monotonic_ns()
            try:
                self._handle(*taken)
            except Exception as error:
                self._failed(error)
            finally:
                self._began_ns = None

    def _wait(self) -> tuple[Matched[Any], int] | None:
        """The next frame and its ticket, or None at the end."""
        with self._changed:
            while not self._ending:
                now = time.monotonic_ns()
                matched = self._synchronizer.take(now) if self._active else None
                if matched is not None:
                    return matched, self._ticket()
                deadline = self._synchronizer.next_deadline_ns() if self._active else None
                self._changed.wait(None if deadline is None else max(deadline - now, 0) / 1e9 + 1e-4)
        return None
