# SPDX-License-Identifier: Apache-2.0
"""Timing the CUDA functions on the GPU at hand, as captured graphs, uploads apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.kernels.cuda.functions import CudaPreprocessing
from ssma_ros.kernels.shared.measure import made_depth

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssma_ros.kernels.cuda.device import Device


@dataclass(frozen=True)
class GpuTiming:
    """Milliseconds on the GPU of one captured graph.

    Attributes:
        function: ``fill_fast``, ``fill_multiscale``, ``encode_hha`` or ``whole`` (resize, fill, HHA, EVI2, packing).
        width, height: pixels.
        median_ms, p95_ms: between events before and after the graph.
        gpu: its name.
    """

    function: str
    width: int
    height: int
    median_ms: float
    p95_ms: float
    gpu: str


def measure(device: Device, width: int, height: int, gpu: str, rounds: int = 200) -> list[GpuTiming]:
    """Time every function at one size.

    Args:
        device: to measure, see :func:`~ssma_ros.kernels.cuda.device.own_device`.
        width, height: pixels.
        gpu: its name.
        rounds: timed replays of each.

    Raises:
        SsmaError: memory is short, or the work cannot be captured.
    """
    return [
        GpuTiming(name, width, height, *time_replays(device, enqueue, rounds), gpu)
        for name, enqueue in cases(device, width, height).items()
    ]


def cases(device: Device, width: int, height: int) -> dict[str, Callable[[], None]]:
    """What is timed, by name: each call enqueues one frame's kernels. ``whole`` starts from 1280×720 sensor images."""
    functions = CudaPreprocessing(device, width, height)
    depth, k = made_depth("stereo", width, height)
    pixels = width * height
    metres = device.allocate(1280 * 720 * 4)
    raw, filled, small_depth = (device.allocate(pixels * 4) for _ in range(3))
    color, small = device.allocate(1280 * 720 * 3), device.allocate(pixels * 3)
    nir, small_nir = device.allocate(1280 * 720), device.allocate(pixels)
    hha, evi2, network = (device.allocate(pixels * 3) for _ in range(3))
    device.upload(raw, depth)
    device.upload(metres, made_depth("stereo", 1280, 720)[0])
    nearest = functions.nearest_pixels(1280, 720)
    rng = np.random.default_rng(0)
    device.upload(color, rng.integers(0, 256, (720, 1280, 3), np.uint8))
    device.upload(nir, rng.integers(0, 256, (720, 1280), np.uint8))

    def whole() -> None:
        functions.resize_image(color, 1280, 720, small, channels=3)
        functions.resize_image(nir, 1280, 720, small_nir, channels=1)
        functions.resize_depth(metres, nearest, small_depth)
        functions.fill_fast(small_depth, filled)
        functions.encode_hha(filled, k, hha)
        functions.vegetation(small, small_nir, evi2, "evi2", nir_bytes=1, nir_full_scale=255.0)
        for image in (small, hha, evi2):
            functions.pack(image, network)

    return {
        "fill_fast": lambda: functions.fill_fast(raw, filled),
        "fill_multiscale": lambda: functions.fill_multiscale(raw, filled),
        "encode_hha": lambda: functions.encode_hha(raw, k, hha),
        "whole": whole,
    }


def time_replays(device: Device, enqueue: Callable[[], None], rounds: int) -> tuple[float, float]:
    """Median and 95th percentile in milliseconds of what ``enqueue`` launches, captured once and replayed.

    By events before and after, each replay alone on the device; the first tenth is run before and not counted.
    """
    graph, found = device.capture(enqueue), []
    try:
        first = 1 + rounds // 10
        for i in range(first + rounds):
            before = device.mark()
            graph.launch()
            after = device.mark()
            device.wait()
            if i >= first:
                found.append(after.time_since(before))
    finally:
        graph.close()
    return float(np.median(found)), float(np.percentile(found, 95))
