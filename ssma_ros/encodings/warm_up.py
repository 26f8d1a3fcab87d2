# SPDX-License-Identifier: Apache-2.0
"""First-use costs of the encodings, paid where a delay is allowed."""

from __future__ import annotations

import time

import numpy as np

from ssma_ros.encodings.depth_completion import BLURS, fill_fast, fill_multiscale, keep_readings
from ssma_ros.encodings.hha import ROBOT_OPTIONS, HHAEncoder, encode_hha
from ssma_ros.encodings.vegetation import encode_index
from ssma_ros.frame import Intrinsics


def warm_up(
    width: int,
    height: int,
    *,
    completion: str | None = None,
    blur: str | None = None,
    extrapolate: bool | None = None,
    hha: bool = True,
    threads: int = 1,
) -> float:
    """Compile (or load from the cache on disk) the kernels and make the buffers for one image size.

    Call it where a delay is allowed, as a node does when it is configured: afterwards no frame of that size with that
    many ``threads``, from whatever thread, compiles or allocates work memory.

    Args:
        width, height: of the depth images to come, pixels.
        completion: ``fast``, ``multiscale`` or ``none``; None = all of them.
        blur, extrapolate: as the fills will be called with; None = every value.
        hha: whether HHA will be asked for.
        threads: as the functions will be called with.

    Returns:
        Seconds it took: a fraction of one from the cache, up to a minute the very first time.
    """
    fills = {"fast": (fill_fast,), "multiscale": (fill_multiscale,), "none": ()}
    chosen = (fill_fast, fill_multiscale) if completion is None else fills[completion]
    started = time.perf_counter()
    depth = np.full((height, width), 3.0, np.float32)
    depth[:: max(2, height // 8)] = 0.0
    for fill in chosen:
        for kind in BLURS if blur is None else (blur,):
            for beyond in (False, True) if extrapolate is None else (extrapolate,):
                fill(depth, extrapolate=beyond, blur=kind, threads=threads)
    keep_readings(depth)
    color, gray = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    for nir in (gray, gray.astype(np.uint16)):
        encode_index("evi2", color, nir, 255.0)
    if hha:
        intrinsics = Intrinsics(float(width), float(width), width / 2, height / 2, width, height)
        encode_hha(depth, intrinsics, threads=threads)
        encode_hha(np.full_like(depth, 3.0), intrinsics, missing=np.zeros(depth.shape, bool), threads=threads)
        HHAEncoder(ROBOT_OPTIONS).encode(depth, intrinsics, threads=threads)
    return time.perf_counter() - started
