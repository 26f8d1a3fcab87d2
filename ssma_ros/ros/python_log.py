# SPDX-License-Identifier: Apache-2.0
"""What the package says through Python's logging, in the node's log: on the console, in the file and on /rosout."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Forward(logging.Handler):
    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        # Not one call with a level: rclpy allows each place in the source one severity for good.
        if record.levelno >= logging.ERROR:
            self._logger.error(record.getMessage())
        elif record.levelno >= logging.WARNING:
            self._logger.warning(record.getMessage())
        else:
            self._logger.info(record.getMessage())


@contextmanager
def forwarded(logger: Any) -> Iterator[None]:
    """While the context lasts, ``logger`` (of a node) gets every sentence from warnings upwards."""
    handler, source = _Forward(logger), logging.getLogger("ssma_ros")
    source.addHandler(handler)
    try:
        yield
    finally:
        source.removeHandler(handler)
