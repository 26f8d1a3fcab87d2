# SPDX-License-Identifier: Apache-2.0
"""The tf tree of a recording: the static part of all of it, the moving part as it was when a frame was recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.messages.transforms import rotation_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssma_ros.recordings.reader import RecordingReader, Topic

TF_MESSAGE = "tf2_msgs/msg/TFMessage"
_STATIC = "tf_static"


def tf_topics(topics: Sequence[Topic]) -> tuple[Topic, ...]:
    """Those of a recording that carry transforms."""
    return tuple(topic for topic in topics if topic.type == TF_MESSAGE and topic.count)


def is_static(topic: str) -> bool:
    """Whether a topic's transforms hold for ever; its last message must reach late joiners."""
    return topic.rpartition("/")[2] == _STATIC


class RecordedTransforms:
    """Implements :class:`~ssma_ros.messages.transforms.Transforms`.

    Static transforms hold for the whole recording, wherever in it they lie: they are published once, often before it
    began. Of the others the last one counts that was put in.

    Args:
        reader: whose static transforms are read now.
        topics: of :func:`tf_topics`.

    Raises:
        SsmaError: the recording is damaged.
    """

    def __init__(self, reader: RecordingReader, topics: Sequence[Topic]) -> None:
        self._reader = reader
        self._parents: dict[str, tuple[str, NDArray[np.float64], NDArray[np.float64]]] = {}
        static = [topic.name for topic in topics if is_static(topic.name)]
        for recorded in reader.messages(static) if static else ():
            self.put(recorded)

    def put(self, recorded: Any) -> None:
        """Take a recorded TFMessage in; what cannot be read or is no rotation says nothing."""
        try:
            message = self._reader.deserialize(recorded)
        except SsmaError:
            return
        for stamped in message.transforms:
            q, t = stamped.transform.rotation, stamped.transform.translation
            try:
                rotation = rotation_matrix(q.x, q.y, q.z, q.w)
            except LookupError:
                continue
            child, parent = _name(stamped.child_frame_id), _name(stamped.header.frame_id)
            self._parents[child] = (parent, rotation, np.array([t.x, t.y, t.z], np.float64))

    def lookup(self, target: str, source: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rotation (3×3) and translation (3, metres) that take points of ``source`` to ``target``, as of now."""
        above = self._chain(_name(target))
        for frame, (rotation, translation) in self._chain(_name(source)).items():
            if frame in above:
                turn, place = above[frame]
                return turn.T @ rotation, turn.T @ (translation - place)
        unknown = [name for name in (target, source) if not self._knows(_name(name))]
        if unknown:
            raise LookupError(f"the recording's tf has no frame '{unknown[0]}'")
        raise LookupError(f"the recording's tf does not connect '{source}' with '{target}'")

    def _knows(self, frame: str) -> bool:
        return frame in self._parents or any(parent == frame for parent, _, _ in self._parents.values())

    def _chain(self, frame: str) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Each frame above, itself first, with what takes points of ``frame`` there."""
        rotation, translation = np.eye(3), np.zeros(3)
        chain = {frame: (rotation, translation)}
        while frame in self._parents:
            frame, turn, place = self._parents[frame]
            if frame in chain:
                break  # a circle, which tf refuses too
            rotation, translation = turn @ rotation, turn @ translation + place
            chain[frame] = (rotation, translation)
        return chain


def _name(frame: str) -> str:
    return str(frame).lstrip("/")
