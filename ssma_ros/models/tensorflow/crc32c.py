"""CRC-32C (Castagnoli) of large buffers in NumPy, as TensorFlow checkpoints store it.

A byte-by-byte loop in Python would take minutes for a few hundred megabytes. Here the buffer is cut into equal
lanes that advance together four bytes a step, and the lanes' checksums are joined pairwise: appending k zero bytes is a
linear map of the 32 checksum bits (a 32×32 matrix over GF(2)), so crc(a ‖ b) = shift_k(crc(a)) ⊕ crc(b).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78
_LANES = 4096
_U32 = np.uint32
Words = NDArray[np.uint32]


def crc32c(data: bytes | memoryview) -> int:
    """CRC-32C of ``data``."""
    raw = np.frombuffer(data, dtype=np.uint8)
    words_per_lane = len(raw) // (4 * _LANES)
    body = 4 * _LANES * words_per_lane
    # The register starts at all ones, which the linear joining does not know: start at 0 and fold it in.
    crc = 0xFFFFFFFF
    if words_per_lane:
        lanes = _lane_checksums(raw[:body].view("<u4").reshape(_LANES, words_per_lane))
        crc = _join(lanes, 4 * words_per_lane, crc)
    table = _tables()[0]
    for byte in raw[body:].tolist():
        crc = int(table[(crc ^ byte) & 0xFF]) ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def unmask(masked: int) -> int:
    """The checksum behind TensorFlow's (LevelDB's) stored form: rotated right by 15 and offset."""
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF


@lru_cache(maxsize=1)
def _tables() -> Words:
    """Slicing-by-4 tables: row k is the effect of a byte followed by k zero bytes."""
    table = np.zeros((4, 256), dtype=_U32)
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0)
        table[0, byte] = crc
    for k in range(1, 4):
        table[k] = table[0][table[k - 1] & 0xFF] ^ (table[k - 1] >> 8)
    return table


def _lane_checksums(words: Words) -> Words:
    """Checksum register of each row, started at 0."""
    table = _tables()
    crc = np.zeros(len(words), dtype=_U32)
    # Column after column is what is read: a transposed copy keeps those reads contiguous.
    for start in range(0, words.shape[1], 256):
        for column in np.ascontiguousarray(words[:, start : start + 256].T):
            x = crc ^ column
            crc = table[3][x & 0xFF] ^ table[2][(x >> 8) & 0xFF] ^ table[1][(x >> 16) & 0xFF] ^ table[0][x >> 24]
    return crc


def _join(lanes: Words, length: int, before: int) -> int:
    """Checksum of all lanes in a row behind the checksum ``before``; each lane is ``length`` bytes."""
    shift = _zeros(length)
    while len(lanes) > 1:
        lanes = _apply(shift, lanes[0::2]) ^ lanes[1::2]
        shift = _apply(shift, shift)
    return int((_apply(shift, np.array([before], dtype=_U32)) ^ lanes)[0])


def _zeros(count: int) -> Words:
    """Columns of the GF(2) matrix that appends ``count`` zero bytes."""
    powers = [_zeros_power(k) for k in range(count.bit_length()) if count >> k & 1]
    result = powers[0]
    for power in powers[1:]:
        result = _apply(power, result)
    return result


@lru_cache(maxsize=64)
def _zeros_power(k: int) -> Words:
    """The same for 2^k zero bytes."""
    if k:
        half = _zeros_power(k - 1)
        return _apply(half, half)
    basis = (_U32(1) << np.arange(32, dtype=_U32)).astype(_U32)
    one: Words = _tables()[0][basis & 0xFF] ^ (basis >> 8)
    return one


def _apply(matrix: Words, values: Words) -> Words:
    """Matrix times each of ``values``, over GF(2)."""
    bits = (values[:, None] >> np.arange(32, dtype=_U32)) & _U32(1)
    product: Words = np.bitwise_xor.reduce(bits * matrix, axis=1)
    return product
