# SPDX-License-Identifier: Apache-2.0
"""Arrays whose memory is used again once nobody holds them, so that a steady stream of frames allocates nothing."""

from __future__ import annotations

import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

#: Bytes that arrays begin at a multiple of: a cache line, and the widest vector register.
ALIGNMENT = 64


class RecycledArrays:
    """Hands out arrays; takes the memory of one back when it and every view of it are gone.

    Nobody has to give anything back, and a result that is kept is never overwritten: its memory is not free while it
    lives. May be used from several threads, and after a fork.

    Args:
        limit: pieces of free memory that are kept for each shape and dtype.
    """

    def __init__(self, limit: int = 4) -> None:
        self._limit = limit
        self._free: dict[tuple[tuple[int, ...], np.dtype[Any]], deque[bytearray]] = {}
        self._lent: dict[int, weakref.ref[NDArray[Any]]] = {}

    def take(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """A writeable C-contiguous array; what is in it is undefined."""
        kind = np.dtype(dtype)
        free = self._free.setdefault((shape, kind), deque())
        try:
            memory = free.pop()  # one step, as append below is: no lock is needed
        except IndexError:
            memory = bytearray(int(np.prod(shape)) * kind.itemsize + ALIGNMENT)
        # On a bytearray, not on an array: a view of a view then refers to the array handed out, not past it to the
        # memory, and so keeps it alive.
        start = -np.frombuffer(memory, np.uint8).ctypes.data % ALIGNMENT
        array: NDArray[Any] = np.ndarray(shape, kind, memory, start)

        def give_back(reference: weakref.ref[NDArray[Any]]) -> None:
            del self._lent[id(reference)]
            if len(free) < self._limit:
                free.append(memory)

        reference = weakref.ref(array, give_back)
        self._lent[id(reference)] = reference
        return array
