# SPDX-License-Identifier: Apache-2.0
"""Which frames of a recording are taken: by time, or by the distance travelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.extraction.recipe import GAP_S
from ssma_ros.recordings.travel import read_places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssma_ros.extraction.recipe import Part, Recipe, SequenceResult
    from ssma_ros.recordings.frames import RecordedFrames
    from ssma_ros.recordings.reader import RecordingReader

_S = 1_000_000_000
#: Of the wanted distance; a frame that comes a little early counts, or a camera's jitter would double the distance.
_NEARLY = 0.98


class Chooser:
    """Chooses the frames of an open recording.

    Args:
        reader: the recording.
        frames: its frames.
        recipe: what to take.

    Raises:
        SsmaError: a distance is asked for, and the recording has neither odometry nor tf that tells it.
    """

    def __init__(self, reader: RecordingReader, frames: RecordedFrames, recipe: Recipe) -> None:
        self._frames = frames
        self._recipe = recipe
        times = [frames.time_ns(index) for index in range(len(frames))]
        self._times = np.array(times, np.int64)
        self._labelled = set(frames.labelled()) if recipe.with_labels else set(range(len(frames)))
        self._places = read_places(reader, frames.topic, self._times) if recipe.every_metres else None

    def choose(self, part: Part, result: SequenceResult) -> list[int]:
        """Indices of the frames of a part, in order; what is left out is counted in ``result``."""
        complete = []
        for index in self._stretch(part):
            missing = [s for s in self._recipe.sensors if s not in self._frames.sensors(index)]
            if missing:
                result.leave_out(f"without {' and '.join(missing)}")
            elif index not in self._labelled:
                result.leave_out("without a label")
            elif self._places is not None and np.isnan(self._places[index, 0]):
                result.leave_out("outside the time of odometry or tf")
            else:
                complete.append(index)
        if self._places is not None:
            chosen = self._spaced(complete, self._places, self._recipe.every_metres)
        else:
            seconds = (self._times - self._times[:1]) / _S
            chosen = self._spaced(complete, seconds[:, None], self._recipe.every_s)
        result.leave_out("between the chosen ones", len(complete) - len(chosen))
        return chosen

    def _stretch(self, part: Part) -> range:
        """Frames of a part. Time counts in frames where stamps jump: a bag played in a loop has no one time."""
        count = len(self._times)
        if not count or (part.begin, part.end) == (0.0, 1.0):
            return range(count)
        if np.all(np.diff(self._times) >= 0):
            first, last = int(self._times[0]), int(self._times[-1])
            cut = [first + round(share * (last - first)) for share in (part.begin, part.end)]
            begin = int(np.searchsorted(self._times, cut[0])) if part.begin else 0
            until = cut[1] - round(GAP_S * _S)
            end = int(np.searchsorted(self._times, until)) if part.end < 1.0 else count
            return range(begin, max(begin, end))
        return range(round(part.begin * count), round(part.end * count))

    def _spaced(self, indices: Sequence[int], places: NDArray[np.float64], every: float) -> list[int]:
        """Of ``indices`` those that are ``every`` away from the one chosen before; where stamps jump it begins anew."""
        chosen: list[int] = []
        looked = 0
        for index in indices:
            jumped = any(self._frames.begins(i) for i in range(looked, index + 1))
            looked = index + 1
            far = chosen and np.linalg.norm(places[index] - places[chosen[-1]]) >= every * _NEARLY
            if not chosen or jumped or far:
                chosen.append(index)
        return chosen
