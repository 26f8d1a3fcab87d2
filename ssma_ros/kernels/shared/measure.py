# SPDX-License-Identifier: Apache-2.0
"""Timing the preprocessing functions beside a plain reference: inputs, interleaved runs, ratios."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.frame import Intrinsics

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

CLOCKS = {"wall": time.perf_counter, "cpu": time.thread_time}


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one function on one input.

    Attributes:
        function, input, width, height, threads: what was measured.
        median_ms, p95_ms: of the function.
        reference_ms: median of the reference run before each call, or None without a reference.
        ratio: median of reference / function over the pairs, or None.
        difference: greatest difference to the reference's result (metres or grey levels), or None.
        rounds: how many pairs.
    """

    function: str
    input: str
    width: int
    height: int
    threads: int
    median_ms: float
    p95_ms: float
    reference_ms: float | None
    ratio: float | None
    difference: float | None
    rounds: int


def made_depth(kind: str, width: int, height: int, seed: int = 0) -> tuple[NDArray[np.float32], Intrinsics]:
    """A depth image in metres, made up, with the holes of a kind of sensor.

    ``stereo``: blobs without reading, shadows left of near things and a sky, 16-bit millimetres; ``lidar``: 64 rings,
    about one pixel in twenty; ``dense``: no holes.
    """
    rng = np.random.default_rng(seed)
    k = Intrinsics(width * 0.6, width * 0.6, width / 2 - 0.5, height / 2 - 0.5, width, height)
    v = np.arange(height)[:, None] + np.zeros(width)
    ground = 1.4 / np.maximum((v - height * 0.45) / k.fy, 1.4 / 60.0)
    depth = ground.copy()
    for _ in range(12):
        z = rng.uniform(3.0, 30.0)
        w, h = int(k.fx * rng.uniform(0.5, 3.0) / z) + 2, int(k.fy * rng.uniform(0.5, 3.0) / z) + 2
        x, y = int(rng.integers(0, width)), int(height * 0.45 + k.fy * 1.4 / z)
        box = np.s_[max(0, y - h) : max(1, y), x : x + w]
        depth[box] = np.minimum(depth[box], z)
    depth *= 1.0 + rng.normal(0.0, 0.002, depth.shape)
    if kind == "stereo":
        small = rng.normal(size=(height // 24 + 2, width // 24 + 2))
        blobs = np.kron(small, np.ones((24, 24)))[:height, :width] > 1.0
        shadow = np.roll(depth, -8, axis=1) < depth * 0.8
        depth[blobs | shadow | (depth > 55.0) | (rng.random(depth.shape) < 0.02)] = 0.0
    elif kind == "lidar":
        rows = np.unique(np.linspace(height * 0.35, height - 1, 64).astype(int))
        hit = np.zeros(depth.shape, bool)
        hit[rows, ::2] = True
        depth[~hit | (depth > 80.0)] = 0.0
    return (np.rint(depth * 1000.0) / 1000.0).astype(np.float32), k


def direct_window_sum(image: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """Sum over (2·radius + 1)² windows, zeros outside the image: one addition for each pixel of each window.

    As the two-dimensional convolutions of the public HHA programs do it.
    """
    rows, columns = image.shape
    padded = np.pad(image, radius)
    total = np.zeros_like(image)
    for dy in range(2 * radius + 1):
        for dx in range(2 * radius + 1):
            total += padded[dy : dy + rows, dx : dx + columns]
    return total


def compare(
    function: Callable[[], NDArray],
    reference: Callable[[], NDArray] | None,
    compared: NDArray[np.bool_] | None,
    rounds: int,
    clock: str,
    head: tuple[str, str, int, int, int],
) -> Timing:
    """Run both by turns, so that whatever slows the machine down slows both.

    Args:
        function, reference: what to time.
        compared: H×W bool, where the results are compared; None = everywhere.
        rounds: pairs of runs.
        clock: key of CLOCKS.
        head: the Timing's first five fields.
    """
    now = CLOCKS[clock]
    result = function()
    difference = None
    if reference is not None:
        distance = np.abs(result.astype(np.float64) - reference())
        difference = float(distance.max() if compared is None else distance[compared].max(initial=0.0))
    own, other = [], []
    gc.disable()
    try:
        for _ in range(rounds):
            if reference is not None:
                started = now()
                reference()
                other.append(now() - started)
            started = now()
            function()
            own.append(now() - started)
    finally:
        gc.enable()
    ms = np.array(own) * 1e3
    return Timing(
        *head,
        median_ms=float(np.median(ms)),
        p95_ms=float(np.percentile(ms, 95)),
        reference_ms=float(np.median(other)) * 1e3 if other else None,
        ratio=float(np.median(np.array(other) / np.array(own))) if other else None,
        difference=difference,
        rounds=rounds,
    )
