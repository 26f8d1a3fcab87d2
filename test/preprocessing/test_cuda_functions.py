# SPDX-License-Identifier: Apache-2.0
"""The CUDA kernels and their order against the CPU implementation: on the host, and on a GPU where there is one."""

from __future__ import annotations

import cv2
import golden_files
import numpy as np
import pytest

from preprocessing import cuda_host
from ssma_ros.encodings import colormap, vegetation
from ssma_ros.encodings.depth_completion import fill_fast, fill_multiscale
from ssma_ros.encodings.hha import HHAEncoder, HHAOptions
from ssma_ros.frame import Intrinsics
from ssma_ros.kernels.cuda import measure
from ssma_ros.kernels.cuda.agreement import difference, few_readings
from ssma_ros.kernels.cuda.functions import INDICES, CudaPreprocessing, GravityHistory
from ssma_ros.kernels.shared.measure import made_depth


@pytest.fixture(params=["host", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request):
    if request.param == "host":
        yield cuda_host.host_device()
    else:
        yield from cuda_host.gpu_device()


def run_fill(device, kind: str, depth: np.ndarray, **arguments) -> np.ndarray:
    height, width = depth.shape
    functions = CudaPreprocessing(device, width, height)
    source, out = device.put(depth), device.allocate(depth.nbytes)
    allocated = device.allocations
    getattr(functions, f"fill_{kind}")(source, out, **arguments)
    assert device.allocations == allocated, "a frame must not allocate: it may run inside a graph capture"
    np.testing.assert_array_equal(device.get(source, depth.shape, np.float32), depth)
    return device.get(out, depth.shape, np.float32)


@pytest.mark.parametrize("name", golden_files.DEPTH_FILLS)
def test_fill_goldens(device, name):
    stored = golden_files.golden(name)
    for case, kind, arguments in (
        ("fast_bilateral", "fast", {}),
        ("fast_gaussian", "fast", {"blur": "gaussian"}),
        ("fast_gaussian_extrap", "fast", {"blur": "gaussian", "extrapolate": True}),
        ("fast_bilateral_md20", "fast", {"max_depth": 20.0}),
        ("multi_bilateral", "multiscale", {}),
        ("multi_bilateral_extrap", "multiscale", {"extrapolate": True}),
        ("multi_gaussian", "multiscale", {"blur": "gaussian"}),
    ):
        found = difference("fill", run_fill(device, kind, stored["input"], **arguments), stored[case])
        assert found.within, (case, found)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 2), (33, 50), (64, 96)])
@pytest.mark.parametrize("extrapolate", [False, True])
@pytest.mark.parametrize("blur", ["bilateral", "gaussian"])
def test_fill_equals_the_cpu(device, size, extrapolate, blur):
    depth, _ = made_depth("stereo", *size[::-1])
    depth.flat[:: 7] = [(np.nan, np.inf, -np.inf, -2.0, 150.0)[i % 5] for i in range(len(depth.flat[::7]))]
    for kind, cpu in (("fast", fill_fast), ("multiscale", fill_multiscale)):
        clean = np.nan_to_num(depth, nan=0.0, posinf=0.0, neginf=0.0)
        result = run_fill(device, kind, clean, extrapolate=extrapolate, blur=blur)
        found = difference("fill", result, cpu(depth, extrapolate=extrapolate, blur=blur))
        assert found.within, (kind, found)


def run_hha(device, depth, k, missing=None, **arguments) -> tuple[np.ndarray, np.ndarray]:
    functions = CudaPreprocessing(device, k.width, k.height)
    source, out = device.put(depth), device.allocate(depth.size * 3)
    mask = 0 if missing is None else device.put(missing.astype(np.uint8))
    allocated = device.allocations
    functions.encode_hha(source, k, out, missing=mask, **arguments)
    assert device.allocations == allocated
    return device.get(out, (*depth.shape, 3), np.uint8), device.get(functions.gravity, (6,), np.float32)


