# SPDX-License-Identifier: Apache-2.0
"""Reading rosbag2 recordings: folders and single files, MCAP and sqlite3, compressed or not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError
from ssma_ros.recordings.layout import find_storage
from ssma_ros.recordings.storage import RecordedMessage, open_storage, unreadable
from ssma_ros.recordings.typestore import COMPRESSED_IMAGE, IMAGE, typestore

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ssma_ros.recordings.storage import StorageFile

__all__ = ["RecordedMessage", "RecordingReader", "Topic"]


@dataclass(frozen=True)
class Topic:
    """One topic of a recording.

    Attributes:
        name: absolute topic name.
        type: message type, for example ``sensor_msgs/msg/Image``.
        count: number of messages.
        encoding: of an image, by its first message: ``encoding``, or ``format`` where it is compressed.
    """

    name: str
    type: str
    count: int
    encoding: str = ""


class RecordingReader:
    """A rosbag2 recording opened for reading; a context manager. Nothing is ever written into its folder.

    Topics and counts are those of the storage files; ``metadata.yaml``, which may be missing, renamed away or out of
    step, only says which files belong to the recording.

    Args:
        path: folder with or without ``metadata.yaml``, or a ``.mcap`` / ``.db3`` file itself.

    Attributes:
        notes: in words, what is not as a recorder leaves it (killed, renamed, without metadata) and what mends it.

    Raises:
        SsmaError: nothing there, not a recording, or it cannot be read (truncated, corrupt, unknown storage).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        layout = find_storage(self.path)
        self._files: list[tuple[Path, StorageFile]] = []
        try:
            for file in layout.files:
                self._files.append((file, open_storage(file, f"recording {self.path}")))
        except BaseException:
            self.close()
            raise
        self._files.sort(key=lambda pair: pair[1].span_ns or (0, 0))  # stable: an empty file stays where it is
        self.notes = [*layout.notes, *(note for _, storage in self._files for note in storage.notes)]
        count = sum(self._counts().values())
        if layout.message_count is not None and layout.message_count != count:
            self.notes.append(f"metadata.yaml counts {layout.message_count} messages, its files hold {count}")

    def __enter__(self) -> RecordingReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files. Idempotent."""
        for _, storage in self._files:
            storage.close()

    @cached_property
    def topics(self) -> tuple[Topic, ...]:
        """All topics, ordered by name; a topic recorded with two types appears twice."""
        counts = self._counts()
        return tuple(
            Topic(name, kind, counts[name, kind], self._encoding(name, kind) if counts[name, kind] else "")
            for name, kind in sorted(counts)
        )

    def _counts(self) -> Counter[tuple[str, str]]:
        """Messages by topic name and type; topics without any are there too."""
        counts: Counter[tuple[str, str]] = Counter()
        for _, storage in self._files:
            counts.update(storage.counts)
        return counts

    def _encoding(self, name: str, kind: str) -> str:
        if kind not in (IMAGE, COMPRESSED_IMAGE):
            return ""
        first = next((m for m in self.messages([name]) if m.type == kind), None)
        try:
            message = None if first is None else self.deserialize(first)
        except SsmaError:
            return ""
        return "" if message is None else str(message.encoding if kind == IMAGE else message.format)

    @property
    def span_ns(self) -> tuple[int, int]:
        """When the first and the last message were recorded; zeros where there is none."""
        spans = [storage.span_ns for _, storage in self._files if storage.span_ns is not None]
        return (min(first for first, _ in spans), max(last for _, last in spans)) if spans else (0, 0)

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the last message."""
        first, last = self.span_ns
        return (last - first) * 1e-9

    def messages(self, topics: Collection[str] | None = None) -> Iterator[RecordedMessage]:
        """Messages in the order in which they were received.

        Args:
            topics: only these; None = all.

        Raises:
            SsmaError: the recording turns out to be damaged on the way.
        """
        for path, storage in self._files:
            source = storage.messages(topics)
            while True:
                try:
                    message = next(source)
                except StopIteration:
                    break
                except Exception as error:  # any kind, see open_storage; what the consumer raises does not pass here
                    raise unreadable(path, f"recording {self.path}", error) from error
                yield message

    def deserialize(self, message: RecordedMessage) -> Any:
        """The message as an object with its ROS fields; arrays are read-only views into ``message.data``.

        Raises:
            SsmaError: the type is unknown, or the bytes are not such a message.
        """
        where = f"recording {self.path}: message on {message.topic} at {message.stamp_ns} ns"
        try:
            return typestore().deserialize_cdr(memoryview(message.data), message.type)
        except KeyError:
            raise SsmaError(f"{where}: its type {message.type} is unknown, expected a standard ROS 2 type") from None
        except Exception as error:
            raise SsmaError(f"{where}: cannot be read as {message.type} ({_words(error)})") from error


def _words(error: Exception) -> str:
    """An exception in one line: its own words, or its name where it has none."""
    text = " ".join(str(error).split()).rstrip(".")
    return text or type(error).__name__
