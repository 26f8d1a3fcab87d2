# SPDX-License-Identifier: Apache-2.0
"""Which messages of a recording belong to one moment, by their stamps alone.

Pure: stamps in, indices out. A recording has no hurry, so nothing waits, nothing times out and nothing is dropped:
every driving image makes a frame and takes the nearest message of every partner, wherever in the recording that lies.
When messages were recorded makes no difference, unless their stamps say nothing (see :attr:`Stamps.say_nothing`): then
the time of recording stands in for them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.synchronization import SyncOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

#: A stamp that goes back by more begins anew (a bag played in a loop, simulated time reset); a gap forward as well.
JUMP_NS = SyncOptions().jump_ns


@dataclass(frozen=True)
class Stamps:
    """The messages of one topic as they lie in the recording.

    Attributes:
        taken: int64 nanoseconds of each header stamp.
        recorded: int64 nanoseconds, when each was recorded.
    """

    taken: NDArray[np.int64]
    recorded: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.taken)

    @property
    def repeated(self) -> int:
        """Messages with the stamp of the one before them, or with no stamp (0)."""
        return int(np.count_nonzero((self.taken == 0) | (np.diff(self.taken, prepend=self.taken[:1] - 1) == 0)))

    @property
    def say_nothing(self) -> bool:
        """Whether more than half of the stamps are 0 or repeat: the driver does not stamp, or in whole seconds."""
        return 2 * self.repeated > len(self)

    @property
    def overtaken(self) -> int:
        """Messages with an earlier stamp than the one before them."""
        return int(np.count_nonzero(np.diff(self.taken) < 0))


@dataclass(frozen=True)
class Matching:
    """Frames of a recording, in the order of their stamps.

    Attributes:
        order: for each frame the index of its driving message.
        begins: for each frame whether stamps jumped before it: what is remembered of earlier frames says nothing.
        nearest: by partner and frame the index of its nearest message, -1 where it has none at all.
        away_ns: by partner and frame how much later than the driving message that was taken, nanoseconds.
        slop_ns: by partner the largest of these that still belongs to the moment.
    """

    order: NDArray[np.int64]
    begins: NDArray[np.bool_]
    nearest: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    away_ns: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    slop_ns: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.order)

    def partner(self, name: str, frame: int) -> int:
        """Index of the partner's message in a frame, -1 where none is near enough."""
        near = abs(int(self.away_ns[name][frame])) <= self.slop_ns[name]
        return int(self.nearest[name][frame]) if near else -1


def match(driver: Stamps, partners: Mapping[str, tuple[Stamps, int]]) -> Matching:
    """Put frames together.

    Args:
        driver: the images that make frames.
        partners: by name their messages, and the largest difference of stamps, nanoseconds.

    Returns:
        A frame for every driving image. Images of one stamp keep their order; among messages that are equally near
        by stamp the one recorded nearest is taken.
    """
    times = driver.recorded if driver.say_nothing else driver.taken
    order, begins = _in_order(times)
    nearest, away = {}, {}
    for name, (stamps, _) in partners.items():
        by_recording = driver.say_nothing or stamps.say_nothing
        nearest[name], away[name] = _nearest(
            (driver.recorded if by_recording else driver.taken)[order], driver.recorded[order],
            stamps.recorded if by_recording else stamps.taken, stamps.recorded,
        )  # fmt: skip
    return Matching(order, begins, nearest, away, {name: slop for name, (_, slop) in partners.items()})


def _in_order(times: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Indices by time, part by part where time jumps back; and which of them begin anew."""
    parts = np.zeros(len(times), np.int64)
    part, latest = 0, None
    for index, time in enumerate(times.tolist()):
        if latest is not None and time < latest - JUMP_NS:
            part, latest = part + 1, time
        latest = time if latest is None else max(latest, time)
        parts[index] = part
    order = np.lexsort((np.arange(len(times)), times, parts))
    begins = np.zeros(len(times), bool)
    if len(times):
        begins[1:] = (np.diff(parts[order]) > 0) | (np.diff(times[order]) > JUMP_NS)
    return order, begins


def _nearest(
    times: NDArray[np.int64], recorded: NDArray[np.int64],
    others: NDArray[np.int64], others_recorded: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """For each time the index of the nearest other, and how much later that is."""
    found, away = np.full(len(times), -1, np.int64), np.zeros(len(times), np.int64)
    order = np.lexsort((others_recorded, others))
    stamps, places = others[order].tolist(), others_recorded[order].tolist()
    for index, (time, place) in enumerate(zip(times.tolist(), recorded.tolist(), strict=True)):
        after = bisect_left(stamps, time)
        candidates = []
        for value in {stamps[i] for i in (after - 1, after) if 0 <= i < len(stamps)}:
            first, end = bisect_left(stamps, value), bisect_right(stamps, value)
            at = bisect_left(places, place, first, end)
            candidates += [i for i in (at - 1, at) if first <= i < end]
        if candidates:
            best = min(candidates, key=lambda i: (abs(stamps[i] - time), abs(places[i] - place), i))
            found[index], away[index] = order[best], stamps[best] - time
    return found, away
