# SPDX-License-Identifier: Apache-2.0
"""What the preprocessing functions accept, in one place, so that they all refuse in the same words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.frame import Intrinsics


def check_depth(depth: Any, name: str = "depth") -> NDArray[np.float32]:
    """``depth`` as H×W float32 (the same array where it is one already; any strides).

    Raises:
        ValueError: not an array, not two-dimensional, empty, or not of a floating dtype.
    """
    if not isinstance(depth, np.ndarray):
        raise ValueError(f"{name}: got {type(depth).__name__}, expected an H×W float32 array of metres")
    if depth.ndim != 2 or depth.size == 0:
        raise ValueError(f"{name}: shape is {depth.shape}, expected (height, width), both at least 1")
    if depth.dtype == np.float32:
        return depth
    if not np.issubdtype(depth.dtype, np.floating):
        raise ValueError(f"{name}: dtype is {depth.dtype}, expected float32 metres (16-bit millimetres / 1000)")
    with np.errstate(over="ignore"):  # a float64 too large for float32 becomes inf: no reading
        return depth.astype(np.float32)


def check_mask(mask: Any, shape: tuple[int, int], name: str) -> NDArray[np.bool_]:
    """``mask`` as H×W bool.

    Raises:
        ValueError: another shape than ``shape``, or neither bool nor integer.
    """
    if not isinstance(mask, np.ndarray) or mask.shape != shape:
        got = getattr(mask, "shape", type(mask).__name__)
        raise ValueError(f"{name}: shape is {got}, expected {shape} as the depth has")
    if mask.dtype != np.bool_ and not np.issubdtype(mask.dtype, np.integer):
        raise ValueError(f"{name}: dtype is {mask.dtype}, expected bool")
    return mask.astype(np.bool_, copy=False)


def check_intrinsics(intrinsics: Intrinsics, shape: tuple[int, int]) -> None:
    """Refuse intrinsics of another image size.

    Raises:
        ValueError: width or height differ from ``shape``.
    """
    if (intrinsics.height, intrinsics.width) != shape:
        raise ValueError(
            f"intrinsics: for {intrinsics.width}x{intrinsics.height} pixels, "
            f"expected {shape[1]}x{shape[0]} as the depth has"
        )


def check_choice(value: str, choices: tuple[str, ...], name: str) -> str:
    """``value``, if it is one of ``choices``.

    Raises:
        ValueError: it is not.
    """
    if value not in choices:
        raise ValueError(f"{name}: got {value!r}, expected one of {', '.join(choices)}")
    return value


def check_positive(value: float, name: str) -> float:
    """``value`` as a float, if it is a finite and positive number.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, (int, float, np.integer, np.floating)) or not np.isfinite(value) or value <= 0:
        raise ValueError(f"{name}: got {value}, expected a finite positive number")
    return float(value)


def check_bounds(near: float, far: float) -> tuple[float, float]:
    """Both as floats, if they are finite with 0 <= near < far.

    Raises:
        ValueError: they are not.
    """
    far = check_positive(far, "far")
    near = float(near) if near == 0 and not isinstance(near, bool) else check_positive(near, "near")
    if near >= far:
        raise ValueError(f"near, far: got {near} and {far}, expected near < far")
    return near, far


def check_threads(threads: int) -> int:
    """``threads``, if it is a whole number of at least 1.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(threads, (int, np.integer)) or threads < 1:
        raise ValueError(f"threads: got {threads!r}, expected a whole number of at least 1")
    return int(threads)


def check_out(out: NDArray[Any] | None, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
    """``out`` if given, else a new array of that shape and dtype.

    Raises:
        ValueError: ``out`` has another shape or dtype, or is not C-contiguous.
    """
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError(
            f"out: shape is {out.shape} and dtype {out.dtype}, "
            f"expected a writeable C-contiguous {shape} {np.dtype(dtype)}"
        )
    return out
