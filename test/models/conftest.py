# SPDX-License-Identifier: Apache-2.0
"""Helpers of the networks' tests: a writer of small TensorFlow checkpoints."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

Writer = Callable[[Path, Mapping[str, np.ndarray]], Path]
_DTYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _masked(data: bytes) -> int:
    import google_crc32c

    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _entry(array: np.ndarray, offset: int, data: bytes) -> bytes:
    dims = b"".join(b"\x12" + _varint(len(d)) + d for d in (b"\x08" + _varint(n) for n in array.shape))
    return (
        b"\x08"
        + _varint(_DTYPES[array.dtype.name])
        + b"\x12"
        + _varint(len(dims))
        + dims
        + b"\x20"
        + _varint(offset)
        + b"\x28"
        + _varint(len(data))
        + b"\x35"
        + struct.pack("<I", _masked(data))
    )


def _block(items: list[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(_varint(0) + _varint(len(k)) + _varint(len(v)) + k + v for k, v in items)
    body += struct.pack("<II", 0, 1)
    return body + b"\0" + struct.pack("<I", _masked(body + b"\0"))


def write_checkpoint(prefix: Path, variables: Mapping[str, np.ndarray]) -> Path:
    """Write ``variables`` as a V2 checkpoint with one shard and several table blocks; gives ``prefix``."""
    items = [(b"", b"\x08\x01\x1a\x02\x08\x01")]
    offset = 0
    with prefix.with_name(prefix.name + ".data-00000-of-00001").open("wb") as file:
        for name, array in sorted(variables.items()):
            data = np.ascontiguousarray(array).tobytes()
            items.append((name.encode(), _entry(array, offset, data)))
            file.write(data)
            offset += len(data)
    table, handles = b"", []
    for start in range(0, len(items), 64):
        part = items[start : start + 64]
        block = _block(part)
        handles.append((part[-1][0], _varint(len(table)) + _varint(len(block) - 5)))
        table += block
    meta, index = _block([]), _block(handles)
    footer = _varint(len(table)) + _varint(len(meta) - 5) + _varint(len(table) + len(meta)) + _varint(len(index) - 5)
    footer = footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    prefix.with_name(prefix.name + ".index").write_bytes(table + meta + index + footer)
    return prefix


@pytest.fixture(scope="session")
def checkpoint_writer() -> Writer:
    """Function that writes a V2 checkpoint."""
    return write_checkpoint
