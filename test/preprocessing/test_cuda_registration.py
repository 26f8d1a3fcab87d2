# SPDX-License-Identifier: Apache-2.0
"""Registration on the GPU against the processor's: the CUDA sources run on the host, or on a GPU if there is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from preprocessing import cuda_host
from preprocessing.test_registration import DEPTH, GRID, beside, cast, rotation
from ssma_ros.frame import Camera
from ssma_ros.kernels.cuda.agreement import difference
from ssma_ros.kernels.cuda.registration import NUMBERS, CudaRegistration
from ssma_ros.kernels.shared.projection import spread, view
from ssma_ros.registration import INFINITY, ground_plane, register_depth, register_image

SHAPE = (GRID.height, GRID.width)


@pytest.fixture(params=["host", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> Any:
    if request.param == "host":
        yield cuda_host.host_device()
    else:
        yield from cuda_host.gpu_device()


def check_close(device: Any, ours: Any, theirs: Any, kind: str) -> None:
    """On the host bit for bit; a GPU fuses products and sums, and a pixel on the edge of a pixel may fall otherwise."""
    if isinstance(device, cuda_host.HostDevice):
        np.testing.assert_array_equal(ours, theirs)
    else:
        found = difference(kind, ours, theirs)
        assert found.within, found


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    ("camera", "assumed"),
    [
        (beside("larger", 0.12, 0.03, 0.02), None),
        (beside("thermal", -0.2, 0.0, 0.3), INFINITY),
        (beside("same", 0.05), ground_plane(GRID, 1.2, np.array([0.1, 1.0, 0.1]))),
        (Camera(GRID), INFINITY),
    ],
)
def test_images_come_out_as_on_the_processor(device: Any, dtype: str, camera: Camera, assumed: Any) -> None:
    rng = np.random.default_rng(3)
    k = camera.intrinsics
    image = rng.integers(0, 250, (k.height, k.width)).astype(dtype)
    depth = np.where(rng.random(SHAPE) < 0.1, 0, DEPTH).astype(np.float32)
    measured = np.where(rng.random(SHAPE) < 0.2, 0, depth).astype(np.float32)
    how = view(GRID, camera, assumed)
    numbers, hole, seen = device.allocate(NUMBERS), device.allocate(depth.size), device.allocate(4)
    device.upload(numbers, how.numbers)
    out = device.allocate(depth.size * image.itemsize)
    CudaRegistration(device, GRID.width, GRID.height).view(
        device.put(image), (k.width, k.height), image.itemsize, device.put(depth), device.put(measured), numbers,
        device.allocate(4 * how.buffer[0] * how.buffer[1]), how.buffer, out, hole, seen,
    )  # fmt: skip
    expected, mask, share = register_image(image, camera, depth, GRID, measured=measured, assumed=assumed)
    check_close(device, device.get(out, SHAPE, dtype), expected, "registered")
    check_close(device, device.get(hole, SHAPE, np.uint8), mask, "registered_hole")
    assert device.get(seen, (1,), np.int32)[0] == pytest.approx(share * depth.size, rel=1e-3)


@pytest.mark.parametrize("name", ["same", "larger", "thermal"])
def test_depth_comes_out_as_on_the_processor(device: Any, name: str) -> None:
    camera = beside(name, 0.08, 0.02, 0.01)
    k = camera.intrinsics
    depth = cast(k, camera.rotation, np.asarray(camera.translation)).astype(np.float32)
    depth[np.random.default_rng(0).random(depth.shape) < 0.2] = np.nan
    functions, size = CudaRegistration(device, GRID.width, GRID.height), (k.width, k.height)
    numbers, out = device.allocate(NUMBERS), device.allocate(4 * GRID.width * GRID.height)
    device.upload(numbers, spread(camera, GRID))
    functions.depth(device.put(depth), size, numbers, device.allocate(functions.places_bytes(size)), out)
    check_close(device, device.get(out, SHAPE, np.float32), register_depth(depth, camera, GRID), "registered_depth")


def test_a_picture_is_blank_where_nothing_is_seen(device: Any) -> None:
    rng = np.random.default_rng(0)
    picture, hole = rng.integers(1, 255, (*SHAPE, 3), np.uint8), rng.integers(0, 2, SHAPE).astype(np.uint8)
    address = device.put(picture)
    CudaRegistration(device, GRID.width, GRID.height).blank(address, device.put(hole), 7)
    np.testing.assert_array_equal(
        device.get(address, picture.shape, np.uint8), np.where(hole[..., None] == 0, picture, 7)
    )


def test_a_turned_depth_camera_leaves_no_gaps_either(device: Any) -> None:
    """Rotated pixels cover boxes around what they are: no pixel between four of them stays empty."""
    camera = Camera(GRID, rotation(0.0, 0.4))
    depth = np.full(SHAPE, 4.0, np.float32)
    functions, size = CudaRegistration(device, GRID.width, GRID.height), (GRID.width, GRID.height)
    numbers, out = device.allocate(NUMBERS), device.allocate(depth.nbytes)
    device.upload(numbers, spread(camera, GRID))
    functions.depth(device.put(depth), size, numbers, device.allocate(functions.places_bytes(size)), out)
    np.testing.assert_allclose(device.get(out, SHAPE, np.float32)[30:66, 60:132], 4.0, rtol=1e-5)
