# SPDX-License-Identifier: Apache-2.0
"""Which messages of a recording make which frame: known from their stamps before a picture is decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.messages.decode import serialized_stamp_ns
from ssma_ros.messages.transports import lost_colour
from ssma_ros.recordings.matching import JUMP_NS, Stamps, match
from ssma_ros.recordings.typestore import COMPRESSED_IMAGE
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ssma_ros.recordings.reader import RecordedMessage, RecordingReader, Topic
    from ssma_ros.recordings.topics import InputTopics

_S, _MS = 1_000_000_000, 1_000_000


class FrameIndex:
    """Frames as numbers of messages: each role's messages are counted from 0 as they lie in the recording.

    A frame takes the message of each other sensor whose stamp is nearest, the label of the same stamp, and the camera
    info of the same stamp or else the last one recorded before.

    Args:
        reader: an open recording; its stamps are read now.
        topics: to read.
        slop_ns: largest stamp difference between the driving image and a partner.

    Attributes:
        driver: role whose images make frames.
        counts: messages by role.

    Raises:
        SsmaError: the recording is damaged.
    """

    def __init__(self, reader: RecordingReader, topics: InputTopics, slop_ns: int) -> None:
        self._topics = topics
        self._slop_ns = slop_ns
        self.driver = next(iter(topics.by_sensor().values()))
        self._stamps = _read_stamps(reader, topics)
        self.counts = {role: len(stamps) for role, stamps in self._stamps.items()}
        driving = self._stamps[self.driver]
        partners = {}
        for role, stamps in self._stamps.items():
            if role != self.driver and not role.endswith("camera_info"):
                exact = role == "label" and not (driving.say_nothing or stamps.say_nothing)
                partners[role] = (stamps, 0 if exact else slop_ns)
        self._matching = match(driving, partners)
        self._infos = {
            role: _match_infos(driving, stamps)[self._matching.order]
            for role, stamps in self._stamps.items() if role.endswith("camera_info")
        }  # fmt: skip

    def __len__(self) -> int:
        return len(self._matching)

    def stamp_ns(self, index: int) -> int:
        """Header stamp of a frame's driving image."""
        return int(self._stamps[self.driver].taken[self._matching.order[index]])

    def time_ns(self, index: int) -> int:
        """When a frame's driving image was taken: its stamp, or the time of recording where stamps say nothing."""
        stamps = self._stamps[self.driver]
        return int((stamps.recorded if stamps.say_nothing else stamps.taken)[self._matching.order[index]])

    def begins(self, index: int) -> bool:
        """Whether stamps jumped before a frame."""
        return bool(self._matching.begins[index])

    def members(self, index: int) -> dict[str, int]:
        """Role → number of its message in a frame; a role without one is absent."""
        members = {self.driver: int(self._matching.order[index])}
        members |= {role: int(infos[index]) for role, infos in self._infos.items()}
        members |= {role: self._matching.partner(role, index) for role in self._matching.nearest}
        return {role: number for role, number in members.items() if number >= 0}

    def why_missing(self, index: int) -> dict[str, str]:
        """By sensor that has a topic and no message in a frame: why, as the node says it."""
        reasons = {}
        for sensor, role in self._topics.by_sensor().items():
            if role == self.driver or self._matching.partner(role, index) >= 0:
                continue
            away = int(self._matching.away_ns[role][index])
            reasons[sensor] = (
                f"no {sensor} message in the recording" if self._matching.nearest[role][index] < 0 else
                f"nearest {sensor} was {abs(away) / _MS:.0f} ms {'after' if away > 0 else 'before'} the driving image, "
                f"sync_slop is {self._slop_ns / _MS:.0f} ms"
            )  # fmt: skip
        return reasons

    def notes(self) -> list[str]:
        """In words, what drivers should have done otherwise and what became of it."""
        notes = []
        for role in self._topics.by_name().values():
            topic = self._topics.roles[role]
            if not role.endswith("camera_info") and self.counts[role]:
                notes += _stamp_notes(self._stamps[role], topic.name)
            colour = role in SENSORS and SENSORS[role].pixels == "color"
            if colour and topic.type == COMPRESSED_IMAGE and lost_colour(topic.encoding):
                notes.append(
                    f"{topic.name} is '{topic.encoding}': its colour was lost when it was compressed; let the driver "
                    "send rgb8, or record the raw image"
                )
        return notes


