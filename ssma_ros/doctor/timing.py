# SPDX-License-Identifier: Apache-2.0
"""Numbers that stamps and arrivals tell: rate, losses, lateness, offsets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.recordings.matching import match

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.recordings.matching import Stamps

#: Messages from which a rate is told.
ENOUGH = 4
_S = 1e-9


def rate_hz(times_ns: list[int]) -> float:
    """Of arrivals, per second; 0 for fewer than two."""
    span = times_ns[-1] - times_ns[0] if len(times_ns) > 1 else 0
    return (len(times_ns) - 1) / (span * _S) if span > 0 else 0.0


def period_s(stamps: Stamps) -> float:
    """Seconds between two messages as they were taken, whatever was lost between them; 0 where nothing tells."""
    steps = _steps(stamps)
    return float(np.median(steps[steps < 1.5 * np.percentile(steps, 10)])) * _S if len(steps) >= ENOUGH - 1 else 0.0


def lost(stamps: Stamps) -> int:
    """Messages that are missing between others, by their stamps."""
    period = period_s(stamps)
    if not period:
        return 0
    steps = _steps(stamps) * _S
    return int(np.maximum(np.rint(steps / period) - 1, 0)[steps < 2.0].sum())  # longer gaps are no losses but a pause


def _steps(stamps: Stamps) -> NDArray[np.int64]:
    taken = np.sort(stamps.taken)
    steps: NDArray[np.int64] = taken[1:] - taken[:-1]
    return steps[steps > 0]


@dataclass(frozen=True)
class Pairing:
    """How the messages of a partner lie to the driving ones.

    Attributes:
        away_s: of each driving message that a partner could have, how much later than it its nearest partner was taken.
        late_s: how much later than it that partner arrived.
        clocks_s: how much more the partner's stamps lie behind their arrival; what is left when the delay is taken off
            is a difference of clocks.
    """

    away_s: NDArray[np.float64]
    late_s: NDArray[np.float64]
    clocks_s: float


def pair(driver: Stamps, partner: Stamps) -> Pairing:
    """Match two streams by stamp. Driving messages before the partner's first and after its last are left out: whatever
    is watched for a while begins and ends somewhere."""
    matching = match(driver, {"partner": (partner, 0)})
    order, nearest = matching.order, matching.nearest["partner"]
    inside = (driver.taken[order] >= partner.taken.min()) & (driver.taken[order] <= partner.taken.max())
    chosen = inside & (nearest >= 0)
    away = matching.away_ns["partner"][chosen]
    late = partner.recorded[nearest[chosen]] - driver.recorded[order[chosen]]
    behind = [float(np.median(stamps.recorded - stamps.taken)) for stamps in (driver, partner)]
    return Pairing(away * _S, late * _S, (behind[1] - behind[0]) * _S)
