# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
import tracemalloc

import golden_files
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssma_ros.encodings.depth_completion import (
    fill_fast,
    fill_multiscale,
    keep_readings,
    valid_mask,
)
from ssma_ros.kernels.reference import fill as reference

FILLS = {"fast": (fill_fast, reference.fill_fast), "multi": (fill_multiscale, reference.fill_multiscale)}
#: Height and width of what the goldens fill_steps hold, and how many images of that size.
STEPS = [((61, 83), 3), ((16, 16), 3), ((7, 40), 3), ((40, 5), 3)]
SMALL = [((h, w), 1) for h in (1, 2, 3, 4, 5) for w in (1, 2, 3, 4, 5, 17)]
TOLERANCE = 1e-4
CASES = {
    "fast_bilateral": (fill_fast, {}),
    "fast_gaussian": (fill_fast, {"blur": "gaussian"}),
    "fast_gaussian_extrap": (fill_fast, {"blur": "gaussian", "extrapolate": True}),
    "fast_bilateral_md20": (fill_fast, {"max_depth": 20.0}),
    "multi_bilateral": (fill_multiscale, {}),
    "multi_bilateral_extrap": (fill_multiscale, {"extrapolate": True}),
    "multi_gaussian": (fill_multiscale, {"blur": "gaussian"}),
}


