# SPDX-License-Identifier: Apache-2.0
"""A recording made ready for playing: pictures decoded and serialized before they are due."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError
from ssma_ros.messages.decode import decoded, stamp_ns
from ssma_ros.recordings import records as messages
from ssma_ros.recordings.index import messages_of
from ssma_ros.recordings.typestore import COMPRESSED_IMAGE, IMAGE, typestore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssma_ros.recordings.reader import RecordedMessage, RecordingReader
    from ssma_ros.recordings.topics import InputTopics


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlayableMessage:
    """A message ready to be published.

    Attributes:
        role: what it is for, see :data:`~ssma_ros.recordings.topics.ROLES`.
        type: its type; compressed images have become sensor_msgs/msg/Image.
        due_ns: when it was recorded.
        stamp_ns: of its header.
        data: serialized (CDR with encapsulation header).
    """

    role: str
    type: str
    due_ns: int
    stamp_ns: int
    data: bytes


def playable_messages(reader: RecordingReader, topics: InputTopics) -> Iterator[PlayableMessage]:
    """The messages of ``topics`` in the order in which they were recorded, calibration before images of its time.

    A message that cannot be read, such as a truncated picture, is left out with a warning in the log.

    Raises:
        SsmaError: the recording is damaged.
    """
    for _, moment in groupby(messages_of(reader, topics), key=lambda pair: pair[1].stamp_ns):
        for role, message in sorted(moment, key=lambda pair: pair[0] != "camera_info"):
            try:
                yield _playable(reader, message, role)
            except SsmaError as error:
                logger.warning("not played: %s (recorded at %.3f s)", error, message.stamp_ns * 1e-9)


def _playable(reader: RecordingReader, recorded: RecordedMessage, role: str) -> PlayableMessage:
    message = reader.deserialize(recorded)
    kind, data = recorded.type, recorded.data
    if kind == COMPRESSED_IMAGE:
        picture = decoded(message, recorded.topic)
        message = messages.make(IMAGE, **vars(picture))
        kind, data = IMAGE, bytes(typestore().serialize_cdr(message, IMAGE))
    return PlayableMessage(role, kind, recorded.stamp_ns, stamp_ns(message), data)


class ReadAhead:
    """An iterator whose items are made by a thread before they are asked for.

    Args:
        source: makes the items; what it raises is raised to the consumer in its turn.
        budget_bytes: how much may lie ready; a short recording fits whole.
    """

    def __init__(self, source: Iterator[PlayableMessage], budget_bytes: int = 1 << 30) -> None:
        self._source = source
        self._budget = budget_bytes
        self._ready: deque[PlayableMessage] = deque()
        self._bytes = 0
        self._ended = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        threading.Thread(target=self._fill, name="read ahead", daemon=True).start()

    def wait_until_filled(self) -> None:
        """Wait until everything, or as much as the budget allows, lies ready."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._bytes >= self._budget)

    def __iter__(self) -> Iterator[PlayableMessage]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._ready)
                if not self._ready:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._ready.popleft()
                self._bytes -= len(item.data)
                self._changed.notify_all()
            yield item

    def _fill(self) -> None:
        try:
            for item in self._source:
                with self._changed:
                    self._changed.wait_for(lambda: self._bytes < self._budget)
                    self._ready.append(item)
                    self._bytes += len(item.data)
                    self._changed.notify_all()
        except BaseException as error:  # handed over to the consumer, whose problem it is
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