#: Role of messages with transforms, which are no frame's.
TF = "tf"


def messages_of(
    reader: RecordingReader, topics: InputTopics, transforms: Sequence[Topic] = ()
) -> Iterator[tuple[str, RecordedMessage]]:
    """The messages of ``topics`` with their roles, in the order in which they were recorded; among them those of
    ``transforms``, whose role is :data:`TF`.

    Raises:
        SsmaError: the recording is damaged.
    """
    roles = {(topic.name, topic.type): role for role, topic in topics.roles.items()}
    roles |= {(topic.name, topic.type): TF for topic in transforms}
    for recorded in reader.messages([name for name, _ in roles]):
        role = roles.get((recorded.topic, recorded.type))
        if role is not None:
            yield role, recorded


def _read_stamps(reader: RecordingReader, topics: InputTopics) -> dict[str, Stamps]:
    taken: dict[str, list[int]] = {role: [] for role in topics.roles}
    recorded_ns: dict[str, list[int]] = {role: [] for role in topics.roles}
    for role, recorded in messages_of(reader, topics):
        taken[role].append(_stamp_of(recorded))
        recorded_ns[role].append(recorded.stamp_ns)
    return {role: Stamps(np.array(taken[role], np.int64), np.array(recorded_ns[role], np.int64)) for role in taken}


def _stamp_of(recorded: RecordedMessage) -> int:
    """A message too short for a stamp is met where it is decoded; until then it was taken when it was recorded."""
    return recorded.stamp_ns if len(recorded.data) < 12 else serialized_stamp_ns(recorded.data)


def _match_infos(driving: Stamps, infos: Stamps) -> NDArray[np.int64]:
    """For each driving image the number of its camera info, -1 where there is none."""
    if not len(infos):
        return np.full(len(driving), -1, np.int64)
    same = {int(stamp): number for number, stamp in enumerate(infos.taken) if stamp != 0}
    order = np.argsort(infos.recorded, kind="stable")
    before = np.searchsorted(infos.recorded[order], driving.recorded, side="right") - 1
    # The calibration holds for the whole recording, also where its first message lies behind the first image.
    others = order[np.maximum(before, 0)]
    return np.array([same.get(int(s), int(o)) for s, o in zip(driving.taken, others, strict=True)], np.int64)


def _stamp_notes(stamps: Stamps, name: str) -> list[str]:
    if stamps.say_nothing:
        return [
            f"{stamps.repeated} of {len(stamps)} messages on {name} have no stamp or that of the one before: they are "
            "matched by the time of recording"
        ]
    notes = []
    if stamps.repeated:
        notes.append(f"{stamps.repeated} of {len(stamps)} messages on {name} repeat a stamp or have none, each is used")
    if stamps.overtaken:
        jumps = int(np.count_nonzero(np.diff(stamps.taken) < -JUMP_NS))
        told = f" ({jumps} jumps back by over {JUMP_NS / _S:g} s begin anew)" if jumps else ""
        notes.append(f"{stamps.overtaken} messages on {name} lie behind later stamps and were sorted{told}")
    return notes


def last_uses(index: FrameIndex, frames: Sequence[int]) -> dict[str, NDArray[np.int64]]:
    """By role, for each message its last place in ``frames``, -1 where it is in none of them."""
    last = {role: np.full(count, -1, np.int64) for role, count in index.counts.items()}
    for place, frame in enumerate(frames):
        for role, number in index.members(frame).items():
            last[role][number] = place
    return last
