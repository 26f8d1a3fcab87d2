# SPDX-License-Identifier: Apache-2.0
"""The work of one process: the chosen frames of a recording into a data set's folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.encodings.depth_completion import Completion
from ssma_ros.errors import SsmaError
from ssma_ros.extraction.choice import Chooser
from ssma_ros.extraction.pictures import is_written, write_cameras, write_frame
from ssma_ros.extraction.recipe import SequenceResult, sample_name
from ssma_ros.files import write_picture
from ssma_ros.inputs.registered import in_one_camera
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.recordings.frames import RecordedFrames
from ssma_ros.recordings.label_messages import label_image
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.topics import find_input_topics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssma_ros.extraction.recipe import Job, Part, Recipe
    from ssma_ros.recordings.frames import RecordedFrame
    from ssma_ros.recordings.topics import InputTopics


class OpenRecording:
    """A job's recording with its frames matched; a context manager.

    Args:
        job: names the recording and how it is read.

    Attributes:
        frames: of the recording.
        topics: that they are made of.
        chooser: of the frames to take.

    Raises:
        SsmaError: a recording that cannot be used.
    """

    def __init__(self, job: Job) -> None:
        recipe = job.recipe
        self._reader = RecordingReader(job.recording)
        try:
            self.topics = topics_of(self._reader, job.recording, recipe)
            self.frames = RecordedFrames(self._reader, self.topics, slop_ns=recipe.slop_ns, assembly=recipe.assembly)
            self.chooser = Chooser(self._reader, self.frames, recipe)
        except BaseException:
            self._reader.close()
            raise

    def __enter__(self) -> OpenRecording:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()


def topics_of(reader: RecordingReader, recording: Path, recipe: Recipe) -> InputTopics:
    """What a recipe reads of a recording.

    Raises:
        SsmaError: as of :func:`~ssma_ros.recordings.topics.find_input_topics`, or labels are asked for and not there.
    """
    topics = find_input_topics(reader.topics, str(recording), recipe.topics)
    if not recipe.with_labels:
        return topics.without("label")
    if topics.label is None:
        raise SsmaError(f"recording {recording}: has no label topic, expected one, or no --with-labels")
    return topics


def extract_recording(job: Job) -> list[SequenceResult]:
    """Write the chosen frames of a recording; files that are there already are kept, so a broken run goes on.

    Args:
        job: what to do; its data set's folders are made where they are missing.

    Returns:
        What became of each part.

    Raises:
        SsmaError: a recording that cannot be used, or the disk refuses.
    """
    with OpenRecording(job) as recording:
        return [_extract_part(job, part, recording) for part in job.parts]


def _extract_part(job: Job, part: Part, recording: OpenRecording) -> SequenceResult:
    frames, sensors, folder = recording.frames, job.recipe.sensors, job.folder / part.split
    result = SequenceResult(part, topics={role: topic.name for role, topic in recording.topics.roles.items()})
    chosen = recording.chooser.choose(part, result) if part.wanted is None else list(part.wanted)
    names = {index: sample_name(part.sequence, index) for index in chosen}
    waiting = [i for i in chosen if not is_written(sensors, folder, names[i], label=job.recipe.with_labels)]
    there = set(chosen) - set(waiting)
    for found in usable_frames(frames, waiting, job.recipe, result):
        name = names[found.index]
        if job.recipe.with_labels and not _write_label(found, recording.topics, folder, name, result):
            continue
        write_cameras(found.frame, folder, part.sequence, name)
        write_frame(found.frame, sensors, folder, name)
        there.add(found.index)
    result.samples = [
        {"name": names[index], "index": index, "stamp_ns": frames.stamp_ns(index)} for index in sorted(there)
    ]
    result.warnings = frames.account.warnings()
    return result


def usable_frames(
    frames: RecordedFrames, wanted: list[int], recipe: Recipe, result: SequenceResult
) -> Iterator[RecordedFrame]:
    """Of the frames of some indices those with every sensor; the others are counted with the reason."""
    seen = 0
    for recorded in frames.read(wanted):
        seen += 1
        found = recorded
        if recipe.one_camera:
            found = replace(recorded, frame=in_one_camera(recorded.frame, Completion()))
        refused = [s for s in recipe.sensors if s not in found.frame.images]
        if refused:
            result.leave_out(f"{refused[0]} could not be read or registered")
        else:
            yield found
    result.leave_out("the driving image could not be read", len(wanted) - seen)


def _write_label(found: RecordedFrame, topics: InputTopics, folder: Path, name: str, result: SequenceResult) -> bool:
    """Whether the frame has a label that fits; it is written as it is."""
    assert topics.label is not None
    if found.label is None:
        result.leave_out("the label could not be read")
        return False
    try:
        label = label_image(found.label, topics.label.name)
    except RefusedInput:
        result.leave_out("the label could not be read")
        return False
    if (label.shape[1], label.shape[0]) != found.frame.size:
        result.leave_out("the label is of another size than the driving image")
        return False
    write_picture(folder / "label" / f"{name}.png", label)
    return True
