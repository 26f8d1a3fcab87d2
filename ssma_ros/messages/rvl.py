# SPDX-License-Identifier: Apache-2.0
"""RVL, the lossless code for depth images of A. D. Wilson, "Fast Lossless Depth Image Compression", ISS 2017.

An image is read as runs: so many zero pixels, so many others, the others as differences to the pixel before that was
not zero, folded to natural numbers (0, -1, 1, -2 … become 0, 1, 2, 3 …). All numbers are written three bits at a time,
the lowest first, with a fourth bit that says whether more follow; eight of these nibbles fill a 32-bit word from its
upper end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.kernels.numba.jit import piece, strict_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray


def decode_rvl(data: NDArray[np.uint8], count: int) -> NDArray[np.uint16]:
    """Decode ``count`` pixels.

    Args:
        data: the code's 32-bit words, little endian as x86 and ARM write them; a rest of less than a word is ignored.
        count: pixels of the image.

    Returns:
        ``count`` uint16 values.

    Raises:
        ValueError: the code ends early or is none.
    """
    words = data[: data.size // 4 * 4].view("<u4").astype(np.int64)
    pixels = np.zeros(count, np.uint16)
    decoded = _decode(words, pixels)
    if decoded < count:
        raise ValueError(f"it ends or goes wrong at pixel {decoded} of {count}")
    return pixels


@piece
def _number(words: Any, at: Any) -> Any:
    """The number that begins at nibble ``at`` (-1 where there is none), and the nibble after it."""
    number, shift = 0, 0
    while at < 8 * words.size and shift < 33:  # a run over 16384×16384 pixels takes 29 bits
        nibble = (words[at >> 3] >> (28 - 4 * (at & 7))) & 15
        number |= (nibble & 7) << shift
        at += 1
        if nibble < 8:
            return number, at
        shift += 3
    return -1, at


@strict_kernel
def _decode(words: Any, pixels: Any) -> Any:
    """Fill ``pixels``; gives how many could be decoded."""
    at, position, value = 0, 0, 0
    while position < pixels.size:
        zeros, at = _number(words, at)
        others, at = _number(words, at)
        if zeros < 0 or others < 0 or zeros + others == 0 or zeros + others > pixels.size - position:
            return position
        position += zeros  # they are zero already
        for _ in range(others):
            folded, at = _number(words, at)
            if folded < 0:
                return position
            value = (value + ((folded >> 1) ^ -(folded & 1))) & 0xFFFF
            pixels[position] = value
            position += 1
    return position
