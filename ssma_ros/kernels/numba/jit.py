# SPDX-License-Identifier: Apache-2.0
"""How the kernels are compiled, and the layout of the rows they work on."""

# mypy: ignore-errors
# numba infers the types of kernels, which mypy cannot follow.

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numba.core import event

from ssma_ros.kernels.shared import constants

logger = logging.getLogger(__name__)

Function = Callable[..., Any]

#: Pixels of padding at either end of a work row: room for every window's border, and keeps rows 64-byte aligned.
PAD = 16
#: Rows of a ring buffer (a power of two) and ``y & RING`` as the place of image row y in it.
RING_ROWS = 16
RING = RING_ROWS - 1
#: ``y & WHOLE`` is y: the same kernels also work on buffers that hold the whole image.
WHOLE = -1
#: Rows a pipeline takes in at a time. Ring buffers hold one strip and the widest window's borders.
STRIP = 8

# Unsigned constants: indices built from signed ones make numba test for negative values in every access, and then
# LLVM does not vectorise the loop.
U1, U2, U3, U4 = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
EMPTY_BELOW = np.float32(constants.EMPTY_BELOW)


class _Announcement(event.Listener):
    """Says before the first kernel is compiled why nothing else happens now. Loading from the cache is quick and quiet.

    A warning, since nobody sees less where nothing is set up to show it: a notebook, a script.
    """

    made = False

    def on_start(self, event):
        if not self.made and event.data["dispatcher"].py_func.__module__.startswith("ssma_ros."):
            self.made = True
            logger.warning("compiling preprocessing kernels for the first time, which takes up to a minute")

    def on_end(self, event):
        pass


event.register("numba:compile", _Announcement())


def _compiler(**options: Any) -> Callable[[Function], Any]:
    def compile_function(function: Function) -> Any:
        try:
            compiled = njit(cache=True, nogil=True, error_model="numpy", boundscheck=False, **options)(function)
            return _without_need_of_a_disk(compiled)
        except RuntimeError:  # numba finds no folder it may write its cache to: compile in every process instead
            return njit(nogil=True, error_model="numpy", boundscheck=False, **options)(function)

    return compile_function


def _without_need_of_a_disk(compiled: Any) -> Any:
    """The compiled function, for which a full disk is no error: it is not kept and is compiled again next time."""
    cache = compiled._cache
    save = cache.save_overload

    def save_overload(signature: Any, data: Any) -> None:
        try:
            save(signature, data)
        except OSError as error:
            warnings.warn(
                f"compiled kernels cannot be kept in {cache.cache_path} ({error.strerror}) and are compiled again at "
                "every start, expected a disk with some room (NUMBA_CACHE_DIR names another folder)",
                stacklevel=2,
            )

    cache.save_overload = save_overload
    return compiled


#: Kernels on clean data: LLVM may reorder, fuse and assume finite values.
kernel = _compiler(fastmath=True)
#: Pieces of an inner loop: a call left in it would keep LLVM from vectorising.
piece = _compiler(fastmath=True, forceinline=True)
#: Kernels that meet NaN and ±inf: IEEE rules.
strict_kernel = _compiler(fastmath=False)
strict_piece = _compiler(fastmath=False, forceinline=True)


def row_length(width: int) -> int:
    """Floats in a work row for ``width`` pixels: padded at both ends to whole cache lines."""
    return PAD + -(-(width + PAD) // 16) * 16


@piece
def first(width):
    """Index of the first pixel in a work row."""
    return np.uint64(PAD)


@piece
def last(width):
    """Index after the last pixel in a work row."""
    return np.uint64(PAD + width)


@piece
def reach(made, ready, radius, height, end):
    """Row up to which a stage can go on, having made ``made`` rows: at most ``end``, and at most one strip.

    The stage before it has ``ready`` rows; windows reach ``radius`` rows down, at the image's end not at all.
    """
    possible = end if ready >= height else min(end, ready - radius)
    return max(made, min(possible, made + STRIP))


@piece
def inside(y, height):
    """Row ``y`` clamped into the image: the border repeated, which a max or min filter does not notice."""
    return min(max(y, 0), height - 1)


@kernel
def mirrored(i, size):
    """Index ``i`` reflected at the ends without repeating them (OpenCV's BORDER_REFLECT_101)."""
    if size == 1:
        return 0
    while i < 0 or i >= size:
        i = -i if i < 0 else 2 * size - 2 - i
    return i


@kernel
def pad_repeat(row, width):
    """Repeat the first and last pixel into the ends of a work row."""
    # Loops, not slices: numba spends seconds on compiling a slice assignment and it is no faster.
    left, right = row[PAD], row[PAD + width - 1]
    for x in range(np.uint64(PAD)):
        row[x] = left
    for x in range(last(width), np.uint64(row.size)):
        row[x] = right


@kernel
def copy_row(src, dst):
    """Copy one work row."""
    for x in range(np.uint64(dst.size)):
        dst[x] = src[x]


@kernel
def pad_mirror(row, width):
    """Reflect two pixels into either end of a work row."""
    for i in range(1, 3):
        row[PAD - i] = row[PAD + mirrored(-i, width)]
        row[PAD + width - 1 + i] = row[PAD + mirrored(width - 1 + i, width)]
