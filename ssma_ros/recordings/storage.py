# SPDX-License-Identifier: Apache-2.0
"""One storage file of a recording, MCAP or sqlite3, also one that its recorder did not close."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import quote

from rosbags.rosbag2 import Reader

from ssma_ros.errors import SsmaError
from ssma_ros.recordings.killed_mcap import KilledMcap, is_closed, zstd
from ssma_ros.recordings.layout import COMPRESSED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # begins no serialized message, whose first byte is 0


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


class StorageFile(Protocol):
    """An open storage file.

    Attributes:
        counts: messages by topic name and type.
        span_ns: times of the first and the last message, or None without any.
        notes: in words, what is not as a recorder leaves it.
    """

    counts: Counter[tuple[str, str]]
    span_ns: tuple[int, int] | None
    notes: list[str]

    def messages(self, topics: Collection[str] | None) -> Iterator[RecordedMessage]:
        """Messages of some topics (None = all) in the order in which they were received."""
        ...

    def close(self) -> None:
        """Close the file and remove what was unpacked for it."""
        ...


def open_storage(path: Path, where: str) -> StorageFile:
    """Open one storage file for reading; nothing is written beside it.

    Args:
        path: of the file.
        where: what to call the recording in messages.

    Raises:
        SsmaError: it cannot be read, with what can be done about it.
    """
    scratch: TemporaryDirectory[str] | None = None
    try:
        if path.suffix == COMPRESSED:
            scratch = TemporaryDirectory(prefix="ssma-recording-")
            unpacked = Path(scratch.name, path.name.removesuffix(COMPRESSED))
            with zstd.open(path, "rb") as packed, unpacked.open("wb") as out:
                shutil.copyfileobj(packed, out)
            return _open(unpacked, scratch)
        return _open(path, None)
    except BaseException as error:
        if scratch is not None:
            scratch.cleanup()
        if isinstance(error, SsmaError) or not isinstance(error, Exception):
            raise
        # The library lets struct, zstd and key errors of damaged files through.
        raise unreadable(path, where, error) from error


def _open(path: Path, scratch: TemporaryDirectory[str] | None) -> StorageFile:
    return McapFile(path, scratch) if path.suffix == ".mcap" else SqliteFile(path, scratch)


def unreadable(path: Path, where: str, error: Exception) -> SsmaError:
    """The error for a file that cannot be read, with the tool that may save more of it."""
    words = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if "Profile is not ros2" in words:
        return SsmaError(f"{where}: {path.name} is an MCAP file of another profile, expected ros2")
    name = path.name.removesuffix(COMPRESSED)
    remedy = f"mcap recover {name}" if name.endswith(".mcap") else f"sqlite3 {name} .recover"
    return SsmaError(
        f"{where}: cannot be read, it may be truncated or damaged ({path.name}: {words}); `{remedy}` saves what it can"
    )


class McapFile:
    """An MCAP file, by the rosbags library; see :class:`StorageFile`."""

    def __init__(self, path: Path, scratch: TemporaryDirectory[str] | None = None) -> None:
        self._scratch = scratch
        self.notes: list[str] = []
        self._reader = self._open(path)
        self.counts: Counter[tuple[str, str]] = Counter()
        for connection in self._reader.connections:
            self.counts[connection.topic, connection.msgtype] += connection.msgcount
        there = self._reader.message_count > 0
        if self.notes and not there:
            self.close()
            raise ValueError("it was not closed, and not one message of it is whole")
        self.span_ns = (self._reader.start_time, self._reader.end_time - 1) if there else None

    def _open(self, path: Path) -> Reader:
        """By its summary; where that is missing or damaged, by the records themselves."""
        problem: Exception | None = None
        if is_closed(path):
            reader = Reader(path)
            try:
                reader.open()
                return reader
            except Exception as error:  # of any kind, see open_storage
                problem = error
        try:
            source = KilledMcap(path)
            reader = Reader(cast("Any", source))  # has of a path what the library asks for
            reader.open()
        except Exception as error:
            raise problem or error from error
        self.notes.append(source.note)
        return reader

    def messages(self, topics: Collection[str] | None) -> Iterator[RecordedMessage]:
        """See :class:`StorageFile`."""
        connections = [c for c in self._reader.connections if topics is None or c.topic in topics]
        if not connections:  # which would be all of them for the library
            return
        for connection, stamp_ns, data in self._reader.messages(connections):
            yield RecordedMessage(connection.topic, connection.msgtype, stamp_ns, _plain(data))

    def close(self) -> None:
        """See :class:`StorageFile`. Idempotent."""
        if self._reader.is_open:
            self._reader.close()
        if self._scratch is not None:
            self._scratch.cleanup()


class SqliteFile:
    """A database of rosbag2_storage_sqlite3; see :class:`StorageFile`.

    Read directly, for the rosbags library passes over the write-ahead log that a killed recorder leaves.
    """

    def __init__(self, path: Path, scratch: TemporaryDirectory[str] | None = None) -> None:
        self._scratch = scratch
        self.notes: list[str] = []
        self._database = self._connect(path)
        try:
            tables = self._database.execute(
                "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('messages', 'topics')"
            ).fetchone()[0]
            if tables != 2:
                raise sqlite3.DatabaseError("it has no tables 'messages' and 'topics'")
            rows = self._database.execute(
                "SELECT t.name, t.type, count(m.id) FROM topics t LEFT JOIN messages m ON t.id = m.topic_id "
                "GROUP BY t.id"
            )
            self.counts: Counter[tuple[str, str]] = Counter()
            for name, kind, count in rows:
                self.counts[name, kind] += count
            first, last = self._database.execute("SELECT min(timestamp), max(timestamp) FROM messages").fetchone()
        except BaseException:
            self._database.close()
            raise
        self.span_ns = None if first is None else (first, last)

    def _connect(self, path: Path) -> sqlite3.Connection:
        """Open without writing anything beside the file: no lock, no index of the log, no rollback."""
        log, journal = (path.with_name(path.name + suffix) for suffix in ("-wal", "-journal"))
        if journal.is_file() and journal.stat().st_size:  # only sqlite itself can roll it back, and only by writing
            self.notes.append(f"{path.name} was being written when its recorder ended; the unfinished part is left out")
            return self._connect_copy(path, journal)
        if not (log.is_file() and log.stat().st_size):
            _check_length(path)
            return _connect(f"file:{quote(str(path.absolute()))}?immutable=1")
        self.notes.append(f"{log.name} was read too: its recorder was killed before it was merged into {path.name}")
        database = _connect(f"file:{quote(str(path.absolute()))}?mode=ro&vfs=unix-none")
        try:
            database.execute("PRAGMA locking_mode=EXCLUSIVE")  # the index of the log is kept in memory then
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            database.close()
            return self._connect_copy(path, log)
        return database

    def _connect_copy(self, path: Path, beside: Path) -> sqlite3.Connection:
        self._scratch = self._scratch or TemporaryDirectory(prefix="ssma-recording-")
        for file in (path, beside):
            shutil.copyfile(file, Path(self._scratch.name, file.name))
        return _connect(f"file:{quote(str(Path(self._scratch.name, path.name)))}")

    def messages(self, topics: Collection[str] | None) -> Iterator[RecordedMessage]:
        """See :class:`StorageFile`."""
        named = self._database.execute("SELECT id, name, type FROM topics").fetchall()
        wanted = {number: (name, kind) for number, name, kind in named if topics is None or name in topics}
        # Only times and places are put in order: without the index of time sqlite would sort the pictures themselves.
        order = self._database.execute(
            f"SELECT rowid, topic_id, timestamp FROM messages WHERE topic_id IN ({', '.join('?' * len(wanted))}) "
            "ORDER BY timestamp, rowid",
            list(wanted),
        )
        for row, number, stamp_ns in order:
            (data,) = self._database.execute("SELECT data FROM messages WHERE rowid = ?", (row,)).fetchone()
            yield RecordedMessage(*wanted[number], stamp_ns, _plain(data))

    def close(self) -> None:
        """See :class:`StorageFile`. Idempotent."""
        self._database.close()
        if self._scratch is not None:
            self._scratch.cleanup()


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, check_same_thread=False)  # a thread may read ahead


def _check_length(path: Path) -> None:
    """A database cut inside its last page opens without an error, and a picture may end in nothing.

    Source: https://www.sqlite.org/fileformat.html, section 1.3.
    """
    with path.open("rb") as file:
        head = file.read(100)
    if len(head) < 100:
        raise sqlite3.DatabaseError(f"{len(head)} bytes")
    (page_size,) = struct.unpack_from(">H", head, 16)
    changes, pages = struct.unpack_from(">II", head, 24)
    (counted_at,) = struct.unpack_from(">I", head, 92)
    expected = pages * (65536 if page_size == 1 else page_size)
    if changes == counted_at and path.stat().st_size < expected:
        raise sqlite3.DatabaseError(f"{path.stat().st_size} bytes of {expected}")


def _plain(data: bytes) -> bytes:
    """A message, unpacked where the recorder compressed each of them."""
    return zstd.decompress(data) if data[:4] == _ZSTD_MAGIC else data
