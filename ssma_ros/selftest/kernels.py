# SPDX-License-Identifier: Apache-2.0
"""The CUDA kernels: compiled, compared with the processor's one by one, and timed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.encodings import colormap
from ssma_ros.encodings.depth_completion import fill_fast, fill_multiscale, keep_readings
from ssma_ros.encodings.hha import HHAEncoder
from ssma_ros.encodings.vegetation import encode_index
from ssma_ros.frame import Camera, Intrinsics
from ssma_ros.kernels.cuda.agreement import difference, few_readings
from ssma_ros.kernels.cuda.functions import INDICES, CudaPreprocessing
from ssma_ros.kernels.cuda.measure import measure, time_replays
from ssma_ros.kernels.cuda.registration import NUMBERS, CudaRegistration
from ssma_ros.kernels.shared.measure import made_depth
from ssma_ros.kernels.shared.projection import spread, view
from ssma_ros.registration import INFINITY, register_depth, register_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ssma_ros.kernels.cuda.device import Device
    from ssma_ros.selftest.findings import Findings, Settings

#: Milliseconds at 768×384 that we hope for on a large card.
TARGETS_MS = {"fill_fast": 0.15, "fill_multiscale": 0.15, "encode_hha": 0.3, "whole": 0.6}
_CAMERA = (1280, 720)


@dataclass(frozen=True)
class Case:
    """One kernel, or the kernels of one function.

    Attributes:
        name: for the table.
        kind: of :data:`ssma_ros.kernels.cuda.agreement.TOLERANCES`.
        enqueue: called with the address of the result.
        expected: what the processor makes of the same.
        compared: where, None = everywhere.
    """

    name: str
    kind: str
    enqueue: Callable[[int], None]
    expected: NDArray[Any]
    compared: NDArray[np.bool_] | None = None


def kernels(settings: Settings, findings: Findings) -> None:
    """Compile for this GPU, then run, compare and time every case."""
    from ssma_ros.inference.runtime.gpu import probe_gpu
    from ssma_ros.kernels.cuda.device import own_device

    findings.fact("GPU", probe_gpu().name)
    start = time.perf_counter()
    with own_device() as device:
        findings.fact("kernels compiled or loaded", f"{time.perf_counter() - start:.1f} s for {device.architecture}")
        compare_all(device, settings, findings)


def compare_all(device: Device, settings: Settings, findings: Findings) -> None:
    """Run every case on a device, compare it with the processor's result, and time its replay."""
    for case in cases(device, settings.width, settings.height):
        out = device.allocate(case.expected.nbytes)
        case.enqueue(out)
        got = np.empty_like(case.expected)
        device.download(got, out)
        found = difference(case.kind, got, case.expected, case.compared)
        findings.check(case.name, found.within, found)
        findings.figure(case.name, *time_replays(device, partial(case.enqueue, out), settings.rounds))
        device.free(out)


def timings(settings: Settings, findings: Findings) -> None:
    """Preprocessing as the encoder launches it: captured graphs, uploads apart."""
    from ssma_ros.inference.runtime.gpu import probe_gpu
    from ssma_ros.kernels.cuda.device import own_device

    gpu = probe_gpu().name
    findings.fact("GPU", gpu)
    with own_device() as device:
        for found in measure(device, settings.width, settings.height, gpu, settings.rounds):
            findings.figure(found.function, found.median_ms, found.p95_ms, TARGETS_MS[found.function])


def cases(device: Device, width: int, height: int) -> Iterator[Case]:
    """Everything that is compared, on made-up images."""
    functions = CudaPreprocessing(device, width, height)
    depth, k = made_depth("stereo", width, height)
    source = _put(device, depth)
    for name, fill in (("fast", fill_fast), ("multiscale", fill_multiscale)):
        on_gpu = getattr(functions, f"fill_{name}")
        yield Case(f"fill_{name}", "fill", partial(on_gpu, source), fill(depth))
        yield Case(f"fill_{name}, extrapolated, gaussian", "fill",
                   partial(on_gpu, source, extrapolate=True, blur="gaussian"),
                   fill(depth, extrapolate=True, blur="gaussian"))
    yield from _of_geometry(device, functions, depth)
    for name, kind, low, high in (("gray_depth", "depth_gray", 0.5, 40.0), ("thermal", "thermal", 1.0, 30.0)):
        gray = cv2.cvtColor(colormap.gray_depth(depth, low, high), cv2.COLOR_GRAY2BGR)
        yield Case(name, kind, partial(functions.gray_depth, source, near=low, far=high), np.asarray(gray))
    yield Case("jet_depth", "depth_jet", partial(functions.jet_depth, source, near=0.5, far=40.0),
               colormap.jet_depth(depth, 0.5, 40.0))
    yield from _of_colours(device, functions)
    yield from _of_sizes(device, functions)
    yield from _of_other_cameras(device, functions, depth, k)


