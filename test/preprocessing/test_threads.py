# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

from ssma_ros.encodings.depth_completion import fill_fast
from ssma_ros.kernels.shared.threads import KEPT_SIZES, Workspaces, run_in_bands, running_aside


def test_bands_cover_every_row_once():
    for threads in (1, 2, 3, 7):
        rows = np.zeros(23, int)

        def work(_worker: int, y0: int, y1: int, rows: np.ndarray = rows) -> None:
            rows[y0:y1] += 1

        run_in_bands(work, 23, threads)
        assert (rows == 1).all()


@pytest.mark.parametrize("failing", [0, 2])
def test_a_band_that_fails_fails_the_call_after_all_are_done(failing):
    done = []

    def work(worker: int, _y0: int, _y1: int) -> None:
        if worker == failing:
            raise RuntimeError("band")
        done.append(worker)

    with pytest.raises(RuntimeError, match="band"):
        run_in_bands(work, 9, 3)
    assert sorted(done) == [worker for worker in range(3) if worker != failing]


def test_the_block_waits_for_what_runs_aside_and_raises_what_it_raised():
    done = threading.Event()
    with running_aside(done.set):
        pass
    assert done.is_set()

    def fail() -> None:
        raise RuntimeError("aside")

    with pytest.raises(RuntimeError, match="aside"), running_aside(fail):
        pass


def test_buffers_are_lent_to_one_caller_and_used_again():
    made = []
    spaces = Workspaces(lambda *key: made.append(key) or [key])
    with spaces.lend(4, 5, 1) as first, spaces.lend(4, 5, 1) as second:
        assert first is not second
    with spaces.lend(4, 5, 1) as again:
        assert again is first  # given back last, so the warmest
    assert made == [(4, 5, 1)] * 2
    for height in range(10, 10 + KEPT_SIZES):
        with spaces.lend(height, 5, 1):
            pass
    with spaces.lend(4, 5, 1):
        assert len(made) == 3 + KEPT_SIZES


def test_what_one_thread_warmed_up_serves_another():
    made = []
    spaces = Workspaces(lambda *key: made.append(key) or [key])
    with spaces.lend(4, 5, 1):
        pass

    def use() -> None:
        with spaces.lend(4, 5, 1):
            pass

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert len(made) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_threads_of_its_own():
    """The parent's pool is not alive in the child: without starting anew, its first banded call would never end."""
    depth = np.full((64, 64), 3.0, np.float32)
    expected = fill_fast(depth, threads=2)
    child = os.fork()
    if child == 0:  # no test machinery in here: leave at once whatever happens
        code = 1
        try:
            code = 0 if np.array_equal(fill_fast(depth, threads=2), expected) else 2
        finally:
            os._exit(code)
    end = time.monotonic() + 60.0
    try:
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
            time.sleep(0.01)
    finally:
        if ended == (0, 0):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert ended != (0, 0), "the child hangs"
    assert os.waitstatus_to_exitcode(ended[1]) == 0
