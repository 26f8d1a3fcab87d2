# SPDX-License-Identifier: Apache-2.0
"""Arrays on the very memory that outgoing messages carry, so that what is computed need not be copied into them."""

from __future__ import annotations

import array
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray


class MessageMemory:
    """One array for each use, made anew only when its shape changes."""

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[Any]] = {}

    def array(self, use: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """The array of this use, C-contiguous; what is in it is what was written last."""
        found = self._arrays.get(use)
        if found is None or found.shape != shape or found.dtype != np.dtype(dtype):
            memory = array.array("B", bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize))
            found = self._arrays[use] = np.frombuffer(memory, dtype).reshape(shape)
        return found


def carrier(data: NDArray[np.uint8]) -> array.array[int] | None:
    """The ``array.array`` of which ``data`` is all of the memory, or None where it lies elsewhere.

    Such a one can be a field of an rclpy message as it is; anything else must be copied into one.
    """
    base: Any = data
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    whole = isinstance(base, array.array) and base.typecode == "B" and len(base) == data.size
    return base if whole and data.flags.c_contiguous else None
