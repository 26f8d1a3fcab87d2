# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
import tracemalloc

import cv2
import golden_files
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssma_ros.encodings.hha import ROBOT_OPTIONS, HHAEncoder, HHAOptions, encode_hha, encode_published
from ssma_ros.frame import Intrinsics
from ssma_ros.kernels.reference.hha import HHAPass
from ssma_ros.kernels.shared.measure import direct_window_sum

NYU = np.array([[518.85790117450188, 0, 325.58244941119034], [0, 519.46961112127485, 253.73616633400465], [0, 0, 1]])


def ros_intrinsics(one_based: np.ndarray, shape: tuple[int, int]) -> Intrinsics:
    """K of the goldens counts pixels from 1, ROS from 0."""
    k = one_based
    return Intrinsics(k[0, 0], k[1, 1], k[0, 2] - 1, k[1, 2] - 1, shape[1], shape[0])


def few_valid(missing: np.ndarray) -> np.ndarray:
    """True where a 7×7 window holds 1 to 7 readings: too few for a plane, so not compared."""
    count = np.rint(cv2.filter2D((~missing).astype(np.float64), -1, np.ones((7, 7)), borderType=cv2.BORDER_CONSTANT))
    return (count > 0) & (count < 8)


def room(height: int = 96, width: int = 128, tilt: float = 0.0) -> tuple[np.ndarray, Intrinsics]:
    """Depth of a floor 1.3 m below a camera that looks down by ``tilt`` degrees, and of a wall 5 m ahead."""
    k = Intrinsics(width * 0.8, width * 0.8, width / 2 - 0.5, height / 2 - 0.5, width, height)
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    rays = np.stack([(u - k.cx) / k.fx, (v - k.cy) / k.fy, np.ones(u.shape)], axis=-1)
    down, ahead = down_vector(tilt), np.array([0.0, -np.sin(np.radians(tilt)), np.cos(np.radians(tilt))])
    with np.errstate(divide="ignore"):
        floor, wall = 1.3 / (rays @ down), 5.0 / (rays @ ahead)
    depth = np.minimum(np.where(floor > 0, floor, np.inf), np.where(wall > 0, wall, np.inf))
    return depth.astype(np.float32), k


def down_vector(tilt: float) -> np.ndarray:
    return np.array([0.0, np.cos(np.radians(tilt)), np.sin(np.radians(tilt))])


def worst(a: np.ndarray, b: np.ndarray, where: np.ndarray | slice = slice(None)) -> int:
    return int(np.abs(a.astype(int) - b.astype(int))[where].max())


@pytest.mark.parametrize("name", golden_files.HHA)
@pytest.mark.parametrize("threads", [1, 2])
def test_goldens(implementation, name, threads):
    golden = golden_files.golden(name)
    depth = (golden["depth_tenth_mm"] / 1e4).astype(np.float32)
    missing = golden["raw_tenth_mm"] == 0
    result = encode_hha(depth, ros_intrinsics(golden["C"], depth.shape), missing=missing, threads=threads)
    assert worst(result, golden["hha_bgr"], ~golden["few_valid_mask"]) <= 1
    assert (result == golden["hha_bgr"]).mean() >= 0.995


@pytest.mark.parametrize("picture", ["matlab_hha.png", "hha_complete.png"])
def test_matlab_pictures_of_dense_depth(shared_data, implementation, picture):
    folder = shared_data / "nyu_hha_matlab"
    depth = (cv2.imread(str(folder / "0.png"), cv2.IMREAD_UNCHANGED) / 1e4).astype(np.float32)
    result = encode_hha(depth, ros_intrinsics(NYU, depth.shape))
    expected = cv2.imread(str(folder / picture))
    assert worst(result, expected) <= 1
    assert (result == expected).mean() >= 0.995


@pytest.mark.parametrize(
    ("depth_file", "raw_file", "picture", "units"),
    [
        ("0.png", "0_raw.png", "hha.png", 1e4),
        ("gupta425x560_1_depth.png", "gupta425x560_1_rawdepth.png", "gupta425x560_1_hha.png", 1e3),
    ],
)
def test_pictures_of_depth_with_holes(shared_data, implementation, depth_file, raw_file, picture, units):
    folder = shared_data / "nyu_hha_matlab"
    depth = (cv2.imread(str(folder / depth_file), cv2.IMREAD_UNCHANGED) / units).astype(np.float32)
    missing = cv2.imread(str(folder / raw_file), cv2.IMREAD_UNCHANGED) == 0
    result = encode_hha(depth, ros_intrinsics(NYU, depth.shape), missing=missing)
    assert worst(result, cv2.imread(str(folder / picture)), ~few_valid(missing)) <= 1


