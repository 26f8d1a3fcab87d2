"""Labelled frames of a recording as encoded samples, for evaluation."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.labels import apply_raw_ids
from ssma_ros.messages import decode as conversion
from ssma_ros.messages.assemble import assemble_frame
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.records import stamp_of
from ssma_ros.recordings.topics import find_input_topics
from ssma_ros.training.datasets.cache import Sample, encode_sample

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract

_SLOP_NS = 50_000_000
_SENSORS = {"color": "color", "depth": "depth", "disparity": "depth", "nir": "nir"}


class RecordingSamples:
    """Every driving image that has a label, with the nearest image of each other sensor; held in memory.

    Args:
        path: rosbag2 recording with a label topic.
        contract: of the network to feed.

    Raises:
        SsmaError: no recording, no labels in it, or labels that the contract's label set does not know.
    """

    def __init__(self, path: Path, contract: Contract) -> None:
        self._path = path
        self._streams = contract.modalities
        self._samples: list[Sample] = []
        self._names: list[str] = []
        with RecordingReader(path) as reader:
            topics = find_input_topics(reader.topics, str(path))
            if topics.label is None:
                raise SsmaError(f"recording {path}: has no label topic, expected one to evaluate against")
            messages = _messages_by_role(reader, topics.by_name())
        info = next(iter(messages.pop("camera_info", {}).values()), None)
        labels = messages.pop("label", {})
        driver = next(role for role in _SENSORS if role in messages)
        encoder = InputEncoder(contract)
        for stamp in sorted(set(messages[driver]) & set(labels)):
            near = {_SENSORS[role]: _nearest(found, stamp) for role, found in messages.items()}
            frame = assemble_frame({s: m for s, m in near.items() if m is not None}, info, driver=_SENSORS[driver])
            raw = _label_image(labels[stamp], topics.label.name)
            self._samples.append(encode_sample(encoder, frame, apply_raw_ids(raw, contract.labels, path)))
            encoder.reset()
            self._names.append(str(stamp))
        if not self._samples:
            raise SsmaError(f"recording {path}: no {driver} image has a label of the same stamp")

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]

    def name(self, index: int) -> str:
        """Stamp of the driving image, nanoseconds."""
        return self._names[index]

    def blank(self, index: int) -> dict[str, str]:
        """Streams that a sample lacks."""
        pairs = zip(self._streams, self._samples[index].present, strict=True)
        return {s: "the recording has no image for it near the label's stamp" for s, there in pairs if not there}

    def group(self, index: int) -> None:
        """A recording tells of no conditions."""

    @property
    def digest(self) -> str:
        """Of the recording alone, see :func:`recording_digest`; nothing is cached by it."""
        return recording_digest(self._path)


def recording_digest(path: Path) -> str:
    """SHA-256 over names, sizes and times of change of a recording's files: enough to notice another one."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    facts = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.is_file()]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _label_image(message: Any, topic: str) -> NDArray[np.uint8]:
    image = conversion.decoded(message, topic)
    if image.encoding not in ("mono8", "8UC1"):
        raise SsmaError(f"label topic {topic}: encoding is {image.encoding}, expected mono8 or 8UC1")
    rows = np.frombuffer(image.data, np.uint8).reshape(image.height, image.step)
    return rows[:, : image.width]


def _messages_by_role(reader: RecordingReader, roles: dict[str, str]) -> dict[str, dict[int, Any]]:
    found: dict[str, dict[int, Any]] = {}
    for recorded in reader.messages(roles.keys()):
        message = reader.deserialize(recorded)
        found.setdefault(roles[recorded.topic], {})[stamp_of(message)] = message
    return found


def _nearest(messages: dict[int, Any], stamp: int) -> Any | None:
    best = min(messages, key=lambda other: abs(other - stamp))
    return messages[best] if abs(best - stamp) <= _SLOP_NS else None
