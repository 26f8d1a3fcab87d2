"""Reading rosbag2 recordings: folders and single files, MCAP and sqlite3, compressed or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rosbags.rosbag2 import Reader

from ssma_ros.errors import SsmaError
from ssma_ros.recordings.typestore import typestore

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import TracebackType

#: Storage files a recording can consist of.
STORAGE_SUFFIXES = (".mcap", ".db3")


@dataclass(frozen=True)
class Topic:
    """One topic of a recording.

    Attributes:
        name: absolute topic name.
        type: message type, for example ``sensor_msgs/msg/Image``.
        count: number of messages.
    """

    name: str
    type: str
    count: int


@dataclass(frozen=True)
class RecordedMessage:
    """One message as it lies in the recording.

    Attributes:
        topic: absolute topic name.
        type: message type.
        stamp_ns: when the recorder received it, nanoseconds.
        data: serialized message (CDR with its four byte encapsulation header).
    """

    topic: str
    type: str
    stamp_ns: int
    data: bytes


class RecordingReader:
    """A rosbag2 recording opened for reading; a context manager.

    Args:
        path: folder with ``metadata.yaml``, a folder that holds one storage file (a recorder that was
            killed leaves no metadata), or a ``.mcap`` / ``.db3`` file itself.

    Raises:
        SsmaError: nothing there, not a recording, or it cannot be read (truncated, corrupt, unknown storage).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._reader = Reader(_storage_location(self.path))
            self._reader.open()
        except SsmaError:
            raise
        except Exception as error:  # the library lets struct, zstd, sqlite and key errors of damaged files through
            raise self._unreadable(error) from error

    def __enter__(self) -> RecordingReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files. Idempotent."""
        if self._reader.is_open:
            self._reader.close()

    @property
    def topics(self) -> tuple[Topic, ...]:
        """All topics, ordered by name; a topic recorded with two types appears twice."""
        counts: dict[tuple[str, str], int] = {}
        for connection in self._reader.connections:
            key = (connection.topic, connection.msgtype)
            counts[key] = counts.get(key, 0) + connection.msgcount
        return tuple(Topic(name, kind, count) for (name, kind), count in sorted(counts.items()))

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the last message."""
        return max(0, self._reader.duration - 1) * 1e-9

    def messages(self, topics: Collection[str] | None = None) -> Iterator[RecordedMessage]:
        """Messages in the order in which they were received.

        Args:
            topics: only these; None = all.

        Raises:
            SsmaError: the recording turns out to be damaged on the way.
        """
        connections = [c for c in self._reader.connections if topics is None or c.topic in topics]
        if not connections:
            return
        source = self._reader.messages(connections)
        while True:
            try:
                connection, stamp_ns, data = next(source)
            except StopIteration:
                return
            except Exception as error:  # as in the constructor; what the consumer raises does not pass here
                raise self._unreadable(error) from error
            yield RecordedMessage(connection.topic, connection.msgtype, stamp_ns, data)

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

    def _unreadable(self, error: Exception) -> SsmaError:
        return SsmaError(f"recording {self.path}: cannot be read, it may be truncated or damaged ({_words(error)})")


def _storage_location(path: Path) -> Path:
    """What to open for ``path``: itself, or the one storage file of a folder without metadata."""
    if not path.exists():
        raise SsmaError(f"recording {path}: no such file or folder")
    if path.is_file():
        if path.suffix not in STORAGE_SUFFIXES:
            raise SsmaError(
                f"recording {path}: got a '{path.suffix}' file, expected a rosbag2 folder or a "
                f"{' or '.join(STORAGE_SUFFIXES)} file"
            )
        return path
    if (path / "metadata.yaml").is_file():
        return path
    files = sorted(f for f in path.iterdir() if f.suffix in STORAGE_SUFFIXES)
    if len(files) != 1:
        raise SsmaError(
            f"recording {path}: no metadata.yaml and {len(files)} storage files in this folder, "
            "expected a rosbag2 recording"
        )
    return files[0]


def _words(error: Exception) -> str:
    """An exception in one line: its own words, or its name where it has none."""
    text = " ".join(str(error).split()).rstrip(".")
    return text or type(error).__name__
