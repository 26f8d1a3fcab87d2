# SPDX-License-Identifier: Apache-2.0
"""A recording as the checks see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssma_ros.doctor.choice import choose, new_input
from ssma_ros.doctor.finding import Finding
from ssma_ros.doctor.frame import put_together
from ssma_ros.doctor.scene import Offer, Scene
from ssma_ros.doctor.watch import Watch, spread_ns
from ssma_ros.errors import SsmaError
from ssma_ros.messages.decode import serialized_stamp_ns
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.transforms import RecordedTransforms, is_static, tf_topics
from ssma_ros.sensors import readings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ssma_ros.doctor.setup import Setup


def observe_recording(
    path: Path, setup: Setup, seconds: float, mapping: Mapping[str, str] | None = None
) -> tuple[Scene, list[Finding]]:
    """Read the beginning of a recording.

    Args:
        path: rosbag2 folder or file.
        setup: of the node.
        seconds: of the recording, from its first message.
        mapping: roles settled by the user, see :func:`~ssma_ros.recordings.topics.parse_mapping`.

    Returns:
        What was seen, and what is wrong with the files themselves.

    Raises:
        SsmaError: it is no recording or cannot be read at all.
    """
    scene = Scene(setup, live=False)
    with RecordingReader(path) as reader:
        findings = [
            Finding("warning", "files", note, "see docs/play.md", part="recording", check="files")
            for note in reader.notes
        ]
        scene.topics = reader.topics
        scene.inputs = {topic.sensor: new_input(topic, setup) for topic in setup.topics}
        choose(scene, mapping or {}, str(path))
        spread = spread_ns(min(seconds, max(reader.duration_s, 0.1)))
        known = readings(vars(setup.parameters))
        watches = {}
        for name, seen in scene.inputs.items():
            if seen.topic:
                seen.offers = (Offer("(recorder)", seen.kind),)
                watches[seen.topic] = Watch(seen, known.get(name), spread)
        topics = tf_topics(reader.topics)
        try:
            scene.transforms = transforms = RecordedTransforms(reader, topics)
            moving = {topic.name for topic in topics if not is_static(topic.name)}
            _read(reader, watches, transforms, moving, seconds)
        except SsmaError as error:
            findings.append(Finding("error", "files", str(error), "see docs/play.md", part="recording", check="files"))
    put_together(scene)
    return scene, findings


def _read(
    reader: RecordingReader, watches: Mapping[str, Watch], transforms: RecordedTransforms, moving: set[str],
    seconds: float,
) -> None:
    begun: int | None = None
    for recorded in reader.messages([*watches, *moving]):
        begun = recorded.stamp_ns if begun is None else begun
        if recorded.stamp_ns - begun > seconds * 1e9:
            break
        if recorded.topic in moving:
            transforms.put(recorded)
            continue
        watch = watches[recorded.topic]
        if recorded.type != watch.seen.kind:
            continue
        if watch.wants(recorded.stamp_ns):
            watch.look(reader.deserialize(recorded))
        watch.note(recorded.stamp_ns, serialized_stamp_ns(recorded.data))
