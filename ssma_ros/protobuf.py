# SPDX-License-Identifier: Apache-2.0
"""Fields of protocol buffer messages, read without a library (https://protobuf.dev/programming-guides/encoding)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

_Data = TypeVar("_Data", bytes, memoryview)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def fields(data: _Data) -> Iterator[tuple[int, int | _Data]]:
    """(field number, value) of one message: numbers as they lie there, nested messages and strings as slices of it.

    Raises:
        ValueError: the message is cut short or is none.
    """
    position = 0
    while position < len(data):
        key, position = varint(data, position)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise ValueError("field number 0")
        if wire == _VARINT:
            value, position = varint(data, position)
            yield number, value
            continue
        if wire == _BYTES:
            length, position = varint(data, position)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire}")
        if position + length > len(data):
            raise ValueError(f"a field of {length} bytes where {len(data) - position} are left")
        field = data[position : position + length]
        yield number, field if wire == _BYTES else int.from_bytes(field, "little")
        position += length


def varint(data: bytes | memoryview, position: int) -> tuple[int, int]:
    """The number that begins at ``position``, and where it ends.

    Raises:
        ValueError: it does not end, or is longer than 64 bits.
    """
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise ValueError("ends inside a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
    raise ValueError("a number longer than 64 bits")