@pytest.mark.parametrize("size", [(96, 128), (61, 83), (45, 22)])
@pytest.mark.parametrize("holes", [0.0, 0.1, 0.6])
def test_equal_to_the_published_steps(implementation, size, holes):
    """What gave the goldens shares nothing with the package."""
    golden, name = golden_files.golden("hha_steps"), f"{size[0]}x{size[1]}_{holes:g}"
    depth, missing = (golden[f"depth_tenth_mm_{name}"] / 1e4).astype(np.float32), golden[f"missing_{name}"]
    _, k = room(*size, tilt=12.0)
    compared = ~few_valid(missing)
    for threads in (1, 3):
        result = encode_hha(depth, k, missing=missing, threads=threads)
        assert worst(result, golden[f"hha_{name}"], compared) <= 1
        assert (result == golden[f"hha_{name}"])[compared].mean() >= 0.995


@pytest.mark.parametrize("size", [(96, 128), (61, 83), (45, 22)])
@pytest.mark.parametrize("holes", [0.0, 0.1, 0.6])
def test_compiled_is_equal_to_the_reference(size, holes):
    pytest.importorskip("numba")
    depth, k = room(*size, tilt=12.0)
    rng = np.random.default_rng(1)
    depth += rng.normal(0, 0.004, depth.shape).astype(np.float32)
    missing = rng.random(depth.shape) < holes
    expected = reference(depth, k, missing)
    for threads in (1, 3):
        result = encode_hha(depth, k, missing=missing, threads=threads)
        compared = ~few_valid(missing)
        assert worst(result, expected, compared) <= 1
        assert (result == expected)[compared].mean() >= 0.995


@pytest.mark.parametrize("hole", [np.s_[0:9, 0:40], np.s_[30:41, 120:136], np.s_[60:, 250:], np.s_[35:36, :]])
def test_holes_in_a_part_of_a_wide_image(implementation, hole):
    """Whole windows and windows with holes, side by side and one above the other, in one image."""
    depth, k = room(72, 300, tilt=12.0)
    depth += np.random.default_rng(1).normal(0, 0.004, depth.shape).astype(np.float32)
    missing = np.zeros(depth.shape, bool)
    missing[hole] = True
    results = [encode_hha(depth, k, missing=missing, threads=threads) for threads in (1, 2, 5)]
    compared = ~few_valid(missing)
    assert worst(results[0], reference(depth, k, missing), compared) <= 1
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def reference(depth: np.ndarray, k: Intrinsics, missing: np.ndarray) -> np.ndarray:
    """The reference with the window sums of the public programs, not those of the fallback."""
    image = np.empty((*depth.shape, 3), np.uint8)
    encode_published(HHAPass(depth, missing, k, direct_window_sum), image)
    return image


def test_pixels_are_numbered_as_ros_does(implementation):
    """A wall seen straight on: its normal is the optical axis only if the principal point is taken right."""
    k = Intrinsics(60.0, 60.0, 31.5, 23.5, 64, 48)
    image = encode_hha(np.full((48, 64), 2.0, np.float32), k)
    assert set(np.unique(image[..., 0])) == {128}
    assert set(np.unique(image[..., 2])) == {155}


def test_holes_cost_the_published_encoding_nothing(implementation):
    depth, k = room()
    depth[10:40, 20:60] = 0.0
    same = np.where(depth == 0, np.float32(np.nan), depth)
    np.testing.assert_array_equal(encode_hha(depth, k), encode_hha(same, k))
    image = encode_hha(depth, k)
    assert (image[20:30, 30:50, 2] == 255).all()
    assert (image[20:30, 30:50, 0] == 218).all()


def test_input_stays_and_out_is_used(implementation):
    depth, k = room()
    depth[3] = np.nan
    before, missing, out = depth.copy(), np.zeros(depth.shape, bool), np.empty((*depth.shape, 3), np.uint8)
    assert encode_hha(depth, k, missing=missing, out=out) is out
    np.testing.assert_array_equal(depth, before)
    np.testing.assert_array_equal(encode_hha(np.asfortranarray(depth), k), out)
    assert not missing.any()


