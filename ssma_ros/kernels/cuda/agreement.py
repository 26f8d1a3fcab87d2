# SPDX-License-Identifier: Apache-2.0
"""How near the GPU's kernels must come to the processor's: one table for the tests and for the self-test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Tolerance:
    """What two results may differ by.

    Attributes:
        largest: difference of any value, in ``unit``.
        equal: least share of values that are the same.
        unit: metres, or levels of 8 or 16 bits.
        beyond: share of values that may differ by more.
    """

    largest: float
    equal: float = 0.0
    unit: str = "levels"
    beyond: float = 0.0


#: By what is compared.
TOLERANCES: Mapping[str, Tolerance] = {
    "fill": Tolerance(1e-4, unit="m"),
    # On images whose gravity is given or well supported: on a made-up scene with few walls the estimate itself hangs on
    # single normals at a threshold, and float64 implementations differ by more than a level.
    "hha": Tolerance(1, equal=0.995),
    # A level of depth is an entry of the jet table, whose channels climb four levels at a time.
    "depth_jet": Tolerance(4),
    "depth_gray": Tolerance(1),
    "thermal": Tolerance(1),
    "index": Tolerance(1),
    "resize": Tolerance(1, equal=0.999),
    "resize_16_bits": Tolerance(1),
    "resize_depth": Tolerance(0, equal=1.0, unit="m"),
    "pack": Tolerance(0, equal=1.0),
    # GPUs fuse products and sums: a point on the edge of a pixel may fall to its neighbour.
    "registered": Tolerance(1, beyond=2e-3),
    "registered_depth": Tolerance(1e-3, unit="m", beyond=2e-3),
    "registered_hole": Tolerance(0, beyond=2e-3),
}


@dataclass(frozen=True)
class Difference:
    """What two results differ by: the largest difference, the share of equal values, that of values beyond what was
    allowed, and what that was."""

    largest: float
    equal: float
    beyond: float
    tolerance: Tolerance

    @property
    def within(self) -> bool:
        """Whether that is allowed. NaN never is."""
        return self.beyond <= self.tolerance.beyond and self.equal >= self.tolerance.equal

    def __str__(self) -> str:
        allowed = f"{self.tolerance.largest:g} {self.tolerance.unit}"
        if self.tolerance.equal:
            allowed += f" and {100 * self.tolerance.equal:g} % equal"
        if self.tolerance.beyond:
            allowed += f", {100 * self.tolerance.beyond:g} % beyond; {100 * self.beyond:.2g} % are"
        return f"{self.largest:.2g} {self.tolerance.unit}, {100 * self.equal:.2f} % equal (allowed: {allowed})"


def difference(
    kind: str, got: NDArray, expected: NDArray, compared: NDArray[np.bool_] | None = None
) -> Difference:
    """Compare two images.

    Args:
        kind: key of :data:`TOLERANCES`.
        got, expected: H×W or H×W×C, of one shape and dtype.
        compared: H×W bool, where; None = everywhere.

    Raises:
        ValueError: they are not of one shape and dtype.
    """
    if got.shape != expected.shape or got.dtype != expected.dtype:
        raise ValueError(f"{kind}: got {got.dtype} {got.shape}, expected {expected.dtype} {expected.shape}")
    apart = np.abs(got.astype(np.float64) - expected)
    if compared is not None:
        apart = apart[compared]
    if not apart.size:
        return Difference(0.0, 1.0, 0.0, TOLERANCES[kind])
    near = apart <= TOLERANCES[kind].largest  # never of NaN
    return Difference(
        float(apart.max()), float((apart == 0).mean()), float(1.0 - near.mean()), TOLERANCES[kind]
    )


def few_readings(there: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """H×W bool: where a 7×7 window holds 1 to 7 readings, too few for a plane that rounding leaves alone.

    HHA is not compared there.
    """
    count = cv2.boxFilter(there.astype(np.float32), -1, (7, 7), normalize=False, borderType=cv2.BORDER_CONSTANT)
    few: NDArray[np.bool_] = (count > 0.5) & (count < 7.5)
    return few
