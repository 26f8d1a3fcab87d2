# SPDX-License-Identifier: Apache-2.0
"""A recording through the segmenter into a recording, without ROS: what ``ssma play`` does."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError
from ssma_ros.messages import decode as conversion
from ssma_ros.messages.assemble import AssemblyOptions
from ssma_ros.messages.catalogue import OutputCatalog, OutputOptions
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.recordings import records as messages
from ssma_ros.recordings.account import Account, Reasons
from ssma_ros.recordings.frames import SLOP_NS, RecordedFrames
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.topics import InputTopics, find_input_topics
from ssma_ros.recordings.transforms import TF_MESSAGE, is_static
from ssma_ros.recordings.typestore import LABEL_INFO
from ssma_ros.recordings.writer import RecordingWriter, Storage
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ssma_ros.frame import Frame, Segmentation
    from ssma_ros.recordings.reader import RecordedMessage
    from ssma_ros.segmenter import Segmenter

NAMESPACE = "/ssma_fusion"
#: Topics that are written unless others are asked for: what is small. Clouds and float images are not.
DEFAULT_OUTPUTS = ("mask", "confidence", "color_mask/compressed", "overlay/compressed", "camera_info")
LABEL_INFO_NAME = "label_info"


@dataclass(frozen=True)
class PlayOptions:
    """How to play.

    Attributes:
        topics: roles settled by the user, see :func:`~ssma_ros.recordings.topics.parse_mapping`.
        outputs: patterns of the topics below the namespace, for example ``confidence/*``.
        namespace: of the output topics.
        storage: of the output recording.
        overwrite: replace an earlier recording of that name.
        copy_inputs: write the used input messages too.
        slop_ns: largest stamp difference between the driving image and a partner, nanoseconds.
        assembly: how strictly the images of several sensors are put together.
    """

    topics: Mapping[str, str] = field(default_factory=dict)
    outputs: Sequence[str] = DEFAULT_OUTPUTS
    namespace: str = NAMESPACE
    storage: Storage = "mcap"
    overwrite: bool = False
    copy_inputs: bool = False
    slop_ns: int = SLOP_NS
    assembly: AssemblyOptions = field(default_factory=AssemblyOptions)
    appearance: OutputOptions = field(default_factory=OutputOptions)


@dataclass
class PlayResult:
    """What happened.

    Attributes:
        topics: that were used.
        frames: driving images segmented.
        complete: of these, with every stream of the network.
        blank: frames in which a stream was blank, by stream.
        reasons: why each of these streams was blank, by kind.
        account: what became of every message.
        written: topics of the output recording.
    """

    topics: InputTopics
    frames: int = 0
    complete: int = 0
    blank: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, Reasons] = field(default_factory=dict)
    account: Account = field(default_factory=Account)
    written: list[str] = field(default_factory=list)

    def count(self, result: Segmentation) -> None:
        """Take note of one frame."""
        self.frames += 1
        blank = [name for name, there in result.present.items() if not there]
        self.complete += not blank
        self.blank.update(blank)
        for name in blank:
            self.reasons.setdefault(name, Reasons()).add(result.missing.get(name, "no reason given"))


def play(
    recording: Path,
    output: Path,
    make_segmenter: Callable[[], Segmenter],
    options: PlayOptions | None = None,
    *,
    on_start: Callable[[int], object] | None = None,
    on_frame: Callable[[], object] | None = None,
) -> PlayResult:
    """Segment a recording.

    Args:
        recording: rosbag2 folder or file.
        output: recording to make.
        make_segmenter: called once the recording is known to be usable.
        options: see :class:`PlayOptions`.
        on_start: told the number of driving images.
        on_frame: called after each of them.

    Raises:
        SsmaError: a recording that cannot be used, no driving image that can, an output that cannot be written.
            Nothing is left of the output then.
    """
    options = options or PlayOptions()
    with ExitStack() as stack:
        reader = stack.enter_context(RecordingReader(recording))
        topics = find_input_topics(reader.topics, str(recording), options.topics)
        if not options.copy_inputs:
            topics = topics.without("label")  # nothing but copying needs them
        writer = RecordingWriter(
            output, storage=options.storage, overwrite=options.overwrite, source=recording, remedy=", or --overwrite"
        )
        _check_encodings(reader, topics)
        frames = RecordedFrames(reader, topics, slop_ns=options.slop_ns, assembly=options.assembly)
        segmenter = stack.enter_context(make_segmenter())
        sink = _Sink(stack.enter_context(writer), segmenter, options)
        segmenter.warm_up()  # after what is refused, since it may compile
        result = PlayResult(topics)
        if on_start is not None:
            on_start(len(frames))
        for found in frames.read(on_message=sink.copy if options.copy_inputs else None):
            if found.new_beginning:
                segmenter.reset()
            segmentation = segmenter(found.frame, sink.needs)
            sink.write(segmentation, found.frame, found.arrived_ns)
            result.count(segmentation)
            if on_frame is not None:
                on_frame()
        if not result.frames:
            why = "; ".join(frames.account.topics[topics.by_name()[frames.topic.name]].refusals.lines())
            raise SsmaError(f"recording {recording}: no usable driving image on {frames.topic.name} (refused {why})")
        result.account = frames.account
        result.written = sink.topics
    return result


class _Sink:
    """Writes the outputs of frames."""

    def __init__(self, writer: RecordingWriter, segmenter: Segmenter, options: PlayOptions) -> None:
        self._writer = writer
        self._prefix = options.namespace.rstrip("/")
        self._catalog = OutputCatalog(segmenter.contract, options.appearance)
        self._min_confidence = segmenter.options.min_confidence
        names = [output.topic for output in self._catalog.outputs] + [LABEL_INFO_NAME]
        for pattern in options.outputs:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise SsmaError(f"outputs: '{pattern}' is no output, expected some of {', '.join(names)} or a pattern")
        self._outputs = [o for o in self._catalog.outputs if any(fnmatchcase(o.topic, p) for p in options.outputs)]
        #: What the segmenter must be asked for.
        self.needs = {"mask", "confidence"}.union(*(output.needs for output in self._outputs))
        #: Topics written so far.
        self.topics: list[str] = []
        self._labelled = False
        self._latched: set[str] = set()

    def write(self, result: Segmentation, frame: Frame, recorded_ns: int) -> None:
        """Write every wanted output of one frame, all with its stamp and frame_id."""
        header = messages.header(result.stamp_ns, result.frame_id)
        if not self._labelled:
            self._labelled = True
            self._writer.latch(f"{self._prefix}/{LABEL_INFO_NAME}")
            fields = self._catalog.label_info_fields(self._min_confidence)
            self._put(LABEL_INFO_NAME, LABEL_INFO, messages.make(LABEL_INFO, header=header, **fields), recorded_ns)
        for output in self._outputs:
            values = output.fields(result, frame)
            if values is not None:
                self._put(output.topic, output.type, messages.make(output.type, header=header, **values), recorded_ns)

    def copy(self, recorded: RecordedMessage) -> None:
        """Write an input message as it is."""
        if is_static(recorded.topic) and recorded.type == TF_MESSAGE and recorded.topic not in self._latched:
            self._latched.add(recorded.topic)
            self._writer.latch(recorded.topic)
        self._writer.write_serialized(recorded.topic, recorded.type, recorded.data, recorded.stamp_ns)

    def _put(self, name: str, kind: str, message: Any, recorded_ns: int) -> None:
        topic = f"{self._prefix}/{name}"
        self._writer.write(topic, kind, message, recorded_ns)
        if topic not in self.topics:
            self.topics.append(topic)


def _check_encodings(reader: RecordingReader, topics: InputTopics) -> None:
    """Look at the first message of each topic: a wrong encoding is a wrong topic, better said at once."""
    for name, role in topics.by_name().items():
        sensor = SENSORS.get("depth" if role == "disparity" else role)
        if sensor is None:
            continue
        first = next(reader.messages([name]), None)
        if first is None:
            continue
        try:
            conversion.image_of(sensor, reader.deserialize(first), name)
        except RefusedInput as refusal:
            if refusal.field == "encoding":
                raise SsmaError(f"recording {reader.path}: {refusal} for {role}") from None
        except SsmaError:
            continue  # one bad message is counted where its frame is made
