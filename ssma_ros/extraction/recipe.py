# SPDX-License-Identifier: Apache-2.0
"""What is taken out of recordings, and the jobs that take it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError
from ssma_ros.messages.assemble import AssemblyOptions
from ssma_ros.recordings.frames import SLOP_NS
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Seconds before the piece of a recording that is held out, from which nothing is taken: neighbours do not leak.
GAP_S = 1.0


@dataclass(frozen=True)
class Recipe:
    """Which frames are taken, and how messages are read; the same recipe gives the same files.

    Attributes:
        every_s: seconds between two frames of a sequence; 0 = every frame.
        every_metres: metres that the camera travels between two frames, by odometry or tf; 0 = by time.
        with_labels: the recording's label topic becomes the labels, and only frames with one are taken.
        one_camera: images of other cameras are registered to the driving one's pixels, for programs that know no camera
            files; what they do not see becomes 0. Else they are kept as they are with a camera file, and network inputs
            made of the files are those of the recording.
        sensors: that every frame has; () = those that all recordings have.
        topics: roles settled by the user, see :func:`~ssma_ros.recordings.topics.parse_mapping`.
        slop_ns: largest stamp difference between the driving image and a partner, nanoseconds.
        assembly: how the images of several sensors are put together.
    """

    every_s: float = 1.0
    every_metres: float = 0.0
    with_labels: bool = False
    one_camera: bool = False
    sensors: tuple[str, ...] = ()
    topics: Mapping[str, str] = field(default_factory=dict)
    slop_ns: int = SLOP_NS
    assembly: AssemblyOptions = field(default_factory=AssemblyOptions)

    def __post_init__(self) -> None:
        for name in ("every_s", "every_metres"):
            value = getattr(self, name)
            if not 0.0 <= value < math.inf:
                raise SsmaError(f"extract: {name} is {value}, expected 0 or more")
        if self.with_labels and self.assembly.rectify:
            raise SsmaError("extract: labels are painted on raw images and would not fit rectified ones, expected "
                            "--with-labels or rectify, not both")
        for name in self.sensors:
            if name not in SENSORS:
                raise SsmaError(f"sensors: got '{name}', expected some of {', '.join(SENSORS)}")

    def to_document(self) -> dict[str, Any]:
        """JSON-ready, for the data set to remember."""
        document: dict[str, Any] = json.loads(json.dumps(asdict(self), sort_keys=True))
        return document


@dataclass(frozen=True)
class Part:
    """A stretch of a recording that is one sequence of the data set.

    Attributes:
        sequence: begins the names of its samples.
        split: that it is in, whole.
        begin, end: of the recording's frames in order of time, as shares of the whole time, 0 to 1.
        wanted: indices of the frames to take; None = those that the recipe chooses.
    """

    sequence: str
    split: str
    begin: float = 0.0
    end: float = 1.0
    wanted: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Job:
    """A recording and what becomes of it.

    Attributes:
        recording: rosbag2 folder or file.
        identity: of its contents, wherever it lies.
        parts: one, or what is trained on and what is held out.
        folder: of the data set.
        recipe: what to take.
    """

    recording: Path
    identity: str
    parts: tuple[Part, ...]
    folder: Path
    recipe: Recipe


@dataclass
class SequenceResult:
    """What became of a part.

    Attributes:
        part: as planned.
        samples: of each its name, and index and stamp_ns of its driving image in the recording.
        topics: by role.
        left_out: how many frames were left out, by reason.
        warnings: in words, what looked wrong in the recording.
    """

    part: Part
    samples: list[dict[str, Any]] = field(default_factory=list)
    topics: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Count frames that are left out."""
        if count:
            self.left_out[reason] = self.left_out.get(reason, 0) + count


def sample_name(sequence: str, index: int) -> str:
    """Of a frame's files, without suffix. The index tells frames apart whose stamps are equal."""
    return f"{sequence}_{index:06d}"
