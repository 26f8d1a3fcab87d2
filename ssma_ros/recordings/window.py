# SPDX-License-Identifier: Apache-2.0
"""Messages kept until the frames that need them are complete; as much of them in memory as is allowed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import IO

    from ssma_ros.recordings.storage import RecordedMessage

#: More than the messages between an image and its late partner take up; beyond that they wait on the disk.
BUDGET_BYTES = 256 << 20


@dataclass(frozen=True)
class _OnDisk:
    message: RecordedMessage  # without its data
    offset: int
    size: int


class Window:
    """Holds messages by key; a context manager.

    What lies in a recording far from its moment (a sensor whose messages were appended afterwards) would fill the
    memory: beyond ``budget_bytes`` messages go to a temporary file, which vanishes with the window.
    """

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self._budget = budget_bytes
        self._held: dict[tuple[str, int], RecordedMessage | _OnDisk] = {}
        self._file: IO[bytes] | None = None
        self._on_disk = 0
        self._stack = ExitStack()
        #: Bytes held in memory.
        self.bytes = 0

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __len__(self) -> int:
        return len(self._held)

    def put(self, key: tuple[str, int], message: RecordedMessage) -> None:
        """Keep a message."""
        size = len(message.data)
        if self.bytes + size <= self._budget:
            self._held[key] = message
            self.bytes += size
            return
        if self._file is None:
            self._file = self._stack.enter_context(TemporaryFile(prefix="ssma-recording-"))  # noqa: SIM115 - it stays open
        offset = self._file.seek(0, 2)
        self._file.write(message.data)
        self._held[key] = _OnDisk(replace(message, data=b""), offset, size)
        self._on_disk += 1

    def get(self, key: tuple[str, int]) -> RecordedMessage:
        """A message that was kept; it stays."""
        held = self._held[key]
        if not isinstance(held, _OnDisk):
            return held
        assert self._file is not None
        self._file.seek(held.offset)
        return replace(held.message, data=self._file.read(held.size))

    def drop(self, key: tuple[str, int]) -> None:
        """A message is needed no longer."""
        held = self._held.pop(key)
        if not isinstance(held, _OnDisk):
            self.bytes -= len(held.data)
            return
        self._on_disk -= 1
        if self._file is not None and not self._on_disk:
            self._file.truncate(0)
