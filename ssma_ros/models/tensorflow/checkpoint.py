# SPDX-License-Identifier: Apache-2.0
"""Reader of TensorFlow V2 checkpoints that needs no TensorFlow.

A checkpoint ``PREFIX`` is ``PREFIX.index``, a sorted-string table (LevelDB's format: prefix-compressed entries in
blocks with a checksum each), and raw tensor bytes in ``PREFIX.data-SSSSS-of-NNNNN``. The table maps the empty key
to a ``BundleHeaderProto`` and each variable's name to a ``BundleEntryProto`` (tensor_bundle.proto of TensorFlow).
Everything is checked: sizes, magic number, checksums of blocks and tensors.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.protobuf import fields, varint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_TRAILER = 5
_INDEX_LIMIT = 256 << 20
_CHUNK = 64 << 20
#: What the standard library raises on a damaged archive or member, beside OSError and EOFError.
_BAD_ZIP = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError)
#: DataType numbers of tensorflow/core/framework/types.proto.
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 17: "<u2", 19: "<f2"}


@dataclass(frozen=True)
class _Entry:
    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    sliced: bool


def _crc32c(data: bytes) -> int:
    import google_crc32c

    return int(google_crc32c.value(data))


def unmask(masked: int) -> int:
    """The CRC-32C behind TensorFlow's (LevelDB's) stored form: rotated right by 15 and offset."""
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF


class _Damaged(Exception):
    """What is wrong, without the file's name."""


def read_checkpoint(path: str | Path) -> dict[str, NDArray[np.generic]]:
    """All tensors of a checkpoint by variable name, in TensorFlow's layout.

    Args:
        path: the prefix (``model.ckpt-1000``), its index or data file, or a folder or zip with one checkpoint.

    Raises:
        SsmaError: nothing there, not a V2 checkpoint, damaged, or a kind of tensor that no network here has.
    """
    try:
        import google_crc32c  # noqa: F401
    except ImportError:
        raise SsmaError(
            f"TensorFlow checkpoint {path}: its checksums need package google-crc32c, which is not installed, "
            "try \"pip install 'ssma_ros[export]'\""
        ) from None
    path = Path(path)
    for suffix in (".index", ".meta"):
        if path.name.endswith(suffix):
            path = path.with_name(path.name[: -len(suffix)])
    if ".data-" in path.name:
        path = path.with_name(path.name[: path.name.rindex(".data-")])
    try:
        # "." and "/" have no name, so are folders and no prefix.
        if path.name and path.with_name(path.name + ".index").is_file():
            return _read(path.name, lambda name: path.with_name(name).open("rb"))
        if path.is_dir():
            names = [p.name for p in path.iterdir()]
            return _read(_only_prefix(names, path), lambda name: (path / name).open("rb"))
        if path.is_file() and zipfile.is_zipfile(path):
            return _read_zip(path)
    except _Damaged as error:
        raise SsmaError(f"TensorFlow checkpoint {path}: {error}") from None
    except ValueError as error:  # of a number or a variable's name
        raise SsmaError(f"TensorFlow checkpoint {path}: its .index file is malformed ({error})") from None
    except (OSError, EOFError, NotImplementedError, *_BAD_ZIP) as error:
        raise SsmaError(f"TensorFlow checkpoint {path}: cannot be read ({error})") from None
    what = "is not one" if path.exists() else "no such file"
    raise SsmaError(
        f"TensorFlow checkpoint {path}: {what}, expected a prefix with .index and .data files, "
        "or a folder or zip that holds them"
    )


def _read_zip(path: Path) -> dict[str, NDArray[np.generic]]:
    with zipfile.ZipFile(path) as archive:
        prefix = _only_prefix(archive.namelist(), path)

        def opener(name: str) -> IO[bytes]:
            try:
                return archive.open(name)
            except (KeyError, RuntimeError) as error:
                raise _Damaged(f"{name} cannot be read from the zip ({error})") from None

        return _read(prefix, opener)


def _only_prefix(names: list[str], where: Path) -> str:
    # macOS puts a "._" file of attributes beside every file of a zip or foreign disk.
    own = (n for n in names if not n.rpartition("/")[2].startswith("._"))
    prefixes = sorted(n.removesuffix(".index") for n in own if n.endswith(".index"))
    if len(prefixes) != 1:
        found = f"{len(prefixes)} checkpoints ({', '.join(prefixes[:4])})" if prefixes else "no .index file"
        raise SsmaError(f"TensorFlow checkpoint {where}: {found} in it, expected exactly one; name its prefix")
    return prefixes[0]


def _read(prefix: str, opener: Callable[[str], IO[bytes]]) -> dict[str, NDArray[np.generic]]:
    with _named(opener, f"{prefix}.index") as file:
        table = dict(_table(file.read(_INDEX_LIMIT)))
    if b"" not in table:
        raise _Damaged(f"{prefix}.index has no bundle header")
    shards = _shard_count(table.pop(b""))
    entries = {key.decode(): _entry(value) for key, value in table.items()}
    tensors: dict[str, NDArray[np.generic]] = {}
    for shard in range(shards):
        # In file order, so that a compressed zip member is decompressed once.
        mine = sorted(((e.offset, n, e) for n, e in entries.items() if e.shard == shard), key=lambda item: item[:2])
        with _named(opener, f"{prefix}.data-{shard:05d}-of-{shards:05d}") as file:
            for _, name, entry in mine:
                tensors[name] = _tensor(file, name, entry)
    outside = [name for name in entries if name not in tensors]
    if outside:
        raise _Damaged(f"variable {outside[0]} is in shard {entries[outside[0]].shard}, expected less than {shards}")
    return {name: tensors[name] for name in entries}