@pytest.mark.parametrize("name", golden_files.HHA)
def test_hha_goldens(device, name):
    golden = golden_files.golden(name)
    depth, c = (golden["depth_tenth_mm"] / 1e4).astype(np.float32), golden["C"]
    k = Intrinsics(c[0, 0], c[1, 1], c[0, 2] - 1, c[1, 2] - 1, depth.shape[1], depth.shape[0])
    image, gravity = run_hha(device, depth, k, golden["raw_tenth_mm"] == 0)
    found = difference("hha", image, golden["hha_bgr"], ~golden["few_valid_mask"])
    assert found.within, found
    assert (image == golden["hha_bgr"]).mean() >= found.tolerance.equal
    np.testing.assert_allclose(gravity[:3], golden["gravity"], atol=1e-5)


def test_gravity_estimate_equals_the_cpu(device):
    depth, k = made_depth("dense", 160, 120)
    _, gravity = run_hha(device, depth, k)
    encoder = HHAEncoder()
    encoder.encode(depth, k)
    assert encoder.gravity_source == "estimated"
    np.testing.assert_allclose(gravity[:3], encoder.gravity, atol=2e-4)
    assert gravity[3] > 1000  # floor normals


@pytest.mark.parametrize("kind", ["dense", "stereo"])
def test_hha_equals_the_cpu(device, kind):
    depth, k = made_depth(kind, 120, 80)
    missing = depth == 0
    depth = fill_multiscale(depth, extrapolate=True)
    # Gravity given: on a made-up scene with few walls the estimate itself hangs on single normals at a threshold, and
    # float64 implementations differ by more than a level. The goldens cover the estimate.
    down = np.array([0.02, 0.995, 0.09]) / np.linalg.norm([0.02, 0.995, 0.09])
    image, _ = run_hha(device, depth, k, missing, gravity=tuple(down))
    expected = HHAEncoder().encode(depth, k, missing=missing, gravity=down)
    found = difference("hha", image, expected, ~few_readings(~missing))
    assert found.within, found


def test_hha_robot_modes_equal_the_cpu(device):
    depth, k = made_depth("stereo", 120, 80)
    down = np.array([0.05, 0.98, 0.19])
    down /= np.linalg.norm(down)
    image, gravity = run_hha(
        device, depth, k, gravity=tuple(down), camera_height=1.4, height_range=5.1, mask_missing=True
    )
    options = HHAOptions(camera_height=1.4, height_range=5.1, mask_missing=True)
    expected = HHAEncoder(options).encode(depth, k, gravity=down)
    np.testing.assert_allclose(gravity[:3], down, atol=1e-6)
    found = difference("hha", image, expected)
    assert found.within, found


def test_depth_as_colours_and_grey_levels_equals_the_cpu(device):
    depth, _ = made_depth("stereo", 50, 33)
    depth[0, :5] = 60.0, 0.2, np.inf, 40.0, 0.5
    functions = CudaPreprocessing(device, 50, 33)
    source, out = device.put(depth), device.allocate(depth.size * 3)
    functions.jet_depth(source, out, 0.5, 40.0)
    image = device.get(out, (33, 50, 3), np.uint8)
    found = difference("depth_jet", image, colormap.jet_depth(depth, 0.5, 40.0))
    assert found.within, found
    functions.gray_depth(source, out, 0.5, 40.0)
    image = device.get(out, (33, 50, 3), np.uint8)
    found = difference("depth_gray", image, np.dstack([colormap.gray_depth(depth, 0.5, 40.0)] * 3))
    assert found.within, found
    assert image[0, :5, 0].tolist() == [255, 1, 0, 255, 1]


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_vegetation_equals_the_cpu(device, index, dtype):
    rng = np.random.default_rng(0)
    color = rng.integers(0, 256, (30, 41, 3), np.uint8)
    scale = 255 if dtype == np.uint8 else 4095
    nir = rng.integers(0, scale + 1, (30, 41)).astype(dtype)
    functions = CudaPreprocessing(device, 41, 30)
    out = device.allocate(color.size)
    functions.vegetation(
        device.put(color), device.put(nir), out, index, nir_bytes=nir.itemsize, nir_full_scale=float(scale)
    )
    image = device.get(out, color.shape, np.uint8).astype(int)
    b, g, r = (vegetation.reflectance(color[..., i]) for i in range(3))
    n = vegetation.reflectance(nir, scale)
    if index == "nrg":
        expected = np.rint(np.stack([g, r, n], axis=-1) * 255)
    elif index == "nir":
        expected = np.rint(n * 255)[..., None]
    else:
        value = {"ndvi": lambda: vegetation.ndvi(n, r), "evi": lambda: vegetation.evi(n, r, b),
                 "evi2": lambda: vegetation.evi2(n, r)}[index]()
        expected = vegetation.to_uint8(value)[..., None]
    assert np.abs(image - expected).max() <= 1


