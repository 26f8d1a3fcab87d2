# SPDX-License-Identifier: Apache-2.0
"""Splitting work between threads, and the buffers it is done in."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

T = TypeVar("T")

#: Image sizes whose buffers are kept; the least recently used go first.
KEPT_SIZES = 4

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_size = 0
_aside: ThreadPoolExecutor | None = None


def run_in_bands(task: Callable[[int, int, int], None], height: int, threads: int) -> None:
    """Call ``task(worker, y0, y1)`` for ``threads`` bands of rows and wait for all; band 0 runs in this thread."""
    bounds = [height * i // threads for i in range(threads + 1)]
    pending = []
    if threads > 1:
        pool = _workers(threads - 1)
        pending = [pool.submit(task, i, bounds[i], bounds[i + 1]) for i in range(1, threads)]
    try:
        task(0, bounds[0], bounds[1])
    finally:
        for future in pending:
            future.result()


@contextmanager
def running_aside(task: Callable[[], None]) -> Iterator[None]:
    """Run ``task`` in another thread during the ``with`` block, whose end waits for it and raises what it raised.

    That thread works on no bands: a band behind such a task would keep all the others waiting.
    """
    future: Future[None] = _worker_aside().submit(task)
    try:
        yield
    finally:
        future.result()


def _workers(count: int) -> ThreadPoolExecutor:
    """A pool of at least ``count`` threads, shared by all callers and kept."""
    global _pool, _pool_size
    with _lock:
        if _pool is None or _pool_size < count:
            _pool, _pool_size = ThreadPoolExecutor(count, thread_name_prefix="preprocessing"), count
        return _pool


def _worker_aside() -> ThreadPoolExecutor:
    """One thread, shared by all callers and kept."""
    global _aside
    with _lock:
        if _aside is None:
            _aside = ThreadPoolExecutor(1, thread_name_prefix="preprocessing_aside")
        return _aside


def _begin_anew() -> None:
    """A forked child has the pools but none of their threads, and a lock that one of them may have held."""
    global _lock, _pool, _pool_size, _aside
    _lock, _pool, _pool_size, _aside = threading.Lock(), None, 0, None


os.register_at_fork(after_in_child=_begin_anew)


class Workspaces(Generic[T]):
    """Buffers by image size and number of workers, lent to one caller at a time, made once and used again.

    There are as many of a kind as there ever were callers at once: what is warmed up in one thread serves another.

    Args:
        make: builds the buffers for a key (image height, width and number of workers).
    """

    def __init__(self, make: Callable[[int, int, int], T]) -> None:
        self._make = make
        self._idle: OrderedDict[tuple[int, int, int], list[T]] = OrderedDict()

    @contextmanager
    def lend(self, height: int, width: int, workers: int) -> Iterator[T]:
        """Buffers that are the caller's alone until the end of the ``with`` block."""
        key = (height, width, workers)
        with _lock:
            idle = self._idle.get(key)
            buffers = idle.pop() if idle else None
        if buffers is None:
            buffers = self._make(height, width, workers)
        try:
            yield buffers
        finally:
            with _lock:
                self._idle.setdefault(key, []).append(buffers)
                self._idle.move_to_end(key)
                if len(self._idle) > KEPT_SIZES:
                    self._idle.popitem(last=False)