def scene(height: int, width: int, seed: int = 0, density: float = 0.4, far: float = 60.0) -> np.ndarray:
    """A slanted ground with a box and holes, metres."""
    rng = np.random.default_rng(seed)
    rows = np.linspace(far, 2.0, height)[:, None] * np.ones(width)
    rows[height // 3 : height // 2, width // 4 : width // 2] = 6.0
    rows += rng.normal(0, 0.02, rows.shape)
    rows[rng.random(rows.shape) > density] = 0.0
    rows[: height // 5] = 0.0
    return rows.astype(np.float32)


@pytest.mark.parametrize("name", golden_files.DEPTH_FILLS)
@pytest.mark.parametrize("case", CASES)
def test_goldens(implementation, name, case):
    golden = golden_files.golden(name)
    fill, arguments = CASES[case]
    for threads in (1, 2):
        result = fill(golden["input"], threads=threads, **arguments)
        assert result.dtype == np.float32
        assert np.abs(result - golden[case]).max() <= TOLERANCE


def plain(kind: str, depth: np.ndarray, extrapolate: bool = False, blur: str = "bilateral") -> np.ndarray:
    result = np.empty_like(depth)
    FILLS[kind][1](depth, 100.0, extrapolate, blur, result)
    return result


@pytest.mark.parametrize("kind", FILLS)
@pytest.mark.parametrize(
    ("blur", "sizes"), [("bilateral", STEPS), ("gaussian", STEPS), ("bilateral", SMALL)]
)
@pytest.mark.parametrize("extrapolate", [False, True])
def test_equal_to_the_published_steps(implementation, kind, blur, extrapolate, sizes):
    """What gave the goldens shares nothing with the package."""
    golden = golden_files.golden("fill_steps")
    for (height, width), count in sizes:
        for index in range(count):
            name = f"{height}x{width}_{index}"
            depth, expected = golden[f"input_{name}"], golden[f"{kind}_{blur}_{extrapolate}_{name}"]
            for threads in (1, 2, 3):
                result = FILLS[kind][0](depth, extrapolate=extrapolate, blur=blur, threads=threads)
                assert np.abs(result - expected).max() <= TOLERANCE, name


@pytest.mark.parametrize("kind", FILLS)
@pytest.mark.parametrize("blur", ["bilateral", "gaussian"])
@pytest.mark.parametrize("extrapolate", [False, True])
@pytest.mark.parametrize("size", [(61, 83), (128, 96), (37, 300), (16, 16), (7, 40), (40, 5)])
def test_compiled_is_equal_to_the_reference(kind, blur, extrapolate, size):
    pytest.importorskip("numba")
    fill, _ = FILLS[kind]
    for seed, density in enumerate((0.02, 0.5, 1.0)):
        depth = scene(*size, seed, density)
        expected = plain(kind, depth, extrapolate, blur)
        for threads in (1, 3):
            result = fill(depth, extrapolate=extrapolate, blur=blur, threads=threads)
            assert np.abs(result - expected).max() <= TOLERANCE


@pytest.mark.parametrize("kind", FILLS)
def test_what_is_no_reading_counts_as_empty(implementation, kind):
    fill, _ = FILLS[kind]
    depth = scene(48, 64)
    dirty, clean = depth.copy(), depth.copy()
    for i, value in enumerate((np.nan, np.inf, -np.inf, -3.0, -0.0)):
        dirty[i::7, ::3], clean[i::7, ::3] = value, 0.0
    dirty[6::7, ::3], clean[6::7, ::3] = 150.0, 100.0
    before = dirty.copy()
    for blur in ("bilateral", "gaussian"):
        np.testing.assert_array_equal(fill(dirty, blur=blur), fill(clean, blur=blur))
    np.testing.assert_array_equal(dirty, before)


@pytest.mark.parametrize("kind", FILLS)
def test_strided_read_only_and_double_images(implementation, kind):
    fill, _ = FILLS[kind]
    wide = scene(40, 120)
    expected = fill(np.ascontiguousarray(wide[:, ::2]))
    np.testing.assert_array_equal(fill(wide[:, ::2]), expected)
    np.testing.assert_array_equal(fill(np.asfortranarray(wide[:, ::2])), expected)
    np.testing.assert_array_equal(fill(wide[:, ::2].astype(np.float64)), expected)
    locked = np.ascontiguousarray(wide[:, ::2])
    locked.setflags(write=False)
    np.testing.assert_array_equal(fill(locked), expected)


@pytest.mark.parametrize(
    ("depth", "arguments", "words"),
    [
        (np.zeros((4, 4), np.uint16), {}, "dtype is uint16, expected float32 metres"),
        (np.zeros((4, 4, 1), np.float32), {}, r"shape is \(4, 4, 1\), expected"),
        (np.zeros((0, 4), np.float32), {}, r"shape is \(0, 4\), expected"),
        ([[1.0]], {}, "got list, expected"),
        (np.zeros((4, 4), np.float32), {"blur": "median"}, "blur: got 'median', expected one of bilateral, gaussian"),
        (np.zeros((4, 4), np.float32), {"max_depth": -1.0}, "max_depth: got -1.0, expected"),
        (np.zeros((4, 4), np.float32), {"max_depth": np.nan}, "max_depth: got nan, expected"),
        (np.zeros((4, 4), np.float32), {"threads": 0}, "threads: got 0, expected"),
        (np.zeros((4, 4), np.float32), {"out": np.zeros((4, 5), np.float32)}, r"out: shape is \(4, 5\)"),
        (np.zeros((4, 4), np.float32), {"out": np.zeros((4, 4))}, "dtype float64, expected"),
    ],
)
@pytest.mark.parametrize("kind", FILLS)
def test_refusals(kind, depth, arguments, words):
    with pytest.raises(ValueError, match=words):
        FILLS[kind][0](depth, **arguments)


def test_out_must_not_be_the_input():
    depth = scene(20, 20)
    with pytest.raises(ValueError, match="shares memory"):
        fill_fast(depth, out=depth)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 24),
    width=st.integers(1, 40),
    seed=st.integers(0, 2**31),
    max_depth=st.sampled_from([1.0, 20.0, 100.0, 1e4]),
    extrapolate=st.booleans(),
    blur=st.sampled_from(["bilateral", "gaussian"]),
    kind=st.sampled_from(sorted(FILLS)),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_any_values(implementation, height, width, seed, max_depth, extrapolate, blur, kind, dtype):
    """Whatever a driver may send: finite depths between 0 and max_depth come back, and readings stay covered."""
    rng = np.random.default_rng(seed)
    values = np.array([np.nan, np.inf, -np.inf, -5.0, 0.0, 0.05, 0.1, 3.0, 17.0, 40.0, 99.99, 100.0, 6e4])
    depth = rng.choice(values, (height, width)).astype(dtype)
    before = depth.copy()
    result = FILLS[kind][0](
        depth, max_depth=max_depth, extrapolate=extrapolate, blur=blur, threads=int(rng.integers(1, 4))
    )
    np.testing.assert_array_equal(depth, before)
    assert result.shape == depth.shape
    assert np.isfinite(result).all()
    assert result.min() >= -1e-4 * max_depth
    assert result.max() <= max_depth * (1 + 1e-5)


def test_nothing_is_allocated_once_warm():
    pytest.importorskip("numba")
    depth, out = scene(200, 300), np.empty((200, 300), np.float32)
    for fill in (fill_fast, fill_multiscale):
        for extrapolate in (False, True):
            fill(depth, extrapolate=extrapolate, out=out)
            tracemalloc.start()
            fill(depth, extrapolate=extrapolate, out=out)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < depth.nbytes / 10


def test_callers_in_several_threads_do_not_meet(implementation):
    scenes = [scene(90, 120, seed) for seed in range(4)]
    expected = [fill_multiscale(depth) for depth in scenes]
    wrong: list[int] = []

    def work(i: int) -> None:
        wrong.extend(i for _ in range(10) if not np.array_equal(fill_multiscale(scenes[i], threads=2), expected[i]))

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_readings_are_kept_and_all_else_is_exactly_zero(implementation):
    depth = np.array([[np.nan, np.inf, -np.inf, -1.0, 0.0], [0.05, 0.1, 0.10001, 3.0, 1e30]], np.float32)
    expected = np.array([[0, 0, 0, 0, 0], [0, 0, 0.10001, 3.0, 1e30]], np.float32)
    before = depth.copy()
    np.testing.assert_array_equal(keep_readings(depth), expected)
    np.testing.assert_array_equal(depth, before)
    np.testing.assert_array_equal(keep_readings(depth[:, ::-1]), expected[:, ::-1])
    assert keep_readings(depth, depth) is depth
    np.testing.assert_array_equal(depth, expected)
    with pytest.raises(ValueError, match="dtype is int32"):
        keep_readings(np.zeros((3, 4), np.int32))


def test_what_is_a_reading():
    depth = np.array([[np.nan, np.inf, -np.inf, -1.0], [0.0, 0.05, 5.0, 101.0]], np.float32)
    assert valid_mask(depth).tolist() == [[False] * 4, [False, False, True, True]]