@contextmanager
def _named(opener: Callable[[str], IO[bytes]], name: str) -> Iterator[IO[bytes]]:
    try:
        file = opener(name)
    except FileNotFoundError:
        raise _Damaged(f"{name} is missing") from None
    with file:
        yield file


def _tensor(file: IO[bytes], name: str, entry: _Entry) -> NDArray[np.generic]:
    if entry.sliced:
        raise _Damaged(f"variable {name} is stored in slices (a partitioned variable), expected one piece")
    if entry.dtype not in _DTYPES:
        raise _Damaged(f"variable {name} has TensorFlow data type {entry.dtype}, expected a plain number type")
    dtype = np.dtype(_DTYPES[entry.dtype])
    expected = int(np.prod(entry.shape, dtype=object)) * dtype.itemsize
    if entry.size != expected:
        raise _Damaged(f"variable {name} has {entry.size} bytes, expected {expected} for shape {entry.shape}")
    file.seek(entry.offset)
    data = _read_up_to(file, entry.size)
    if len(data) != entry.size:
        raise _Damaged(f"variable {name} ends after {len(data)} of {entry.size} bytes: the data file is truncated")
    if _crc32c(data) != unmask(entry.checksum):
        raise _Damaged(f"variable {name} does not match its checksum: the data file is damaged")
    return np.frombuffer(data, dtype).reshape(entry.shape)


def _read_up_to(file: IO[bytes], size: int) -> bytes:
    """``size`` bytes or what is left; memory grows with the data that is there, not with the size claimed."""
    chunks = []
    while size > 0:
        chunk = file.read(min(size, _CHUNK))
        if not chunk:
            break
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key-value pairs of a sorted-string table."""
    if len(data) < _FOOTER or int.from_bytes(data[-8:], "little") != _MAGIC:
        raise _Damaged("the .index file is not a TensorFlow V2 checkpoint index (wrong magic number)")
    footer = data[-_FOOTER:]
    position = 0
    handle = []
    for _ in range(4):
        value, position = varint(footer, position)
        handle.append(value)
    for _, location in _block(data, handle[2], handle[3]):
        offset, after = varint(location, 0)
        size, _ = varint(location, after)
        yield from _block(data, offset, size)


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Entries of one block: (shared, unshared, value length), rest of the key, value; then restart points."""
    end = offset + size
    if end + _TRAILER > len(data) or size < 4:
        raise _Damaged("a block of the .index file lies outside it: truncated or damaged")
    if _crc32c(data[offset : end + 1]) != unmask(int.from_bytes(data[end + 1 : end + _TRAILER], "little")):
        raise _Damaged("a block of the .index file does not match its checksum: damaged")
    if data[end] != 0:
        raise _Damaged(f"the .index file is compressed (type {data[end]}), expected an uncompressed one")
    block = data[offset:end]
    entries_end = size - 4 * (int.from_bytes(block[-4:], "little") + 1)
    if entries_end < 0:
        raise _Damaged("a block of the .index file is malformed")
    position, key = 0, b""
    while position < entries_end:
        shared, position = varint(block, position)
        unshared, position = varint(block, position)
        length, position = varint(block, position)
        if shared > len(key) or position + unshared + length > entries_end:
            raise _Damaged("an entry of the .index file is malformed")
        key = key[:shared] + block[position : position + unshared]
        position += unshared
        yield key, block[position : position + length]
        position += length


def _shard_count(header: bytes) -> int:
    """Number of data files of a ``BundleHeaderProto`` (1: num_shards, 2: endianness, 3: version)."""
    found = dict(fields(header))
    if found.get(2, 0) != 0:
        raise _Damaged("the checkpoint is big-endian, expected little-endian")
    shards = found.get(1, 0)
    if not isinstance(shards, int) or not 1 <= shards <= 99999:
        raise _Damaged(f"the checkpoint names {shards!r} data files, expected 1 to 99999")
    return shards


def _entry(message: bytes) -> _Entry:
    """A ``BundleEntryProto`` (1: dtype, 2: shape, 3: shard_id, 4: offset, 5: size, 6: crc32c, 7: slices)."""
    numbers = {1: 0, 3: 0, 4: 0, 5: 0, 6: 0}
    shape: tuple[int, ...] = ()
    sliced = False
    for number, value in fields(message):
        if isinstance(value, bytes):
            if number == 2:
                shape = _shape(value)
            sliced = sliced or number == 7
        elif number in numbers:
            numbers[number] = value
    return _Entry(numbers[1], shape, numbers[3], numbers[4], numbers[5], numbers[6], sliced)


def _shape(message: bytes) -> tuple[int, ...]:
    """A ``TensorShapeProto``: repeated field 2 with the size in field 1."""
    sizes = []
    for number, dimension in fields(message):
        if number == 2 and isinstance(dimension, bytes):
            size = dict(fields(dimension)).get(1, 0)
            if not isinstance(size, int) or size >= 1 << 63:
                raise _Damaged("a shape in the .index file is malformed")
            sizes.append(size)
    return tuple(sizes)
