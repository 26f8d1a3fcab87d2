# SPDX-License-Identifier: Apache-2.0
"""The tf tree of a recording: the static part of all of it, the moving part as it was when a frame was recorded."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.messages.transforms import TransformTree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ssma_ros.recordings.reader import RecordingReader, Topic
    from ssma_ros.recordings.topics import InputTopics

TF_MESSAGE = "tf2_msgs/msg/TFMessage"
_STATIC = "tf_static"


def tf_topics(topics: Sequence[Topic]) -> tuple[Topic, ...]:
    """Those of a recording that carry transforms."""
    return tuple(topic for topic in topics if topic.type == TF_MESSAGE and topic.count)


def is_static(topic: str) -> bool:
    """Whether a topic's transforms hold for ever; its last message must reach late joiners."""
    return topic.rpartition("/")[2] == _STATIC


class RecordedTransforms(TransformTree):
    """The tf tree as it was when a message was recorded.

    Static transforms hold for the whole recording, wherever in it they lie: they are published once, often before it
    began. Of the others the last one counts that was put in.

    Args:
        reader: whose static transforms are read now.
        topics: of :func:`tf_topics`.

    Raises:
        SsmaError: the recording is damaged.
    """

    def __init__(self, reader: RecordingReader, topics: Sequence[Topic]) -> None:
        super().__init__("the recording's tf")
        self._reader = reader
        static = [topic.name for topic in topics if is_static(topic.name)]
        for recorded in reader.messages(static) if static else ():
            self.put(recorded)

    def put(self, recorded: Any) -> None:
        """Take a recorded TFMessage in; what cannot be read or is no rotation says nothing."""
        with suppress(SsmaError):
            self.put_message(self._reader.deserialize(recorded))


def recorded_extrinsics(
    reader: RecordingReader, topics: InputTopics, sensors: Iterable[str]
) -> dict[str, tuple[float, ...]]:
    """Where cameras stand beside the driving one, by the recording's static tf, as ``<sensor>_extrinsics`` has it.

    Args:
        reader: of the recording.
        topics: of its frames.
        sensors: to look up; one without a topic, or that tf does not know, is left out.
    """
    transforms = RecordedTransforms(reader, tf_topics(reader.topics))
    given = topics.by_sensor()
    found = {}
    for sensor in sensors:
        if sensor not in given or sensor == next(iter(given)):
            continue
        target, source = (_frame_of(reader, topics.roles[role]) for role in (given[next(iter(given))], given[sensor]))
        with suppress(LookupError):
            rotation, place = transforms.lookup(target, source)
            turn = cv2.Rodrigues(rotation)[0].ravel()
            angle = float(np.linalg.norm(turn))
            axis = turn / angle if angle else turn
            quaternion = (*(axis * np.sin(angle / 2)), np.cos(angle / 2))
            found[sensor] = tuple(float(value) for value in (*place, *quaternion))
    return found


def _frame_of(reader: RecordingReader, topic: Topic) -> str:
    for recorded in reader.messages([topic.name]):
        return str(reader.deserialize(recorded).header.frame_id)
    return ""