@pytest.mark.parametrize(
    ("depth", "arguments", "words"),
    [
        (np.zeros((8, 8), np.uint16), {}, "dtype is uint16, expected float32 metres"),
        (np.zeros((8, 9), np.float32), {}, "intrinsics: for 8x8 pixels, expected 9x8"),
        (np.zeros((8, 8), np.float32), {"missing": np.zeros((8, 9), bool)}, r"missing: shape is \(8, 9\), expected"),
        (np.zeros((8, 8), np.float32), {"missing": np.zeros((8, 8))}, "missing: dtype is float64, expected bool"),
        (np.zeros((8, 8), np.float32), {"out": np.zeros((8, 8), np.uint8)}, r"out: shape is \(8, 8\)"),
        (np.zeros((8, 8), np.float32), {"threads": 1.5}, "threads: got 1.5, expected"),
    ],
)
def test_refusals(depth, arguments, words):
    with pytest.raises(ValueError, match=words):
        encode_hha(depth, Intrinsics(9.0, 9.0, 4.0, 4.0, 8, 8), **arguments)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(height=st.integers(1, 30), width=st.integers(1, 40), seed=st.integers(0, 2**31), robot=st.booleans())
def test_any_values(implementation, height, width, seed, robot):
    """Nothing a driver may send stops the encoder, and readings get the disparity they have."""
    rng = np.random.default_rng(seed)
    depth = rng.choice([np.nan, np.inf, -np.inf, -5.0, 0.0, 0.05, 3.0, 17.0, 1e30], (height, width)).astype(np.float32)
    k = Intrinsics(50.0, 50.0, 20.0, 15.0, width, height)
    encoder = HHAEncoder(ROBOT_OPTIONS if robot else None)
    image = encoder.encode(depth, k, threads=int(rng.integers(1, 4)))
    assert (image[..., 2][depth == 3.0] == 103).all()
    assert np.abs(np.linalg.norm(encoder.gravity) - 1) < 1e-6


def test_nothing_is_allocated_once_warm():
    pytest.importorskip("numba")
    depth, k = room(240, 320)
    out = np.empty((*depth.shape, 3), np.uint8)
    for holes in (False, True):
        depth[50:60, 50:60] = 0.0 if holes else 3.0
        encode_hha(depth, k, out=out)
        tracemalloc.start()
        encode_hha(depth, k, out=out)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < depth.nbytes / 10


def test_callers_in_several_threads_do_not_meet(implementation):
    depths = [room(tilt=tilt) for tilt in (0.0, 8.0, 16.0, 24.0)]
    expected = [encode_hha(depth, k) for depth, k in depths]
    wrong: list[int] = []

    def work(i: int) -> None:
        wrong.extend(i for _ in range(10) if not np.array_equal(encode_hha(*depths[i], threads=2), expected[i]))

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


# --- robot modes -----------------------------------------------------------------------------------------------------


def test_default_options_are_the_published_encoding(implementation):
    depth, k = room(tilt=10.0)
    np.testing.assert_array_equal(HHAEncoder().encode(depth, k), encode_hha(depth, k))


def test_estimate_finds_the_tilt(implementation):
    for tilt in (0.0, 8.0, 25.0):
        depth, k = room(240, 320, tilt=tilt)
        encoder = HHAEncoder()
        encoder.encode(depth, k)
        assert np.degrees(np.arccos(encoder.gravity @ down_vector(tilt))) < 1.0
        assert encoder.gravity_source == "estimated"


def test_given_gravity_is_used(implementation):
    depth, k = room(tilt=20.0)
    encoder = HHAEncoder()
    image = encoder.encode(depth, k, gravity=9.81 * down_vector(20.0))
    assert encoder.gravity_source == "given"
    np.testing.assert_allclose(encoder.gravity, down_vector(20.0))
    floor = image[-8:, 40:90, 0]  # its normals point down, along gravity
    assert worst(floor, np.full_like(floor, 38)) <= 1


