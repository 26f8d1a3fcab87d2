# SPDX-License-Identifier: Apache-2.0
"""Which implementation the preprocessing functions use: compiled where numba is installed, else OpenCV and NumPy."""

from __future__ import annotations

import logging
from functools import lru_cache
from types import ModuleType
from typing import NamedTuple

logger = logging.getLogger(__name__)


class CompiledModules(NamedTuple):
    """The compiled implementations."""

    fill: ModuleType
    hha: ModuleType
    images: ModuleType
    registration: ModuleType


@lru_cache(maxsize=1)
def compiled_modules() -> CompiledModules | None:
    """The compiled implementations, or None where numba is missing. Imported at first use: numba is a heavy import."""
    try:
        from ssma_ros.kernels.numba import cache, hha, images, registration
        from ssma_ros.kernels.numba import fills as depth_completion
    except ImportError as error:
        logger.warning("preprocessing runs uncompiled, several times slower: %s", error)
        return None
    cache.discard_stale()
    reason = cache.why_not_kept()
    if reason:
        logger.warning(reason)
    return CompiledModules(depth_completion, hha, images, registration)
