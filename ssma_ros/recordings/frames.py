"""The frames of a recording: its images matched by their stamps and put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ssma_ros.messages.assemble import AssemblyOptions, assemble_frame
from ssma_ros.recordings import records as messages
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.topics import find_input_topics
from ssma_ros.recordings.typestore import CAMERA_INFO
from ssma_ros.synchronization import Synchronizer, SyncOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ssma_ros.frame import Frame
    from ssma_ros.recordings.reader import RecordedMessage, Topic
    from ssma_ros.recordings.topics import InputTopics
    from ssma_ros.synchronization import Matched

#: Largest stamp difference between the driving image and a partner, unless another is asked for.
SLOP_NS = 50_000_000

_SENSOR_OF_ROLE = {"color": "color", "depth": "depth", "disparity": "depth", "nir": "nir"}
_WORDS = {"color": "colour", "depth": "depth", "nir": "near-infrared"}
#: So many messages of a sensor may wait for their partners; a recording has no hurry, so this is never felt.
_QUEUE = 1000


@dataclass(frozen=True)
class RecordedFrame:
    """One frame of a recording.

    Attributes:
        frame: what the sensors saw.
        arrived_ns: when the driving image was recorded.
        new_beginning: stamps jumped back; whoever remembers earlier frames forgets them now.
    """

    frame: Frame
    arrived_ns: int
    new_beginning: bool


def read_frames(recording: Path, topics: Mapping[str, str] | None = None) -> Iterator[Frame]:
    """The frames of a recording in order of time.

    Args:
        recording: rosbag2 folder or file.
        topics: roles settled by the user, see :func:`~ssma_ros.recordings.topics.parse_mapping`.

    Raises:
        SsmaError: a recording that cannot be used, or a driving image that is refused.
    """
    with RecordingReader(recording) as reader:
        found = find_input_topics(reader.topics, str(recording), topics)
        for recorded in recorded_frames(reader, found):
            yield recorded.frame


def recorded_frames(
    reader: RecordingReader,
    topics: InputTopics,
    *,
    slop_ns: int = SLOP_NS,
    assembly: AssemblyOptions | None = None,
    on_message: Callable[[RecordedMessage], None] | None = None,
) -> Iterator[RecordedFrame]:
    """Every frame of the given topics; the last camera info of the driving image goes with it.

    Args:
        reader: an open recording.
        topics: to read.
        slop_ns: largest stamp difference between the driving image and a partner.
        assembly: how strictly the images of several sensors are put together.
        on_message: told of each message read.

    Raises:
        SsmaError: the recording is damaged, or a driving image is refused.
    """
    assembly = assembly or AssemblyOptions()
    roles = topics.by_name()
    sensors = tuple(dict.fromkeys(_SENSOR_OF_ROLE[r] for r in roles.values() if r in _SENSOR_OF_ROLE))
    ordered = tuple(s for s in ("color", "depth", "nir") if s in sensors)
    synchronizer: Synchronizer[Any] = Synchronizer(
        SyncOptions(sensors=ordered, drivers=ordered[:1], slop_ns=slop_ns, queue_size=_QUEUE)
    )
    # The calibration holds for the whole recording, also where its first message lies behind the first image.
    first = None if topics.camera_info is None else next(reader.messages([topics.camera_info.name]), None)
    camera_info = None if first is None else reader.deserialize(first)
    now_ns = 0
    for recorded in reader.messages(roles.keys()):
        role, now_ns = roles[recorded.topic], recorded.stamp_ns
        message = reader.deserialize(recorded)
        if on_message is not None:
            on_message(recorded)
        if recorded.type == CAMERA_INFO:
            camera_info = message
        elif role in _SENSOR_OF_ROLE:
            synchronizer.add(_SENSOR_OF_ROLE[role], messages.stamp_of(message), message, now_ns)
        for matched in synchronizer.take_every(now_ns):
            yield _assemble(matched, camera_info, topics, assembly)
    for matched in synchronizer.take_every(now_ns + synchronizer.options.timeout_ns):
        yield _assemble(matched, camera_info, topics, assembly)


def driving_topic(topics: InputTopics) -> Topic:
    """The topic whose images make frames."""
    topic = topics.color or topics.depth or topics.disparity or topics.nir
    assert topic is not None, "find_input_topics refuses a recording without images"
    return topic


def _assemble(
    matched: Matched[Any], camera_info: Any, topics: InputTopics, assembly: AssemblyOptions
) -> RecordedFrame:
    used = {role: topic for topic, role in topics.by_name().items()}
    absent = {
        sensor: f"the recording has no {words} topic"
        for sensor, words in _WORDS.items()
        if not any(_SENSOR_OF_ROLE.get(role) == sensor for role in used)
    }
    names = {**dict.fromkeys(("color", "camera_info", "depth", "disparity", "nir"), "(none)"), **used}
    frame = assemble_frame(
        matched.items,
        camera_info,
        assembly,
        driver=matched.driver,
        topics=names,
        missing={**absent, **matched.missing},
    )
    return RecordedFrame(frame, matched.arrived_ns, matched.new_beginning)
