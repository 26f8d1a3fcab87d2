# SPDX-License-Identifier: Apache-2.0
"""Where the robot was when each frame was taken, by the odometry in its recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.messages.decode import stamp_ns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.recordings.reader import RecordingReader, Topic

ODOMETRY = "nav_msgs/msg/Odometry"
#: A frame further from the nearest odometry in time has no place, nanoseconds.
_REACH_NS = 500_000_000


def read_places(reader: RecordingReader, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """The robot's position at given times, between two odometry messages by a straight line.

    Args:
        reader: the recording.
        times_ns: stamps.

    Returns:
        N×3 metres in the odometry's frame (REP-105); NaN where no odometry is within half a second.

    Raises:
        SsmaError: the recording has no odometry that can be read.
    """
    topic = odometry_topic(reader)
    stamps, positions = [], []
    for recorded in reader.messages([topic.name]):
        try:
            message = reader.deserialize(recorded)
        except SsmaError:
            continue
        place = message.pose.pose.position
        if np.all(np.isfinite([place.x, place.y, place.z])):
            stamps.append(stamp_ns(message) or recorded.stamp_ns)
            positions.append((place.x, place.y, place.z))
    if not stamps:
        raise SsmaError(f"recording {reader.path}: no message on {topic.name} can be read, expected odometry")
    order = np.argsort(np.array(stamps, np.int64), kind="stable")
    return _interpolated(np.array(stamps, np.int64)[order], np.array(positions)[order], times_ns)


def odometry_topic(reader: RecordingReader) -> Topic:
    """The most frequent one, by name where several are.

    Raises:
        SsmaError: the recording has none.
    """
    found = [topic for topic in reader.topics if topic.type == ODOMETRY and topic.count]
    if not found:
        raise SsmaError(f"recording {reader.path}: has no {ODOMETRY}, expected one to choose frames by distance; "
                        "choose by time (--every S) instead")
    return min(found, key=lambda topic: (-topic.count, topic.name))


def _interpolated(
    stamps: NDArray[np.int64], positions: NDArray[np.float64], times_ns: NDArray[np.int64]
) -> NDArray[np.float64]:
    after = np.clip(np.searchsorted(stamps, times_ns), 0, len(stamps) - 1)
    before = np.maximum(after - 1, 0)
    away = np.minimum(np.abs(stamps[after] - times_ns), np.abs(stamps[before] - times_ns))
    # Nanoseconds since 1970 have no room in a float64; seconds since the first stamp have.
    seconds, wanted = (stamps - stamps[0]) * 1e-9, (times_ns - stamps[0]) * 1e-9
    places = np.stack([np.interp(wanted, seconds, positions[:, axis]) for axis in range(3)], axis=1)
    places[away > _REACH_NS] = np.nan
    return places
