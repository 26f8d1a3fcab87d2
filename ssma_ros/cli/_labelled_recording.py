# SPDX-License-Identifier: Apache-2.0
"""Labelled frames of a recording as encoded samples, for evaluation."""

from __future__ import annotations

import hashlib
import sys
import weakref
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.inputs.encoded import why_blank
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.inputs.registered import LEAST_SEEN
from ssma_ros.labels import apply_raw_ids
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.recordings.frames import RecordedFrames
from ssma_ros.recordings.label_messages import label_image
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.topics import find_input_topics
from ssma_ros.training.datasets.cache import Sample, encode_sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ssma_ros.contract import Contract
    from ssma_ros.messages.assemble import AssemblyOptions
    from ssma_ros.recordings.frames import RecordedFrame


#: Why a stream is blank whose sensors are all there.
_UNSEEN = f"its camera sees less than {100 * LEAST_SEEN:.0f} % of the driving image: check its pose and its camera_info"


class RecordingSamples:
    """Every driving image that has a label of the same stamp, read and encoded when it is asked for.

    One sample is held at a time: asked for in ascending order the recording is read once, and again from the start
    whenever an earlier one is asked for. A driving image or label that cannot be read is a sample without streams,
    which is not scored, and is told on standard error.

    Args:
        path: rosbag2 recording with a label topic.
        contract: of the network to feed.
        assembly: how messages are read.

    Raises:
        SsmaError: no recording, no labels in it, or labels that the contract's label set does not know.
    """

    def __init__(self, path: Path, contract: Contract, assembly: AssemblyOptions | None = None) -> None:
        self._path = path
        self._contract = contract
        self._encoder = InputEncoder(contract)
        self._reader = RecordingReader(path)
        weakref.finalize(self, self._reader.close)
        topics = find_input_topics(self._reader.topics, str(path))
        if topics.label is None:
            raise SsmaError(f"recording {path}: has no label topic, expected one to evaluate against")
        self._label_topic = topics.label.name
        self._frames = RecordedFrames(self._reader, topics, assembly=assembly)
        self._labelled = self._frames.labelled()
        if not self._labelled:
            raise SsmaError(f"recording {path}: no image on {self._frames.topic.name} has a label of the same stamp")
        self._told: set[str] = set()
        self._tell(self._frames.account.warnings())
        self._ahead: Iterator[RecordedFrame] = iter(())
        self._next: RecordedFrame | None = None
        self._last: tuple[int, Sample, dict[str, str]] | None = None

    def __len__(self) -> int:
        return len(self._labelled)

    def __getitem__(self, index: int) -> Sample:
        return self._sample(index)[1]

    def name(self, index: int) -> str:
        """Stamp of the driving image, nanoseconds."""
        return str(self._frames.stamp_ns(self._labelled[index]))

    def blank(self, index: int) -> dict[str, str]:
        """Streams that a sample lacks, with the reasons."""
        return self._sample(index)[2]

    def group(self, index: int) -> None:
        """A recording tells of no conditions."""

    @property
    def digest(self) -> str:
        """Of the recording alone, see :func:`recording_digest`; nothing is cached by it."""
        return recording_digest(self._path)

    def _sample(self, index: int) -> tuple[int, Sample, dict[str, str]]:
        if self._last is not None and self._last[0] == index:
            return self._last
        wanted = self._labelled[index]
        if self._last is None or self._last[0] > index:
            self._ahead = self._frames.read(self._labelled[index:])
            self._next = next(self._ahead, None)
        while self._next is not None and self._next.index < wanted:
            self._next = next(self._ahead, None)
        found = self._next if self._next is not None and self._next.index == wanted else None
        self._last = (index, *self._encoded(index, found))
        self._tell(self._frames.account.suspicions.values())
        return self._last

    def _tell(self, sentences: Iterable[str]) -> None:
        """Each of them once, on standard error."""
        for sentence in sentences:
            if sentence not in self._told:
                self._told.add(sentence)
                print(f"ssma: recording {self._path}: {sentence}", file=sys.stderr)

    def _encoded(self, index: int, found: RecordedFrame | None) -> tuple[Sample, dict[str, str]]:
        if found is None:
            return self._nothing(index, "its image cannot be read")
        if found.label is None:
            return self._nothing(index, "its label cannot be read")
        try:
            raw = label_image(found.label, self._label_topic)
        except RefusedInput as refusal:
            return self._nothing(index, str(refusal))
        sample = encode_sample(self._encoder, found.frame, apply_raw_ids(raw, self._contract.labels, self._path))
        self._encoder.reset()  # samples are taken in any order; nothing carries over
        absent = (s for s, there in zip(self._contract.streams, sample.present, strict=True) if not there)
        return sample, {s.name: why_blank(s, found.frame) or _UNSEEN for s in absent}

    def _nothing(self, index: int, reason: str) -> tuple[Sample, dict[str, str]]:
        """A sample that is not scored."""
        self._tell([f"image of stamp {self.name(index)} ns is not scored: {reason}"])
        size = (self._contract.height, self._contract.width)
        names = self._contract.modalities
        blank, label = np.zeros((*size, 3), np.uint8), np.full(size, self._contract.labels.ignore_id, np.uint8)
        return Sample((blank,) * len(names), (False,) * len(names), label), dict.fromkeys(names, reason)


def recording_digest(path: Path) -> str:
    """SHA-256 over names, sizes and times of change of a recording's files: enough to notice another one."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    facts = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.is_file()]
    return hashlib.sha256(repr(facts).encode()).hexdigest()
