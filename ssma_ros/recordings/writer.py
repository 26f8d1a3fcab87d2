# SPDX-License-Identifier: Apache-2.0
"""Writing rosbag2 recordings, whole or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from ssma_ros.errors import SsmaError
from ssma_ros.folders import WholeFolder
from ssma_ros.recordings.typestore import typestore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from rosbags.interfaces import Connection

Storage = Literal["mcap", "sqlite3"]
STORAGES: tuple[Storage, ...] = ("mcap", "sqlite3")
#: Version of the rosbag2 metadata; Humble and everything after it reads 8.
_METADATA = "metadata.yaml"
_METADATA_VERSION: Literal[8] = 8
_FOREVER = QosTime(2147483647, 4294967295)
_LATCHED = Qos(
    history=QosHistory.KEEP_LAST,
    depth=1,
    reliability=QosReliability.RELIABLE,
    durability=QosDurability.TRANSIENT_LOCAL,
    deadline=_FOREVER,
    lifespan=_FOREVER,
    liveliness=QosLiveliness.AUTOMATIC,
    liveliness_lease_duration=_FOREVER,
    avoid_ros_namespace_conventions=False,
)


class RecordingWriter:
    """A rosbag2 folder being written; a context manager that leaves it whole or not at all.

    Args:
        path: folder to make.
        storage: ``mcap`` (chunks compressed with zstd) or ``sqlite3``.
        overwrite: replace an earlier recording of that name; any other folder is never replaced.
        source: recording that this one is made from; it is never replaced.
        remedy: what else to do about an earlier recording, for messages, such as ", or --overwrite".

    Raises:
        SsmaError: ``path`` exists and may not be replaced, or the disk refuses.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        storage: Storage = "mcap",
        overwrite: bool = False,
        source: str | Path | None = None,
        remedy: str = "",
    ) -> None:
        if storage not in STORAGES:
            raise ValueError(f"storage is '{storage}', expected one of {', '.join(STORAGES)}")
        self.path = Path(path)
        self._storage = storage
        earlier = (self.path / _METADATA).is_file()
        self._folder = WholeFolder(
            path, what="recording", replace_if=_METADATA if overwrite else None, source=source,
            remedy=remedy if earlier else "",
        )
        self._writer: Writer | None = None
        self._connections: dict[str, Connection] = {}
        self._latched: set[str] = set()

    def __enter__(self) -> RecordingWriter:
        folder = self._folder.__enter__()
        try:
            with self._disk():
                folder.rmdir()  # the library insists on making it itself
                self._writer = _open_writer(folder, self._storage)
        except BaseException as error:
            self._folder.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        writer, self._writer = self._open_writer, None
        if kind is None:
            try:
                self._finish(writer)
            except BaseException as problem:
                _abort(writer)
                self._folder.__exit__(type(problem), problem, None)
                raise
        else:
            _abort(writer)
        self._folder.__exit__(kind, error, trace)

    def write(self, topic: str, kind: str, message: Any, stamp_ns: int) -> None:
        """Write a message object of ROS type ``kind``; ``stamp_ns`` is the time of recording."""
        self.write_serialized(topic, kind, typestore().serialize_cdr(message, kind), stamp_ns)

    def latch(self, topic: str) -> None:
        """State that ``topic``, of which nothing was written yet, was offered transient local: played back, its
        last message reaches late joiners."""
        self._latched.add(topic)

    def write_serialized(self, topic: str, kind: str, data: bytes | memoryview, stamp_ns: int) -> None:
        """Write a message that is serialized already (CDR with its encapsulation header).

        Raises:
            ValueError: the topic was written with another type before.
            SsmaError: the disk refuses.
        """
        connection = self._connections.get(topic)
        if connection is None:
            qos = [_LATCHED] if topic in self._latched else []
            with self._disk():
                connection = self._open_writer.add_connection(
                    topic, kind, typestore=typestore(), offered_qos_profiles=qos
                )
            self._connections[topic] = connection
        if connection.msgtype != kind:
            raise ValueError(f"topic {topic}: got a message of type {kind}, expected {connection.msgtype} as before")
        with self._disk():
            self._open_writer.write(connection, stamp_ns, data)

    @property
    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise RuntimeError("the recording is not open for writing, expected to be used in a with block")
        return self._writer

    def _finish(self, writer: Writer) -> None:
        if not self._connections:
            raise SsmaError(f"recording {self.path}: no message to write, so it is not made")
        with self._disk():
            writer.close()

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """What the disk refuses, a full one above all, in one sentence."""
        try:
            yield
        except (OSError, sqlite3.Error) as problem:
            words = getattr(problem, "strerror", None) or problem
            raise SsmaError(f"recording {self.path}: cannot be written ({words})") from problem


def _abort(writer: Writer) -> None:
    """Close without finishing; a disk that refuses has been told of before."""
    with suppress(OSError, sqlite3.Error):
        writer.abort()


def _open_writer(folder: Path, storage: Storage) -> Writer:
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    writer = Writer(folder, version=_METADATA_VERSION, storage_plugin=plugin)
    if storage == "mcap":
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    writer.open()
    return writer
