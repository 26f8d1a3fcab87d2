# SPDX-License-Identifier: Apache-2.0
"""Independent jobs side by side: in processes of this machine, or on a Ray cluster."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any, TypeVar

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    _Job = TypeVar("_Job")
    _Result = TypeVar("_Result")

#: Address that starts a Ray of this machine's own instead of joining one.
LOCAL = "local"


def spread(
    work: Callable[[_Job], _Result], jobs: Sequence[_Job], *, processes: int = 1, ray: str = ""
) -> Iterator[tuple[int, _Result]]:
    """Do jobs side by side; the first that fails ends them all. What is refused is refused by the call itself, work
    begins when the first result is asked for.

    Args:
        work: a function of a module, which other processes can import.
        jobs: can be pickled. On a cluster the files that they name lie where every machine finds them.
        processes: at once on this machine; 1 = here, one after the other.
        ray: address of a Ray cluster (``auto``, ``ray://HOST:10001``, ``HOST:6379``), or :data:`LOCAL`; ``processes``
            does not count then, Ray gives each job a core.

    Returns:
        Number of each job and its result, as they come.

    Raises:
        SsmaError: fewer than one process, a process died, or the cluster cannot be reached.
        ModuleNotFoundError: Ray is asked for and not installed.
    """
    if processes < 1:
        raise SsmaError(f"processes is {processes}, expected at least 1")
    if ray:
        return _on_ray(work, jobs, joins=_connect(ray))
    if processes == 1 or len(jobs) < 2:
        return ((number, work(job)) for number, job in enumerate(jobs))
    return _in_processes(work, jobs, min(processes, len(jobs)))


def _in_processes(work: Callable[[_Job], _Result], jobs: Sequence[_Job], count: int) -> Iterator[tuple[int, _Result]]:
    # Spawned, since neither OpenGL nor the threads of OpenCV and numba survive a fork.
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _start_worker)
    try:
        numbers = {pool.submit(work, job): number for number, job in enumerate(jobs)}
        for done in as_completed(numbers):
            yield numbers[done], done.result()
    except BrokenProcessPool:
        raise SsmaError(f"one of {count} processes died (out of memory?), expected fewer of them, or smaller jobs"
                        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """One core a worker: processes parallelise better than the threads inside the libraries."""
    import os

    import cv2

    os.environ.setdefault("LP_NUM_THREADS", "1")
    cv2.setNumThreads(1)


def _connect(address: str) -> bool:
    """Whether this call has joined the cluster, and is to leave it at the end."""
    import ray

    if ray.is_initialized():
        return False
    # A Ray of this machine's own needs no page to look at.
    settings: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, **settings)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        words = " ".join(str(error).split())
        raise SsmaError(f"ray '{address}': cannot be reached ({words}), expected auto, {LOCAL}, ray://HOST:10001 or "
                        "HOST:6379") from None
    return True


def _on_ray(work: Callable[[_Job], _Result], jobs: Sequence[_Job], *, joins: bool) -> Iterator[tuple[int, _Result]]:
    import ray

    try:
        task = ray.remote(num_cpus=1, max_retries=0)(work)
        numbers = {task.remote(job): number for number, job in enumerate(jobs)}
        waiting = list(numbers)
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=1)
            yield numbers[done[0]], _result(ray, done[0])
    finally:
        if joins:
            ray.shutdown()


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, SsmaError):
            raise error.cause from None
        raise
    except ray.exceptions.WorkerCrashedError:
        raise SsmaError("a process of the Ray cluster died (out of memory?), expected smaller jobs") from None

