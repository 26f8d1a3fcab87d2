# SPDX-License-Identifier: Apache-2.0
"""One matched set of messages to published outputs; runs in the worker's thread."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ssma_ros.inputs.encoded import why_blank
from ssma_ros.messages.assemble import AssemblyOptions, assemble_frame
from ssma_ros.messages.plausibility import Plausibility
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.options import part
from ssma_ros.ros.statistics import RateMeter, StageTimes
from ssma_ros.sensors import readings, registered

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssma_ros.frame import Frame, Segmentation
    from ssma_ros.messages.transforms import Transforms
    from ssma_ros.ros.parameters import FusionParameters
    from ssma_ros.ros.publishers import OutputPublishers
    from ssma_ros.ros.statistics import ThrottledLog
    from ssma_ros.ros.subscriptions import InputSubscriptions
    from ssma_ros.segmenter import Segmenter
    from ssma_ros.synchronization import Matched

_MS = 1e-6  # of a nanosecond

#: What has been so for this long is no hiccup, nanoseconds.
LASTING_NS = 2_000_000_000

#: How long the reason of the last frame is taken as the reason of now, nanoseconds.
REASON_HOLDS_NS = 2_000_000_000


@dataclass
class SensorRecord:
    """What became of one sensor's messages in frames.

    Attributes:
        reason: why the last frame went without it, or empty if it was there.
        noted_ns: when that was.
        refused: messages refused so far.
        suspicion: what its values look like, where they look wrong.
    """

    reason: str = ""
    noted_ns: int = 0
    refused: int = 0
    suspicion: str = ""

    def current_reason(self, now_ns: int) -> str:
        """The reason, unless no frame has been made since for so long that it says nothing about now."""
        return self.reason if now_ns - self.noted_ns < REASON_HOLDS_NS else ""


@dataclass
class Doubt:
    """Something that is not as it should be, and since when.

    Attributes:
        words: what, with a remedy, or empty.
        since_ns: when it began.
    """

    words: str = ""
    since_ns: int = 0

    def note(self, words: str) -> None:
        """What it is now."""
        if words != self.words:
            self.words, self.since_ns = words, time.monotonic_ns()

    def lasting(self, now_ns: int) -> str:
        """The words if it has been so for :data:`LASTING_NS`."""
        return self.words if now_ns - self.since_ns >= LASTING_NS else ""


@dataclass
class Progress:
    """What the processor did so far; written by the worker, read by diagnostics.

    Attributes:
        published: frames published.
        degraded: of these, frames that went without a sensor.
        refused: driving images refused.
        published_ns: when the last one was, or the node was activated.
        unwanted: frames not segmented because nobody subscribes to any output.
        unwanted_ns: when the last of them came, None for never.
        failures: frames lost to an exception, by its kind; the last one in words and when it was.
        outputs: rate of published frames.
        stages: milliseconds by stage, ``latency`` from the arrival of the driving image to the last publish.
        sensors: by sensor and ``camera_info``.
        gravity: what is wrong with it.
        registration: what images of other cameras are registered by where depth is missing.
    """

    published: int = 0
    published_ns: int = field(default_factory=time.monotonic_ns)
    degraded: int = 0
    refused: int = 0
    unwanted: int = 0
    unwanted_ns: int | None = None
    failures: Counter[str] = field(default_factory=Counter)
    last_failure: str = ""
    last_failure_ns: int | None = None
    outputs: RateMeter = field(default_factory=RateMeter)
    stages: StageTimes = field(default_factory=StageTimes)
    sensors: dict[str, SensorRecord] = field(default_factory=dict)
    gravity: Doubt = field(default_factory=Doubt)
    registration: Doubt = field(default_factory=Doubt)


class FrameProcessor:
    """Assembles, segments and publishes.

    Args:
        segmenter: that segments; reset on a stamp jump.
        publishers: of the outputs.
        inputs: for the latest camera info and topic names.
        parameters: gives the current parameters.
        log: receives refusals.
        transforms: of tf, or None where nobody listens to it.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        publishers: OutputPublishers,
        inputs: InputSubscriptions,
        parameters: Callable[[], FusionParameters],
        log: ThrottledLog,
        transforms: Transforms | None = None,
    ) -> None:
        self._segmenter = segmenter
        self._publishers = publishers
        self._inputs = inputs
        self._parameters = parameters
        self._log = log
        self._transforms = transforms
        self._publishing = threading.Lock()
        self._open = False
        self._breaks = 0
        self._plausibility = Plausibility()
        self.progress = Progress()

    def set_open(self, is_open: bool) -> None:
        """Let results out, or hold them back. Returns only when no publish is under way.

        A frame that is in work when results are held back is dropped even if they are let out again before it is done.
        """
        with self._publishing:
            self._open = is_open
            self._breaks += not is_open
            self.progress.published_ns = time.monotonic_ns()

    def ticket(self) -> int:
        """What :meth:`handle` is given with a frame: it holds until results are held back again."""
        return self._breaks

    def between_frames(self, change: Callable[[], None]) -> None:
        """Do something while nothing is published and no publisher is looked at."""
        with self._publishing:
            change()

    def handle(self, matched: Matched[Any], ticket: int) -> None:
        """Take one frame all the way; nothing of it gets out if its ticket holds no more when it is done."""
        if matched.new_beginning:
            self._segmenter.reset()
        with self._publishing:  # publishers may be destroyed by a changed parameter or by a cleanup
            wanted = self._publishers.wanted()
        if not wanted:
            self.progress.unwanted += 1
            self.progress.unwanted_ns = time.monotonic_ns()
            return
        start = time.monotonic_ns()
        frame = self._assemble(matched)
        if frame is None:
            return
        assembled = time.monotonic_ns()
        needs = frozenset[str]().union(*(output.needs for output in wanted)) | {"mask", "confidence"}
        result = self._segmenter(frame, needs)
        self._note_unused(result)
        self._note_doubts(frame, result)
        segmented = time.monotonic_ns()
        with self._publishing:
            if not self._open or self._breaks != ticket:
                return
            self._publishers.publish(wanted, result, frame)
        end = time.monotonic_ns()
        inference_ms = result.timings_ms.get("inference", 0.0)
        progress = self.progress
        progress.published += 1
        progress.published_ns = end
        progress.degraded += any(not present for present in result.present.values())
        progress.outputs.tick(end)
        progress.stages.add(
            {
                **result.timings_ms,
                "waiting": (start - matched.arrived_ns) * _MS,
                "assembly": (assembled - start) * _MS,
                "publishing": (end - segmented) * _MS,
                "besides_inference": (end - start) * _MS - inference_ms,
                "latency": (end - matched.arrived_ns) * _MS,
            }
        )

    def failed(self, error: Exception) -> None:
        """Count a frame that an exception took."""
        self.progress.failures[type(error).__name__] += 1
        self.progress.last_failure = f"{type(error).__name__}: {error}"
        self.progress.last_failure_ns = time.monotonic_ns()

    def _assemble(self, matched: Matched[Any]) -> Frame | None:
        parameters = self._parameters()
        info = self._inputs.inputs["camera_info"].last
        try:
            frame = assemble_frame(
                matched.items,
                info,
                part(
                    AssemblyOptions, parameters, readings=readings(vars(parameters)),
                    registered=registered(vars(parameters)),
                ),
                driver=matched.driver,
                topics=self._inputs.topics(),
                missing=matched.missing,
                infos=self._inputs.infos(),
                transforms=self._transforms,
                plausibility=self._plausibility,
            )
        except RefusedInput as refusal:
            self.progress.refused += 1
            self._note(matched.driver, f"refused: {refusal}")
            return None
        for sensor in self._inputs.inputs:
            self._note(sensor, frame.missing.get(sensor, ""))
            self._suspect(sensor, frame.suspicions.get(sensor, ""))
        if all(why_blank(stream, frame) is not None for stream in self._segmenter.contract.streams):
            self.progress.refused += 1
            self._log.say("no stream", f"{matched.driver} alone makes no input of this network: {dict(frame.missing)}")
            return None
        return frame

    def _note_unused(self, result: Segmentation) -> None:
        """A sensor that is there and of no use is in trouble too: depth without intrinsics makes no HHA."""
        streams = self._segmenter.contract.streams
        used = {sensor for stream in streams if result.present[stream.name] for sensor in stream.sensors}
        for stream in streams:
            for sensor in stream.sensors:
                record = self.progress.sensors.get(sensor)
                if record is not None and sensor not in used and not record.reason:
                    self._note(sensor, f"not used: {result.missing[stream.name]}")

    def _note_doubts(self, frame: Frame, result: Segmentation) -> None:
        asked = self._parameters().gravity_frame
        of_depth = {stream.name for stream in self._segmenter.contract.streams if "depth" in stream.sensors}
        words = "; ".join(doubt for stream, doubt in result.doubts.items() if stream in of_depth)
        if asked and frame.gravity is None:
            words = (
                f"tf knows no transform from gravity_frame '{asked}' to '{frame.frame_id}', gravity is estimated from "
                "depth instead, expected both frames in one tf tree"
            )
        self.progress.gravity.note(words)
        others = dict.fromkeys(doubt for stream, doubt in result.doubts.items() if stream not in of_depth)
        self.progress.registration.note("; ".join(others))
        for name in ("gravity", "registration"):
            lasting = getattr(self.progress, name).lasting(time.monotonic_ns())
            if lasting:
                self._log.say(name, lasting)

    def _suspect(self, sensor: str, suspicion: str) -> None:
        record = self.progress.sensors[sensor]
        if suspicion and not record.suspicion:
            self._log.say(f"{sensor} suspicion", suspicion)
        record.suspicion = suspicion

    def _note(self, sensor: str, reason: str) -> None:
        record = self.progress.sensors.setdefault(sensor, SensorRecord())
        record.reason, record.noted_ns = reason, time.monotonic_ns()
        if reason.startswith("refused: "):
            record.refused += 1
            self._log.say(f"{sensor} {_kind(reason)}", reason.removeprefix("refused: "))


def _kind(reason: str) -> str:
    """Topic and field of a refusal: what is throttled together."""
    return reason.split(" is ")[0]