def _of_geometry(device: Device, functions: CudaPreprocessing, depth: NDArray[np.float32]) -> Iterator[Case]:
    """HHA of completed depth, gravity given (see the table of tolerances)."""
    _, k = made_depth("stereo", functions.width, functions.height)
    missing, filled = depth == 0, fill_multiscale(depth, extrapolate=True)
    down = np.array([0.02, 0.995, 0.09]) / np.linalg.norm([0.02, 0.995, 0.09])
    source, holes = _put(device, filled), _put(device, missing.astype(np.uint8))

    def enqueue(out: int) -> None:
        functions.encode_hha(source, k, out, missing=holes, gravity=(float(down[0]), float(down[1]), float(down[2])))

    expected = HHAEncoder().encode(filled, k, missing=missing, gravity=down)
    yield Case("encode_hha", "hha", enqueue, expected, ~few_readings(~missing))


def _of_colours(device: Device, functions: CudaPreprocessing) -> Iterator[Case]:
    rng = np.random.default_rng(0)
    color = rng.integers(0, 256, (functions.height, functions.width, 3), np.uint8)
    nir = rng.integers(0, 256, color.shape[:2], np.uint8)
    on_gpu = _put(device, color), _put(device, nir)
    for index in INDICES:
        enqueue = partial(functions.vegetation, *on_gpu, index=index, nir_bytes=1, nir_full_scale=255.0)
        yield Case(f"vegetation {index}", "index", enqueue, _expected_index(color, nir, index))
    yield Case("pack", "pack", partial(functions.pack, on_gpu[0]), color)
    yield Case("pack, red and blue swapped", "pack", partial(functions.pack, on_gpu[0], swap=True),
               np.ascontiguousarray(color[..., ::-1]))


def _of_sizes(device: Device, functions: CudaPreprocessing) -> Iterator[Case]:
    """From a camera's size to the network's."""
    rng = np.random.default_rng(1)
    size, shape = (functions.width, functions.height), _CAMERA[::-1]
    for name, kind, channels, image in (
        ("resize colour", "resize", 3, rng.integers(0, 256, (*shape, 3), np.uint8)),
        ("resize near infrared", "resize", 1, rng.integers(0, 256, shape, np.uint8)),
        ("resize near infrared, 16 bits", "resize_16_bits", 1, _smooth(rng, shape)),
    ):
        source = _put(device, image)
        enqueue = partial(functions.resize_image, source, *_CAMERA, channels=channels, bytes_each=image.itemsize)
        yield Case(name, kind, enqueue, cv2.resize(image, size, interpolation=cv2.INTER_LINEAR))
    depth, nearest = rng.uniform(0, 50, shape).astype(np.float32), functions.nearest_pixels(*_CAMERA)
    yield Case("resize depth", "resize_depth", partial(functions.resize_depth, _put(device, depth), nearest),
               cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST_EXACT))


def _smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """H×W of 16 bits as a camera sees: between pixels of noise OpenCV 4 rounds its place in float32."""
    small = rng.uniform(0, 65535, (shape[0] // 16, shape[1] // 16)).astype(np.float32)
    return cv2.resize(small, shape[::-1], interpolation=cv2.INTER_LINEAR).astype(np.uint16)


def _of_other_cameras(
    device: Device, functions: CudaPreprocessing, depth: NDArray[np.float32], k: Intrinsics
) -> Iterator[Case]:
    """Depth and near infrared of a camera 5 cm to the right."""
    size, camera = (functions.width, functions.height), Camera(k, translation=(0.05, 0.0, 0.0))
    onto, numbers, pixels = CudaRegistration(device, *size), device.allocate(NUMBERS), depth.size
    source, places = _put(device, depth), device.allocate(onto.places_bytes(size))
    device.upload(numbers, spread(camera, k))
    yield Case("register depth", "registered_depth", partial(onto.depth, source, size, numbers, places),
               register_depth(depth, camera, k))
    filled = keep_readings(fill_multiscale(depth))
    image, how = np.random.default_rng(3).integers(0, 256, depth.shape, np.uint8), view(k, camera, INFINITY)
    device.upload(numbers, how.numbers)
    buffer, hole, seen = device.allocate(4 * how.buffer[0] * how.buffer[1]), device.allocate(pixels), device.allocate(4)
    addresses = (_put(device, image), _put(device, filled))

    def enqueue(out: int) -> None:
        onto.view(addresses[0], size, 1, addresses[1], source, numbers, buffer, how.buffer, out, hole, seen)

    expected, _, _ = register_image(image, camera, filled, k, measured=depth, assumed=INFINITY)
    yield Case("register near infrared", "registered", enqueue, expected)


def _put(device: Device, image: NDArray[Any]) -> int:
    pointer = device.allocate(image.nbytes)
    device.upload(pointer, image)
    return pointer


def _expected_index(color: NDArray[np.uint8], nir: NDArray[np.uint8], index: str) -> NDArray[np.uint8]:
    """H×W×3 bytes of an index, or of the pictures that go by their names, as the processor makes them."""
    if index in ("nir", "nrg"):
        channels = (color[..., 1], color[..., 2], nir) if index == "nrg" else (nir, nir, nir)
        return np.dstack(channels)
    return encode_index(index, color, nir, 255.0)
