"""Splitting an image between threads, and the buffers each of them works in."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: Image sizes whose buffers are kept for each calling thread; the least recently used goes first.
KEPT_SIZES = 4

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_size = 0


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


def _workers(count: int) -> ThreadPoolExecutor:
    """A pool of at least ``count`` threads, shared by all callers and kept."""
    global _pool, _pool_size
    with _lock:
        if _pool is None or _pool_size < count:
            _pool, _pool_size = ThreadPoolExecutor(count, thread_name_prefix="preprocessing"), count
        return _pool


class Workspaces(Generic[T]):
    """Buffers by key, separate for every calling thread, made once and used again.

    Args:
        make: builds the buffers for a key (image height, width and number of workers).
    """

    def __init__(self, make: Callable[[int, int, int], T]) -> None:
        self._make = make
        self._local = threading.local()

    def get(self, height: int, width: int, workers: int) -> T:
        """The calling thread's buffers."""
        kept: OrderedDict[tuple[int, int, int], T] | None = getattr(self._local, "kept", None)
        if kept is None:
            kept = self._local.kept = OrderedDict()
        key = (height, width, workers)
        found = kept.get(key)
        if found is None:
            found = kept[key] = self._make(height, width, workers)
            if len(kept) > KEPT_SIZES:
                kept.popitem(last=False)
        else:
            kept.move_to_end(key)
        return found
