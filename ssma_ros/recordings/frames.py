# SPDX-License-Identifier: Apache-2.0
"""The frames of a recording: its images matched by their stamps and put together.

Every door that reads frames from a recording reads them here: play, evaluation, calibration, verification. The
recording is read twice: once for the stamps, from which frames are matched, and once for the messages, of which only
those are held that a frame still waits for. Memory does not grow with the recording.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError
from ssma_ros.messages.assemble import AssemblyOptions, assemble_frame
from ssma_ros.messages.plausibility import Plausibility
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.recordings.account import Account, new_topic
from ssma_ros.recordings.index import TF, FrameIndex, last_uses, messages_of
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.topics import ROLES, SENSOR_OF_ROLE, find_input_topics
from ssma_ros.recordings.transforms import RecordedTransforms, is_static, tf_topics
from ssma_ros.recordings.window import Window
from ssma_ros.sensors import FROM_TF, SENSORS
from ssma_ros.synchronization import SyncOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from ssma_ros.frame import Frame
    from ssma_ros.recordings.reader import RecordedMessage, Topic
    from ssma_ros.recordings.topics import InputTopics

logger = logging.getLogger(__name__)

#: How far the stamps of the driving image and a partner may lie apart, unless another is asked for.
SLOP_NS = SyncOptions().slop_ns


@dataclass(frozen=True)
class RecordedFrame:
    """One frame of a recording.

    Attributes:
        index: of the frame in the recording, from 0; those whose driving image is refused are left out.
        frame: what the sensors saw.
        arrived_ns: when the driving image was recorded.
        new_beginning: stamps jumped; whoever remembers earlier frames forgets them now.
        label: message with the classes of the driving image, None where there is none or it cannot be read.
    """

    index: int
    frame: Frame
    arrived_ns: int
    new_beginning: bool
    label: Any = None


def read_frames(recording: Path, topics: Mapping[str, str] | None = None) -> Iterator[Frame]:
    """The frames of a recording in order of their stamps; at its end the log says what was refused or looks wrong.

    Args:
        recording: rosbag2 folder or file.
        topics: roles settled by the user, see :func:`~ssma_ros.recordings.topics.parse_mapping`.

    Raises:
        SsmaError: a recording that cannot be used.
    """
    with RecordingReader(recording) as reader:
        frames = RecordedFrames(reader, find_input_topics(reader.topics, str(recording), topics).without("label"))
        for recorded in frames.read():
            yield recorded.frame
        for warning in frames.account.warnings():
            logger.warning("recording %s: %s", recording, warning)


class RecordedFrames:
    """The frames of an open recording: one for each driving image, in the order of their stamps.

    What cannot be read costs its own sensor in its own frame, or the frame where it is the driving image.

    Args:
        reader: an open recording; its stamps are read now.
        topics: to read.
        slop_ns: largest stamp difference between the driving image and a partner.
        assembly: how the images of several sensors are put together.

    Attributes:
        account: what became of every message in the last :meth:`read`.

    Raises:
        SsmaError: the recording is damaged.
    """

    def __init__(
        self,
        reader: RecordingReader,
        topics: InputTopics,
        *,
        slop_ns: int = SLOP_NS,
        assembly: AssemblyOptions | None = None,
    ) -> None:
        self._reader = reader
        self._assembly = assembly or AssemblyOptions()
        self._topics = topics = topics.with_cameras(reader.topics, self._assembly.registered)
        self._tf_topics = tf_topics(reader.topics) if _needs_tf(self._assembly) else ()
        self._transforms: RecordedTransforms | None = None
        self._index = FrameIndex(reader, topics, slop_ns)
        self._absent = _absent(topics)
        self._names = {**dict.fromkeys(ROLES, "(none)"), **{role: topic.name for role, topic in topics.roles.items()}}
        self._names |= {f"{sensor}_camera_info": topics.info_name(sensor) for sensor in topics.by_sensor()}
        self._plausibility = Plausibility()
        self.account = self._new_account()

    def __len__(self) -> int:
        return len(self._index)

    @property
    def topic(self) -> Topic:
        """The topic whose images make frames."""
        return self._topics.roles[self._index.driver]

    def stamp_ns(self, index: int) -> int:
        """Header stamp of a frame's driving image."""
        return self._index.stamp_ns(index)

    def time_ns(self, index: int) -> int:
        """When a frame was taken: :meth:`stamp_ns`, or the time of recording where the driver's stamps say nothing."""
        return self._index.time_ns(index)

    def begins(self, index: int) -> bool:
        """Whether stamps jumped before a frame."""
        return self._index.begins(index)

    def sensors(self, index: int) -> set[str]:
        """Those that have a message in a frame, whether or not it can be read."""
        return {SENSOR_OF_ROLE[role] for role in self._index.members(index) if role in SENSOR_OF_ROLE}

    def labelled(self) -> list[int]:
        """Indices of the frames that have a label."""
        return [index for index in range(len(self)) if "label" in self._index.members(index)]

    def read(
        self,
        select: Collection[int] | None = None,
        on_message: Callable[[RecordedMessage], None] | None = None,
    ) -> Iterator[RecordedFrame]:
        """Put frames together, in order.

        Args:
            select: only the frames of these indices (0 … ``len(self) - 1``); None = all.
            on_message: told of each message read.

        Raises:
            SsmaError: the recording is damaged.
        """
        self.account, self._plausibility = self._new_account(), Plausibility()
        self._transforms = RecordedTransforms(self._reader, self._tf_topics) if self._tf_topics else None
        frames = range(len(self)) if select is None else sorted(select)
        last = last_uses(self._index, frames)
        seen = dict.fromkeys(last, 0)
        place, begins = 0, False
        with Window() as window:
            for role, recorded in messages_of(self._reader, self._topics, self._tf_topics):
                if on_message is not None:
                    on_message(recorded)
                if role == TF:
                    if self._transforms is not None and not is_static(recorded.topic):
                        self._transforms.put(recorded)
                    continue
                number, seen[role] = seen[role], seen[role] + 1
                if last[role][number] >= 0:
                    window.put((role, number), recorded)
                while place < len(frames):
                    index = frames[place]
                    members = self._index.members(index)
                    if any(wanted >= seen[name] for name, wanted in members.items()):
                        break
                    begins |= self._index.begins(index)
                    made = self._assemble(index, members, window)
                    for name, used in members.items():
                        if last[name][used] == place:
                            window.drop((name, used))
                    place += 1
                    if made is not None:
                        yield RecordedFrame(index, made[0], made[1], begins, made[2])
                        begins = False

    def _assemble(self, index: int, members: Mapping[str, int], window: Window) -> tuple[Frame, int, Any] | None:
        """The frame, when its driving image was recorded, and its label; None where the driving image is refused."""
        driver = self._index.driver
        recorded = {role: window.get((role, number)) for role, number in members.items()}
        messages, refused = self._decoded(recorded)
        missing = {**self._absent, **self._index.why_missing(index)}
        missing |= {SENSOR_OF_ROLE.get(role, role): f"refused: {sentence}" for role, sentence in refused.items()}
        frame = None
        own = {sensor: messages.get(self._topics.info_role(sensor)) for sensor in self._assembly.registered}
        if driver not in refused:
            try:
                frame = assemble_frame(
                    {SENSOR_OF_ROLE[role]: m for role, m in messages.items() if role in SENSOR_OF_ROLE},
                    messages.get("camera_info"), self._assembly, driver=SENSOR_OF_ROLE[driver], topics=self._names,
                    missing=missing, infos={sensor: info for sensor, info in own.items() if info is not None},
                    transforms=self._transforms, plausibility=self._plausibility,
                )  # fmt: skip
            except RefusedInput as refusal:
                refused[driver] = str(refusal)
        if frame is None:
            self._note({driver: members[driver]}, refused, recorded)
            return None
        for role in members:
            reason = frame.missing.get(SENSOR_OF_ROLE.get(role, role), "")
            if reason.startswith("refused: "):
                refused[role] = reason.removeprefix("refused: ")
        self._note(members, refused, recorded)
        if self._assembly.gravity_frame and frame.gravity is None:
            self.account.suspicions.setdefault("gravity", self._why_no_gravity(frame))
        for sensor, sentence in frame.suspicions.items():
            self.account.suspicions.setdefault(sensor, sentence)
        return frame, recorded[driver].stamp_ns, messages.get("label")

    def _why_no_gravity(self, frame: Frame) -> str:
        asked = self._assembly.gravity_frame
        why = "the recording has no tf"
        if self._transforms is not None:
            try:
                self._transforms.lookup(frame.frame_id, asked)
            except LookupError as error:
                why = str(error)
        return f"gravity_frame '{asked}' is not used, gravity is estimated from depth: {why}"

    def _decoded(self, recorded: Mapping[str, RecordedMessage]) -> tuple[dict[str, Any], dict[str, str]]:
        """Messages by role, and in words why others could not be read."""
        messages, refused = {}, {}
        for role, message in recorded.items():
            try:
                messages[role] = self._reader.deserialize(message)
            except SsmaError as error:
                refused[role] = str(error)
        return messages, refused

    def _note(
        self, members: Mapping[str, int], refused: Mapping[str, str], recorded: Mapping[str, RecordedMessage]
    ) -> None:
        for role, number in members.items():
            topic = self.account.topics[role]
            if role in refused:
                topic.note_refused(number, refused[role], f"{recorded[role].stamp_ns * 1e-9:.3f} s")
            else:
                topic.note_used(number)

    def _new_account(self) -> Account:
        """What can be said before a message is decoded."""
        counts = self._index.counts
        topics = {role: new_topic(role, self._names[role], counts[role]) for role in ROLES if role in counts}
        return Account(topics, [*self._reader.notes, *self._index.notes()])


def _needs_tf(assembly: AssemblyOptions) -> bool:
    return bool(assembly.gravity_frame) or FROM_TF in assembly.registered.values()


def _absent(topics: InputTopics) -> dict[str, str]:
    """By sensor the reason why the whole recording has none of it."""
    reasons = {}
    unused = ", ".join(f"{t.name} ({t.encoding or t.type})" for t in topics.unused)
    for sensor in SENSORS.values():
        if sensor.name in topics.left_out and sensor.name not in topics.by_sensor():
            reasons[sensor.name] = f"{sensor.title} is left out, as the parameters or --topic say"
        elif sensor.name not in topics.by_sensor():
            hint = f"; not read: {unused}, name one with --topic {sensor.name}:=/its/name" if unused else ""
            reasons[sensor.name] = f"the recording has no {sensor.title.replace(' ', '-')} topic{hint}"
    return reasons
