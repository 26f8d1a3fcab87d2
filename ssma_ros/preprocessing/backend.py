"""Which implementation the preprocessing functions use: compiled where numba is installed, else OpenCV and NumPy."""

from __future__ import annotations

import logging
import time
from functools import lru_cache
from types import ModuleType
from typing import NamedTuple

logger = logging.getLogger(__name__)


class CompiledModules(NamedTuple):
    """The compiled implementations."""

    fill: ModuleType
    hha: ModuleType
    images: ModuleType


@lru_cache(maxsize=1)
def compiled_modules() -> CompiledModules | None:
    """The compiled implementations, or None where numba is missing. Imported at first use: numba is a heavy import."""
    try:
        from ssma_ros.preprocessing.compiled import cache, depth_completion, hha, images
    except ImportError as error:
        logger.warning("preprocessing runs uncompiled, several times slower: %s", error)
        return None
    cache.discard_stale()
    return CompiledModules(depth_completion, hha, images)


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
    import numpy as np

    from ssma_ros.frame import Intrinsics
    from ssma_ros.preprocessing.depth_completion import BLURS, fill_fast, fill_multiscale, keep_readings
    from ssma_ros.preprocessing.hha import ROBOT_OPTIONS, HHAEncoder, encode_hha
    from ssma_ros.preprocessing.vegetation import encode_index

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
