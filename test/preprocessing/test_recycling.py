# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gc

import numpy as np
import pytest

from ssma_ros.kernels.shared.recycling import ALIGNMENT, RecycledArrays


def address(array: np.ndarray) -> int:
    return array.ctypes.data


def test_memory_comes_back_when_the_array_is_gone():
    arrays = RecycledArrays()
    first = arrays.take((30, 40, 3), np.uint8)
    place = address(first)
    assert first.shape == (30, 40, 3)
    assert first.flags.c_contiguous
    assert first.flags.writeable
    assert place % ALIGNMENT == 0
    del first
    assert address(arrays.take((30, 40, 3), np.uint8)) == place


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[2:],
        lambda a: a[2:][1:, ::2],
        lambda a: a.reshape(-1),
        lambda a: a.T,
        lambda a: a.view(np.uint8),
        memoryview,
        lambda a: np.frombuffer(a, np.uint8),
        lambda a: np.asarray(a[..., 0]),
    ],
)
def test_memory_of_which_a_view_lives_is_not_used_again(view):
    arrays = RecycledArrays()
    first = arrays.take((8, 8), np.float32)
    first[...] = 7.0
    place, kept = address(first), view(first)
    before = np.array(kept)
    del first
    other = arrays.take((8, 8), np.float32)
    other[...] = 1.0
    assert address(other) != place
    np.testing.assert_array_equal(np.array(kept), before)
    del kept
    gc.collect()
    assert address(arrays.take((8, 8), np.float32)) == place


def test_shapes_and_dtypes_do_not_mix():
    arrays = RecycledArrays()
    place = address(arrays.take((4, 6), np.float32))
    for shape, dtype in (((6, 4), np.float32), ((4, 6), np.int32), ((4, 6), np.uint8)):
        array = arrays.take(shape, dtype)
        assert (array.shape, array.dtype) == (shape, dtype)
        assert address(array) != place


def test_free_memory_is_kept_up_to_the_limit():
    arrays = RecycledArrays(limit=2)
    held = [arrays.take((5,), np.uint8) for _ in range(5)]
    places = {address(array) for array in held}
    assert len(places) == 5
    del held
    again = [arrays.take((5,), np.uint8) for _ in range(2)]
    assert {address(array) for array in again} <= places
    assert sum(len(free) for free in arrays._free.values()) == 0
    del again
    assert sum(len(free) for free in arrays._free.values()) == 2
