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


@lru_cache(maxsize=1)
def compiled_modules() -> CompiledModules | None:
    """The compiled implementations, or None where numba is missing. Imported at first use: numba is a heavy import."""
    try:
        from ssma_ros.preprocessing.compiled import depth_completion, hha
    except ImportError as error:
        logger.warning("preprocessing runs uncompiled, several times slower: %s", error)
        return None
    return CompiledModules(depth_completion, hha)


def warm_up(width: int, height: int, *, threads: int = 1) -> float:
    """Compile (or load from the cache on disk) every kernel and make the buffers for one image size.

    Call it where a delay is allowed, as a node does when it is configured: afterwards no frame of that size, from this
    thread and with that many ``threads``, compiles or allocates work memory.

    Args:
        width, height: of the depth images to come, pixels.
        threads: as the functions will be called with.

    Returns:
        Seconds it took: a fraction of one from the cache, up to a minute the very first time.
    """
    import numpy as np

    from ssma_ros.frame import Intrinsics
    from ssma_ros.preprocessing.depth_completion import BLURS, fill_fast, fill_multiscale
    from ssma_ros.preprocessing.hha import HHAEncoder, HHAOptions, encode_hha

    started = time.perf_counter()
    depth = np.full((height, width), 3.0, np.float32)
    depth[:: max(2, height // 8)] = 0.0
    for blur in BLURS:
        for extrapolate in (False, True):
            fill_fast(depth, extrapolate=extrapolate, blur=blur, threads=threads)
            fill_multiscale(depth, extrapolate=extrapolate, blur=blur, threads=threads)
    intrinsics = Intrinsics(float(width), float(width), width / 2, height / 2, width, height)
    encode_hha(depth, intrinsics, threads=threads)
    encode_hha(np.full_like(depth, 3.0), intrinsics, missing=np.zeros(depth.shape, bool), threads=threads)
    HHAEncoder(HHAOptions(floor_percentile=1.0)).encode(depth, intrinsics, threads=threads)
    return time.perf_counter() - started
