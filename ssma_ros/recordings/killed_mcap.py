# SPDX-License-Identifier: Apache-2.0
"""An MCAP file whose recorder was killed: no summary, no footer, perhaps half a chunk at the end.

Source: the MCAP format specification, https://mcap.dev/spec. A record is one byte of opcode, eight bytes of length, and
its content; a chunk holds records, compressed or not.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from typing import TYPE_CHECKING

from lz4.frame import LZ4FrameDecompressor

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = b"\x89MCAP0\r\n"
_HEADER = struct.Struct("<BQ")
_CHUNK, _FOOTER, _DATA_END = 0x06, 0x02, 0x0F
#: Summary at 0: there is none, read the records themselves.
_END = _HEADER.pack(_FOOTER, 20) + bytes(20) + _MAGIC
_FED_BYTES = 1 << 16


def is_closed(path: Path) -> bool:
    """Whether the file ends as a recorder ends it."""
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        if size < len(_MAGIC):
            return False
        file.seek(size - len(_MAGIC))
        return file.read() == _MAGIC


class KilledMcap:
    """The whole records of such a file, with an end set behind them; has what the rosbags library asks of a path.

    Args:
        path: of the file.

    Attributes:
        note: in words, how far it is read.

    Raises:
        ValueError: it is no MCAP file, or not one record of it is whole.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.suffix = path.suffix
        size = path.stat().st_size
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise ValueError("no MCAP file, its first bytes are others")
            self._end, saved = _whole_records(file, size)
        if self._end == len(_MAGIC):
            raise ValueError(f"{size} bytes, no whole record")
        self._tail = saved + _END
        self.note = (
            f"{path.name} has no summary, or a damaged one (recorder killed?): read as far as it goes, "
            f"{self._end} of {size} bytes" + (f" and {len(saved)} more of its last chunk" if saved else "")
            + f"; `mcap recover {path.name} -o whole.mcap` mends it"
        )  # fmt: skip

    def __str__(self) -> str:
        return str(self._path)

    def exists(self) -> bool:
        """As of a path."""
        return True

    def is_dir(self) -> bool:
        """As of a path."""
        return False

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """The file as it would be, had it been closed."""
        assert mode == "rb"
        return io.BufferedReader(_WithEnd(self._path, self._end, self._tail))


def _whole_records(file: io.BufferedReader, size: int) -> tuple[int, bytes]:
    """Where the last whole record ends, and the whole records inside the chunk that was begun behind it."""
    at = previous = len(_MAGIC)
    while True:
        file.seek(at)
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return at, b""
        opcode, length = _HEADER.unpack(head)
        if opcode == 0:
            return previous, b""  # see _end_of_records
        if opcode in (_FOOTER, _DATA_END):
            return at, b""
        if opcode == _CHUNK:
            content = file.read(min(length, size))
            records, whole = _unpack(content)
            if len(content) < length or not whole:
                return at, records[: _end_of_records(records)]
        elif at + _HEADER.size + length > size:
            return at, b""
        previous, at = at, at + _HEADER.size + length


def _unpack(chunk: bytes) -> tuple[bytes, bool]:
    """The records of a chunk as far as they can be had, and whether that is all of them, unharmed."""
    if len(chunk) < 32:
        return b"", False
    _, _, size, crc, words = struct.unpack_from("<QQQII", chunk)
    compression = chunk[32 : 32 + words]
    data = chunk[32 + words + 8 :]
    if compression == b"":
        records = data
    else:
        decompressor = LZ4FrameDecompressor() if compression == b"lz4" else zstd.ZstdDecompressor()
        parts = []
        try:
            for start in range(0, len(data), _FED_BYTES):  # what came before the damage is kept
                if decompressor.eof:
                    break
                parts.append(decompressor.decompress(data[start : start + _FED_BYTES]))
        except (RuntimeError, EOFError, zstd.ZstdError):
            pass
        records = b"".join(parts)
    whole = len(records) == size and (crc == 0 or zlib.crc32(records) == crc)
    return records, whole and _end_of_records(records) == size


def _end_of_records(records: bytes) -> int:
    """Where the last whole record ends.

    A power cut leaves zeros, which are no records; the one before them may end in zeros too, so it does not count.
    """
    at = previous = 0
    while at + _HEADER.size <= len(records):
        opcode, length = _HEADER.unpack_from(records, at)
        if opcode == 0:
            return previous
        if at + _HEADER.size + length > len(records):
            break
        previous, at = at, at + _HEADER.size + length
    return at


class _WithEnd(io.RawIOBase):
    """The first ``end`` bytes of a file, then ``tail``."""

    def __init__(self, path: Path, end: int, tail: bytes) -> None:
        self._file = path.open("rb")
        self._end, self._tail, self._at = end, tail, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = (0, self._at, self._end + len(self._tail))[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._at < self._end:
            self._file.seek(self._at)
            data = self._file.read(min(len(buffer), self._end - self._at))
        else:
            start = self._at - self._end
            data = self._tail[start : start + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
