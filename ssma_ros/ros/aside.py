# SPDX-License-Identifier: Apache-2.0
"""Long work beside the executor: the node answers its services meanwhile."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from rclpy.task import Future

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.node import Node


class Aside:
    """One piece of work at a time in a thread of its own.

    Args:
        node: whose executor waits for it.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether work is under way."""
        return self._thread is not None and self._thread.is_alive()

    def run(self, work: Callable[[], Any]) -> Future:
        """Begin; the future has what it returns or raises, and can be awaited in a callback."""
        future = Future(executor=self._node.executor)

        def run() -> None:
            try:
                result = work()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self._thread = threading.Thread(target=run, name="aside", daemon=True)
        self._thread.start()
        return future

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the work; whether it has ended."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self.busy
