# SPDX-License-Identifier: Apache-2.0
"""Depth completion without learning: morphology that grows near surfaces into holes, then an edge-keeping blur.

Source: Ku, Harakeh, Waslander, "In Defense of Classical Image Processing: Fast Depth Completion on the CPU", CRV 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.kernels.backend import compiled_modules
from ssma_ros.kernels.reference import fill as plain_fill
from ssma_ros.kernels.shared.checks import check_choice, check_depth, check_out, check_positive, check_threads
from ssma_ros.kernels.shared.constants import EMPTY_BELOW

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLURS = ("bilateral", "gaussian")


@dataclass(frozen=True)
class Completion:
    """How holes are filled before depth is encoded; a stream's parameters of these names.

    Attributes:
        completion: ``fast``, ``multiscale`` or ``none``.
        max_depth: metres; readings beyond count as this far.
        extrapolate: fill what lies above the topmost reading of each column too.
        blur: of the last step, ``bilateral`` or ``gaussian``.

    Raises:
        ValueError: a value is none of these.
    """

    completion: str = "fast"
    max_depth: float = 100.0
    extrapolate: bool = False
    blur: str = "bilateral"

    def __post_init__(self) -> None:
        check_choice(self.completion, ("fast", "multiscale", "none"), "completion")
        check_choice(self.blur, BLURS, "blur")
        check_positive(self.max_depth, "max_depth")
        if not isinstance(self.extrapolate, bool):
            raise ValueError(f"extrapolate: got {self.extrapolate!r}, expected true or false")

    def complete(
        self, depth: NDArray[np.float32], threads: int = 1, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Fill H×W float32 metres, 0 = no reading; in ``out`` if that is given, for ``none`` the depth itself."""
        if self.completion == "none":
            return depth
        fill = fill_fast if self.completion == "fast" else fill_multiscale
        return fill(
            depth, max_depth=self.max_depth, extrapolate=self.extrapolate, blur=self.blur, threads=threads, out=out
        )


def fill_fast(
    depth: NDArray[np.float32],
    *,
    max_depth: float = 100.0,
    extrapolate: bool = False,
    blur: str = "bilateral",
    threads: int = 1,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Complete a depth image with the paper's "fast" variant.

    Args:
        depth: H×W float32 metres, 0 = no reading. NaN, ±inf and negative values count as no reading, values above
            ``max_depth`` as ``max_depth``, which is no surface. Never changed.
        max_depth: metres; nothing farther is kept. Choose it well above the working range.
        extrapolate: also fill the columns above the first reading and large holes (31×31). Invents surfaces.
        blur: ``bilateral`` (keeps depth edges, recommended by the authors) or ``gaussian`` (as published; draws
            the rims of remaining holes towards ``max_depth``).
        threads: bands of rows worked on at once; OpenCV's own threads where numba is not installed.
        out: where to write the result, H×W float32 C-contiguous, not overlapping ``depth``; new if None. With it a call
            allocates no memory after the first of a size.

    Returns:
        H×W float32 metres. A value ≤ 0.1 means that the pixel stayed empty (:func:`valid_mask`): it is 0 but for what
        the blur leaks there from surfaces within some 5 m of ``max_depth``.

    Raises:
        ValueError: an argument of another shape, dtype or range than stated.
    """
    return _fill("fill_fast", depth, max_depth, extrapolate, blur, threads, out)


def fill_multiscale(
    depth: NDArray[np.float32],
    *,
    max_depth: float = 100.0,
    extrapolate: bool = False,
    blur: str = "bilateral",
    threads: int = 1,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Complete a depth image with the paper's "multi-scale" variant, made for sparse lidar.

    Near (≤ 15 m), medium (≤ 30 m) and far surfaces grow by 7×7, 5×5 and 3×3 crosses; holes below the first
    reading of a column are then closed in several rounds. Sky stays empty unless ``extrapolate``. Arguments,
    result and errors as :func:`fill_fast`.
    """
    return _fill("fill_multiscale", depth, max_depth, extrapolate, blur, threads, out)


def valid_mask(depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """H×W bool, True where ``depth`` (metres, raw or completed) is a reading; it travels with the depth.

    Raises:
        ValueError: ``depth`` is not an H×W floating array.
    """
    image = check_depth(depth)
    with np.errstate(invalid="ignore"):
        return (image > np.float32(EMPTY_BELOW)) & (image < np.inf)


def keep_readings(depth: NDArray[np.float32], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Copy a depth image (metres, raw or completed) with exactly 0 wherever it holds no reading.

    Args:
        depth: H×W float32 metres.
        out: where to write the result, H×W float32 C-contiguous; may be ``depth`` itself; new if None.

    Raises:
        ValueError: ``depth`` is not an H×W floating array, or ``out`` is of another shape or dtype.
    """
    image = check_depth(depth)
    result = check_out(out, image.shape, np.float32)
    compiled = compiled_modules()
    if compiled is None:
        result[...] = np.where(valid_mask(image), image, np.float32(0))
    else:
        compiled.images.keep_readings(np.require(image, requirements=("C", "A", "W")).reshape(-1), result.reshape(-1))
    return result


def _fill(
    variant: str, depth: NDArray[np.float32], max_depth: float, extrapolate: bool, blur: str, threads: int,
    out: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    image = check_depth(depth)
    check_choice(blur, BLURS, "blur")
    max_depth = check_positive(max_depth, "max_depth")
    result = check_out(out, image.shape, np.float32)
    if out is not None and np.may_share_memory(out, image):
        raise ValueError("out: shares memory with depth, expected an array of its own")
    threads = check_threads(threads)
    compiled = compiled_modules()
    if compiled is None:
        getattr(plain_fill, variant)(image, max_depth, extrapolate, blur, result)
    else:
        getattr(compiled.fill, variant)(image, max_depth, extrapolate, blur, result, threads)
    return result