def test_one_stray_pixel_moves_the_published_height_only(implementation):
    depth, k = room(tilt=20.0)
    stray = depth.copy()
    stray[-1, 5] = 40.0  # far below the floor
    published = [encode_hha(d, k) for d in (depth, stray)]
    assert worst(published[0][..., 1], published[1][..., 1], np.s_[60:90, 40:90]) > 100
    for options in (HHAOptions(floor_percentile=1.0), HHAOptions(camera_height=1.3)):
        images = [HHAEncoder(options).encode(d, k, gravity=down_vector(20.0)) for d in (depth, stray)]
        assert worst(images[0][..., 1], images[1][..., 1], np.s_[60:90, 40:90]) <= 1


def test_camera_height_and_range(implementation):
    depth, k = room(tilt=20.0)
    options = HHAOptions(camera_height=1.3, height_range=5.1)
    heights = HHAEncoder(options).encode(depth, k, gravity=down_vector(20.0))[..., 1]
    assert heights[-1, 64] <= 1  # the floor
    wall = depth[0, 64] * np.array([(64 - k.cx) / k.fx, -k.cy / k.fy, 1.0])
    assert abs(int(heights[0, 64]) - (1.3 - wall @ down_vector(20.0)) * 50) <= 1


def test_masked_pixels_are_blank(implementation):
    depth, k = room()
    depth[10:20, 30:50], depth[0, 0] = 0.0, np.nan
    image = HHAEncoder(HHAOptions(mask_missing=True)).encode(depth, k)
    hole = ~(depth > 0)
    assert (image[hole] == 0).all()
    assert (image[~hole].max(axis=-1) > 0).all()


def test_unsupported_estimates_are_refused(implementation):
    depth, k = room(tilt=10.0)
    encoder = HHAEncoder(HHAOptions(min_support=50, max_tilt=45.0))
    wall_only = np.full_like(depth, 2.0)
    encoder.encode(wall_only, k)
    assert encoder.gravity_source == "level"
    np.testing.assert_array_equal(encoder.gravity, [0.0, 1.0, 0.0])
    encoder.encode(depth, k)
    assert encoder.gravity_source == "estimated"
    last = encoder.gravity
    encoder.encode(wall_only, k)
    assert encoder.gravity_source == "held"
    np.testing.assert_array_equal(encoder.gravity, last)
    encoder.encode(np.zeros_like(depth), k)
    assert encoder.gravity_source == "held"


def test_gravity_is_smoothed_and_forgotten_on_a_jump(implementation):
    encoder = HHAEncoder(HHAOptions(smoothing=0.5, reset_after=1.0))

    def see(tilt: float, seconds: float) -> float:
        depth, k = room(240, 320, tilt=tilt)
        encoder.encode(depth, k, stamp_ns=int(seconds * 1e9))
        return float(np.degrees(np.arctan2(encoder.gravity[2], encoder.gravity[1])))

    assert abs(see(0.0, 10.0)) < 1.0
    assert 1.0 < see(20.0, 10.1) < 6.0  # 1 − exp(−0.1/0.5) = 18 % of the way
    assert 19.0 < see(20.0, 9.0) < 21.0  # the stamp went back: start anew
    assert 19.0 < see(20.0, 9.1) < 21.0
    assert -1.0 < see(0.0, 20.0) < 1.0  # a gap
    encoder.reset()
    assert encoder.gravity is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"camera_height": 1.0, "floor_percentile": 1.0}, "both given"),
        ({"camera_height": -1.0}, "camera_height is -1.0, expected"),
        ({"floor_percentile": 101.0}, "floor_percentile is 101.0, expected"),
        ({"height_range": 0.0}, "height_range is 0.0, expected"),
        ({"smoothing": -1.0}, "smoothing is -1.0, expected"),
        ({"max_tilt": 181.0}, "max_tilt is 181.0, expected"),
        ({"reset_after": float("nan")}, "reset_after is nan, expected"),
    ],
)
def test_options_out_of_range(arguments, words):
    with pytest.raises(ValueError, match=words):
        HHAOptions(**arguments)


@pytest.mark.parametrize("gravity", [[0, 0, 0], [0, np.nan, 0], [1, 0], 3.0])
def test_impossible_gravity(gravity):
    depth, k = room()
    with pytest.raises(ValueError, match="gravity: got"):
        HHAEncoder().encode(depth, k, gravity=np.array(gravity))
