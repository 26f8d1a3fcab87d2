# SPDX-License-Identifier: Apache-2.0
"""The worker's thread: newest frame, timeouts without traffic, failures survived, quick to stop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ssma_ros.ros.worker import FusionWorker
from ssma_ros.synchronization import Matched, SyncOptions

MS = 1_000_000
DEADLINE_S = 30.0


class Handler:
    """Collects frames; may be held up and may fail."""

    def __init__(self) -> None:
        self.frames: list[Matched[Any]] = []
        self.tickets = 0
        self.errors: list[Exception] = []
        self.arrived = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()
        self.fail = False

    def ticket(self) -> int:
        self.tickets += 1
        return self.tickets

    def handle(self, matched: Matched[Any], ticket: int) -> None:
        assert ticket == self.tickets
        self.frames.append(matched)
        self.arrived.release()
        assert self.go_on.wait(DEADLINE_S)
        if self.fail:
            raise RuntimeError("device lost")

    def wait(self) -> Matched[Any]:
        assert self.arrived.acquire(timeout=DEADLINE_S)
        return self.frames[-1]


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def worker(handler: Handler) -> Iterator[FusionWorker]:
    options = SyncOptions(sensors=("color", "depth", "nir"), sync_timeout=0.02)
    worker = FusionWorker(options, handler.handle, handler.ticket, handler.errors.append)
    worker.set_active(True)
    yield worker
    handler.go_on.set()
    assert worker.close(DEADLINE_S)


def moment(worker: FusionWorker, stamp_ms: int, *sensors: str) -> None:
    for sensor in sensors or ("depth", "nir", "color"):
        worker.offer(sensor, stamp_ms * MS, (sensor, stamp_ms))


def test_a_complete_moment_is_handled(worker: FusionWorker, handler: Handler) -> None:
    moment(worker, 100)
    assert handler.wait().items == {s: (s, 100) for s in ("color", "depth", "nir")}


def test_a_lonely_color_image_is_handled_after_the_timeout_without_further_traffic(
    worker: FusionWorker, handler: Handler
) -> None:
    moment(worker, 100, "color")
    assert set(handler.wait().missing) == {"depth", "nir"}


def test_offering_never_waits_for_the_work_and_the_newest_wins(worker: FusionWorker, handler: Handler) -> None:
    handler.go_on.clear()
    moment(worker, 0)
    handler.wait()
    for stamp in range(33, 300, 33):
        moment(worker, stamp)  # returns although the handler is held up
    handler.go_on.set()
    assert handler.wait().stamp_ns == 297 * MS
    assert worker.counters.superseded == 8


def test_a_failure_costs_one_frame(worker: FusionWorker, handler: Handler) -> None:
    handler.fail = True
    moment(worker, 0)
    handler.wait()
    handler.fail = False
    moment(worker, 100)
    assert handler.wait().stamp_ns == 100 * MS
    assert [str(e) for e in handler.errors] == ["device lost"]


def test_an_inactive_worker_takes_nothing_in_and_forgets_what_it_had(worker: FusionWorker, handler: Handler) -> None:
    moment(worker, 0, "depth")
    worker.set_active(False)
    moment(worker, 100)
    worker.set_active(True)
    assert worker.ages_ns() == {"color": None, "depth": None, "nir": None}
    moment(worker, 200)
    assert handler.wait().stamp_ns == 200 * MS
    assert len(handler.frames) == 1


def test_close_says_when_the_work_does_not_end(handler: Handler) -> None:
    worker = FusionWorker(SyncOptions(), handler.handle, handler.ticket, handler.errors.append)
    worker.set_active(True)
    handler.go_on.clear()
    moment(worker, 0)
    handler.wait()
    assert not worker.close(0.05)
    handler.go_on.set()
    assert worker.close(DEADLINE_S)