@pytest.mark.parametrize("size", [(64, 48), (51, 37), (200, 150), (50, 25), (384, 192)])
def test_resizing_equals_opencv(device, size):
    rng = np.random.default_rng(1)
    color = rng.integers(0, 256, (75, 100, 3), np.uint8)
    wide = rng.integers(0, 65536, (75, 100)).astype(np.uint16)
    depth = rng.uniform(0, 50, (75, 100)).astype(np.float32)
    functions = CudaPreprocessing(device, *size)
    out = device.allocate(size[0] * size[1] * 4)
    for image in (color, np.ascontiguousarray(color[..., 0])):
        channels = image.shape[2] if image.ndim == 3 else 1
        functions.resize_image(device.put(image), 100, 75, out, channels=channels)
        expected = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        found = difference("resize", device.get(out, expected.shape, np.uint8), expected)
        assert found.within, found
    functions.resize_image(device.put(wide), 100, 75, out, channels=1, bytes_each=2)
    expected = cv2.resize(wide, size, interpolation=cv2.INTER_LINEAR)
    assert difference("resize_16_bits", device.get(out, expected.shape, np.uint16), expected).within
    nearest = functions.nearest_pixels(100, 75)
    functions.resize_depth(device.put(depth), nearest, out)
    expected = cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST_EXACT)
    np.testing.assert_array_equal(device.get(out, expected.shape, np.float32), expected)
    with pytest.raises(ValueError, match="got 3 channels of 2 bytes"):
        functions.resize_image(0, 1, 1, 0, channels=3, bytes_each=2)


@pytest.mark.parametrize("percent", [0.0, 0.5, 1.0, 37.0, 100.0])
def test_floor_percentile_equals_the_cpu(device, percent):
    depth, k = made_depth("stereo", 160, 120)
    down = (0.0, 0.96, 0.28)
    _, gravity = run_hha(device, depth, k, gravity=down, floor_percentile=percent)
    encoder = HHAEncoder(HHAOptions(floor_percentile=percent))
    image = encoder.encode(depth, k, gravity=np.array(down))
    levels = ((gravity[5] * 100) + 0.5) % 1  # the middle of a bin of 1 cm
    assert min(levels, 1 - levels) < 1e-2
    own, _ = run_hha(device, depth, k, gravity=down, floor_percentile=percent)
    assert np.abs(own[..., 1].astype(int) - image[..., 1]).max() <= 1


def test_floor_percentile_without_a_reading_is_the_published_floor(device):
    k = Intrinsics(30.0, 30.0, 15.5, 7.5, 32, 16)
    _, gravity = run_hha(device, np.zeros((16, 32), np.float32), k, floor_percentile=1.0)
    assert gravity[5] == np.float32(-1.3)


def test_gravity_comes_from_one_place(device):
    functions = CudaPreprocessing(device, 8, 8)
    k = Intrinsics(8.0, 8.0, 3.5, 3.5, 8, 8)
    with pytest.raises(ValueError, match="gravity, history: both are given"):
        functions.encode_hha(0, k, 0, gravity=(0.0, 1.0, 0.0), history=GravityHistory(1, 2))


