# SPDX-License-Identifier: Apache-2.0
"""How a child process talks with the demo: JSON lines out, plain words in."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from collections.abc import Callable

_lock = threading.Lock()


def say(event: str, **data: Any) -> None:
    """Print one event; threads may speak at once."""
    line = json.dumps({"event": event, **data})
    with _lock:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


class Orders:
    """Lines of standard input, read by a thread of their own.

    Args:
        on_order: is called, in that thread, with the words of each line.

    The process ends at once when its input ends, because then nobody is left to work for.
    """

    def __init__(self, on_order: Callable[[list[str]], None]) -> None:
        self._on_order = on_order
        threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            self._on_order(line.split())
        os._exit(1)


def speaking(work: Callable[[], int]) -> int:
    """Run a child's work; an error for people becomes an ``error`` event, an interrupt a quiet end."""
    try:
        return work()
    except SsmaError as error:
        say("error", message=str(error))
        return 1
    except KeyboardInterrupt:
        return 130
