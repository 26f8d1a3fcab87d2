# SPDX-License-Identifier: Apache-2.0
"""The NVIDIA driver library, called directly: no CUDA toolkit and no Python package is needed to ask it."""

from __future__ import annotations

import ctypes
from typing import Any

from ssma_ros.errors import SsmaError

LIBRARY = "libcuda.so.1"
#: CUDA_ERROR_NO_DEVICE.
_NO_DEVICE = 100


class NoGpuError(SsmaError):
    """This machine has no GPU: no driver, or one that finds no device. A driver that is broken is another error."""


def load_driver() -> Any:
    """The driver library.

    Raises:
        NoGpuError: there is none.
        SsmaError: there is one, which cannot be loaded.
    """
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError as error:
        if "No such file" not in str(error):
            raise SsmaError(f"GPU: the NVIDIA driver's library is there and cannot be loaded ({error})") from None
        raise NoGpuError(
            f"GPU: no NVIDIA driver on this machine ({LIBRARY} cannot be loaded), which TensorRT and CUDA kernels need"
        ) from None


def check(driver: Any, status: int, call: str) -> None:
    """Refuse a status that is not success.

    Raises:
        NoGpuError: the driver finds no device.
        SsmaError: any other failure; the message names the call and has the driver's own words.
    """
    if status == 0:
        return
    text = ctypes.c_char_p()
    driver.cuGetErrorString(status, ctypes.byref(text))
    words = text.value.decode() if text.value else "unknown error"
    kind = NoGpuError if status == _NO_DEVICE else SsmaError
    raise kind(f"GPU: the NVIDIA driver's {call} failed with error {status} ({words})")
