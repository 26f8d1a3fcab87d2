# SPDX-License-Identifier: Apache-2.0
"""The NVIDIA driver library, called directly: no CUDA toolkit and no Python package is needed to ask it."""

from __future__ import annotations

import ctypes
from typing import Any

from ssma_ros.errors import SsmaError

LIBRARY = "libcuda.so.1"


def load_driver() -> Any:
    """The driver library.

    Raises:
        SsmaError: there is none.
    """
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError:
        raise SsmaError(
            f"GPU: no NVIDIA driver on this machine ({LIBRARY} cannot be loaded), which TensorRT and CUDA kernels need"
        ) from None


def check(driver: Any, status: int, call: str) -> None:
    """Refuse a status that is not success.

    Raises:
        SsmaError: it is not; the message names the call and has the driver's own words.
    """
    if status == 0:
        return
    text = ctypes.c_char_p()
    driver.cuGetErrorString(status, ctypes.byref(text))
    words = text.value.decode() if text.value else "unknown error"
    raise SsmaError(f"GPU: the NVIDIA driver's {call} failed with error {status} ({words})")
