# SPDX-License-Identifier: Apache-2.0
"""Where the robot was when each frame was taken, by the odometry or tf in its recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.messages.decode import stamp_ns
from ssma_ros.recordings.transforms import RecordedTransforms, is_static, tf_topics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ssma_ros.recordings.reader import RecordedMessage, RecordingReader, Topic

ODOMETRY = "nav_msgs/msg/Odometry"
#: In which a robot's place is told, the one without jumps first (REP-105).
FIXED_FRAMES = ("odom", "map", "world", "earth")
#: A frame further from the nearest place in time has none, nanoseconds.
_REACH_NS = 500_000_000


@dataclass(frozen=True)
class Travel:
    """What tells where the robot was.

    Attributes:
        topic: of odometry, or None: tf tells.
        frame_id: of the driving images, whose place in ``fixed`` tf tells.
        fixed: frame in which the robot moves without a jump, by REP-105.
    """

    topic: Topic | None
    frame_id: str = ""
    fixed: str = ""


def find_travel(reader: RecordingReader, driver: Topic) -> Travel:
    """The recording's odometry, the most frequent one where several are; else its tf.

    Args:
        reader: the recording.
        driver: topic of the driving images.

    Raises:
        SsmaError: the recording has neither.
    """
    found = [topic for topic in reader.topics if topic.type == ODOMETRY and topic.count]
    if found:
        return Travel(min(found, key=lambda topic: (-topic.count, topic.name)))
    first = next(iter(reader.messages([driver.name])), None)
    frame_id = "" if first is None else str(reader.deserialize(first).header.frame_id)
    transforms = RecordedTransforms(reader, tf_topics(reader.topics))
    for recorded in _moving(reader):
        transforms.put(recorded)
    for fixed in FIXED_FRAMES:
        try:
            transforms.lookup(fixed, frame_id)
        except LookupError:
            continue
        return Travel(None, frame_id, fixed)
    raise SsmaError(f"recording {reader.path}: has no {ODOMETRY}, and no tf from {', '.join(FIXED_FRAMES[:-1])} or "
                    f"{FIXED_FRAMES[-1]} to '{frame_id}'; expected one of them to choose frames by distance, or a "
                    "choice by time (--every S)")


def read_places(reader: RecordingReader, driver: Topic, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """The robot's position at given times, between two that were told by a straight line.

    Args:
        reader: the recording.
        driver: topic of the driving images.
        times_ns: stamps.

    Returns:
        N×3 metres in a frame that stands still; NaN where nothing is told within half a second.

    Raises:
        SsmaError: as of :func:`find_travel`, or what tells cannot be read.
    """
    travel = find_travel(reader, driver)
    told = list(_of_tf(reader, travel) if travel.topic is None else _of_odometry(reader, travel.topic))
    if not told:
        raise SsmaError(f"recording {reader.path}: no message of its odometry can be read, expected some")
    stamps, positions = np.array([stamp for stamp, _ in told], np.int64), np.array([place for _, place in told])
    order = np.argsort(stamps, kind="stable")
    return _interpolated(stamps[order], positions[order], times_ns)


def _of_odometry(reader: RecordingReader, topic: Topic) -> Iterator[tuple[int, NDArray[np.float64]]]:
    for recorded in reader.messages([topic.name]):
        try:
            message = reader.deserialize(recorded)
        except SsmaError:
            continue
        place = message.pose.pose.position
        position = np.array([place.x, place.y, place.z], np.float64)
        if np.isfinite(position).all():
            yield stamp_ns(message) or recorded.stamp_ns, position


def _of_tf(reader: RecordingReader, travel: Travel) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """The camera's place whenever a part of the tree moves."""
    transforms = RecordedTransforms(reader, tf_topics(reader.topics))
    for recorded in _moving(reader):
        transforms.put(recorded)
        try:
            stamps = [stamp_ns(stamped) for stamped in reader.deserialize(recorded).transforms]
            _, position = transforms.lookup(travel.fixed, travel.frame_id)
        except (SsmaError, LookupError):
            continue
        if np.isfinite(position).all():
            yield max(stamps, default=0) or recorded.stamp_ns, position


def _moving(reader: RecordingReader) -> Iterator[RecordedMessage]:
    names = [topic.name for topic in tf_topics(reader.topics) if not is_static(topic.name)]
    return reader.messages(names) if names else iter(())


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