def test_clearing(device):
    functions = CudaPreprocessing(device, 8, 8)
    pointer = device.put(np.full(3000, 7, np.uint8))
    functions.clear(pointer, 2996)
    found = device.get(pointer, (3000,), np.uint8)
    assert not found[:2996].any()
    assert (found[2996:] == 7).all()
    with pytest.raises(ValueError, match="got 2998 bytes, expected a multiple of 4"):
        functions.clear(pointer, 2998)


def test_packing(device):
    image = np.random.default_rng(2).integers(0, 256, (9, 40, 3), np.uint8)
    functions = CudaPreprocessing(device, 40, 9)
    source, out = device.put(image), device.allocate(image.size)
    functions.pack(source, out)
    np.testing.assert_array_equal(device.get(out, image.shape, np.uint8), image)
    functions.pack(source, out, swap=True)
    np.testing.assert_array_equal(device.get(out, image.shape, np.uint8), image[..., ::-1])


def test_the_benchmark_enqueues_work_that_a_graph_can_capture(device):
    cases = measure.cases(device, 96, 48)
    assert set(cases) == {"fill_fast", "fill_multiscale", "encode_hha", "whole"}
    allocated = device.allocations
    for enqueue in cases.values():
        enqueue()
    assert device.allocations == allocated
    if isinstance(device, cuda_host.HostDevice):
        kernels = {kernel for _, kernel in device.launches}
        assert {"resize_linear_8", "resize_depth", "bilateral", "encode", "vegetation", "pack"} <= kernels


def test_every_case_of_the_benchmark_is_timed_as_a_graph(device):
    found = measure.measure(device, 64, 32, "a card", rounds=3)
    assert [timing.function for timing in found] == ["fill_fast", "fill_multiscale", "encode_hha", "whole"]
    for timing in found:
        assert (timing.width, timing.height, timing.gpu) == (64, 32, "a card")
        assert 0 < timing.median_ms <= timing.p95_ms
    if isinstance(device, cuda_host.HostDevice):
        assert len(device.graphs) == 4
        assert all(graph.closed for graph in device.graphs)


def test_a_difference_is_judged_by_its_table():
    depth = np.ones((4, 6), np.float32)
    assert difference("fill", depth, depth + np.float32(9e-5)).within
    assert not difference("fill", depth, depth + np.float32(2e-4)).within
    assert not difference("fill", depth, np.full_like(depth, np.nan)).within
    level = np.zeros((20, 20), np.uint8)
    one, two = level.copy(), level.copy()
    one[0, 0], two[0, 0] = 1, 2
    assert difference("hha", one, level).within
    assert not difference("hha", two, level).within
    one[0] = 1
    assert not difference("hha", one, level).within, "a twentieth differs"
    assert difference("hha", two, level, level != two).largest == 2
    with pytest.raises(ValueError, match=r"index: got float32 \(4, 6\), expected uint8 \(20, 20\)"):
        difference("index", depth, level)


def test_sixteen_bits_of_a_wide_image_are_resized_to_the_level(device):
    """Against the formula in double: a place in float32 would be three levels off."""
    image = np.random.default_rng(1).integers(0, 65536, (4, 1280)).astype(np.uint16)
    functions = CudaPreprocessing(device, 192, 4)
    out = device.allocate(192 * 4 * 2)
    functions.resize_image(device.put(image), 1280, 4, out, channels=1, bytes_each=2)
    place = (np.arange(192) + 0.5) * 1280 / 192 - 0.5
    first = np.floor(place).astype(int)
    expected = image[:, first] + (place - first) * (image[:, first + 1].astype(float) - image[:, first])
    found = difference("resize_16_bits", device.get(out, (4, 192), np.uint16), np.rint(expected).astype(np.uint16))
    assert found.within, found
