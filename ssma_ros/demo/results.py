# SPDX-License-Identifier: Apache-2.0
"""What a demo run left in its two recordings, the one played and the one made, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.demo.scene import Scene
from ssma_ros.encodings.table import ENCODINGS
from ssma_ros.kernels.shared.resampling import nearest
from ssma_ros.labels import apply_raw_ids
from ssma_ros.messages import decode as conversion
from ssma_ros.messages.layouts import INTENSITY
from ssma_ros.metrics import ConfusionMatrix
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract
    from ssma_ros.labels import LabelSet
    from ssma_ros.recordings.topics import InputTopics

_ONE_CHANNEL = {name: layout for name, layout in INTENSITY.items() if layout.channels == 1 and layout.to_bgr is None}


@dataclass(frozen=True)
class OutputTopics:
    """Names of the node's topics that the results are made from.

    Attributes:
        mask, confidence, depth_completed: of single images.
        inputs: topic of each stream's input image, by stream name.
        gates: topic of each stream's gate image, by stream name.
    """

    mask: str
    confidence: str
    depth_completed: str
    inputs: dict[str, str]
    gates: dict[str, str]


class DriveResults:
    """The frames of a drive with what the node said about them.

    Args:
        played: the recording that was played, and its topics.
        made: the recording of the node's outputs, and its topics.
        contract: of the network.
    """

    def __init__(
        self, played: tuple[Path, InputTopics], made: tuple[Path, OutputTopics], contract: Contract
    ) -> None:
        self._played, self._inputs = played
        self._made, self._outputs = made
        self._contract = contract
        #: Class ids by stamp.
        self.masks: dict[int, NDArray[np.uint8]] = dict(self._images(self._made, self._outputs.mask))

    def frames(self) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.uint8] | None]]:
        """(stamp_ns, H×W×3 uint8 RGB driving image, h×w mask or None where it was dropped) in order of time."""
        topic = self._driving_topic()
        for stamp, message in self._messages(self._played, topic):
            yield stamp, _displayable(conversion.decoded(message, topic)), self.masks.get(stamp)

    def frame_rate(self) -> float:
        """Driving images a second by their stamps; 1 for a single one."""
        steps = np.diff([stamp for stamp, _ in self._messages(self._played, self._driving_topic())])
        return 1e9 / float(np.median(steps)) if steps.size else 1.0

    def mask_size(self) -> tuple[int, int]:
        """(width, height) of the masks."""
        height, width = next(iter(self.masks.values())).shape
        return width, height

    def _driving_topic(self) -> str:
        return next(topic.name for sensor in SENSORS if (topic := getattr(self._inputs, sensor)) is not None)

    def accuracy(self) -> dict[str, Any] | None:
        """Metrics against the recording's labels (see :class:`ConfusionMatrix`), or None without labels."""
        labels = self._contract.labels
        if self._inputs.label is None:
            return None
        matrix = ConfusionMatrix(labels.num_classes, labels.ignore_id, labels.void_class)
        count = 0
        for stamp, raw in self._images(self._played, self._inputs.label.name):
            mask = self.masks.get(stamp)
            if mask is not None:
                matrix.update(mask, _train_ids(raw, labels, mask.shape[1], mask.shape[0]))
                count += 1
        return {"frames": count, **matrix.summary(labels.names)} if count else None

    def best_stamp(self) -> int | None:
        """A frame worth showing in full: most classes in view, among those whose network inputs were kept."""
        kept = [set(self._stamps(topic)) for topic in self._outputs.inputs.values()]
        candidates = set(self.masks).intersection(*kept) or set(self.masks)
        return max(sorted(candidates), key=lambda stamp: _variety(self.masks[stamp]), default=None)

    def scene(self, stamp_ns: int) -> Scene:
        """Everything about one segmented frame."""
        color = next(image for stamp, image, _ in self.frames() if stamp == stamp_ns)
        label = self._input_at(stamp_ns, "label")
        mask = self.masks[stamp_ns]
        used = {sensor for stream in self._contract.streams for sensor in stream.sensors}
        return Scene(
            stamp_ns=stamp_ns,
            color=color,
            mask=mask,
            sensors={name: self._sensor_at(stamp_ns, name) for name in SENSORS if name in used},
            label=None if label is None else self._classes(_pixels(label, ""), mask.shape[1], mask.shape[0]),
            confidence=self._output_at(stamp_ns, self._outputs.confidence),
            depth_completed=self._output_at(stamp_ns, self._outputs.depth_completed),
            inputs=self._outputs_at(stamp_ns, self._outputs.inputs),
            notes={
                s.name: ENCODINGS[s.encoding].shows for s in self._contract.streams if s.name in self._outputs.inputs
            },
            gates=self._outputs_at(stamp_ns, self._outputs.gates),
        )

    def _classes(self, label: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
        return _train_ids(label, self._contract.labels, width, height)

    def strip(self, count: int) -> list[Scene]:
        """``count`` frames spread evenly over the drive, with colour and mask only."""
        stamps = sorted(self.masks)
        chosen = {stamps[i] for i in np.linspace(0, len(stamps) - 1, min(count, len(stamps))).round().astype(int)}
        return [Scene(t, image, mask) for t, image, mask in self.frames() if t in chosen and mask is not None]

    def _outputs_at(self, stamp_ns: int, topics: dict[str, str]) -> dict[str, NDArray[Any]]:
        found = {name: self._output_at(stamp_ns, topic) for name, topic in topics.items()}
        return {name: image for name, image in found.items() if image is not None}

    def _output_at(self, stamp_ns: int, topic: str) -> NDArray[Any] | None:
        return next((image for stamp, image in self._images(self._made, topic) if stamp == stamp_ns), None)

    def _sensor_at(self, stamp_ns: int, name: str) -> NDArray[Any] | None:
        message = self._input_at(stamp_ns, name)
        if message is None and SENSORS[name].disparity:
            message = self._input_at(stamp_ns, "disparity")
        return None if message is None else conversion.image_of(SENSORS[name], message, name)[0]

    def _input_at(self, stamp_ns: int, role: str) -> Any:
        """The played message nearest to a stamp: sensors have clocks of their own, and the node was given this one."""
        topic = getattr(self._inputs, role)
        if topic is None:
            return None
        stamps = [stamp for stamp, _ in self._messages(self._played, topic.name)]
        at = min(stamps, key=lambda stamp: abs(stamp - stamp_ns), default=None)
        found = (message for stamp, message in self._messages(self._played, topic.name) if stamp == at)
        message = next(found, None)
        return message if message is None or role == "disparity" else conversion.decoded(message, topic.name)

    def _stamps(self, topic: str) -> Iterator[int]:
        return (stamp for stamp, _ in self._messages(self._made, topic))

    def _images(self, recording: Path, topic: str) -> Iterator[tuple[int, NDArray[Any]]]:
        for stamp, message in self._messages(recording, topic):
            yield stamp, _pixels(conversion.decoded(message, topic), topic)

    @staticmethod
    def _messages(recording: Path, topic: str) -> Iterator[tuple[int, Any]]:
        with RecordingReader(recording) as reader:
            for recorded in reader.messages([topic]):
                message = reader.deserialize(recorded)
                yield conversion.stamp_ns(message), message


def _pixels(message: Any, topic: str) -> NDArray[Any]:
    """Single-channel images as they are, three-channel images in RGB order."""
    if message.encoding in _ONE_CHANNEL:
        return np.ascontiguousarray(conversion.pixels_of(message, topic, _ONE_CHANNEL))
    return np.ascontiguousarray(conversion.image_of(SENSORS["color"], message, topic)[0][..., ::-1])


def _displayable(message: Any) -> NDArray[np.uint8]:
    """Any image as RGB: colour as it is, depth and near infrared as grey."""
    image = _pixels(message, "")
    return image if image.ndim == 3 else np.repeat(_eight_bits(image)[..., None], 3, axis=2)


def _eight_bits(image: NDArray[Any]) -> NDArray[np.uint8]:
    if image.dtype == np.uint8:
        return image
    values = np.nan_to_num(image.astype(np.float32), posinf=0.0)
    return np.rint(values * (255.0 / max(float(values.max()), 1e-6))).astype(np.uint8)


def _train_ids(raw: NDArray[np.uint8], labels: LabelSet, width: int, height: int) -> NDArray[np.uint8]:
    """A label image's class ids at the mask's size."""
    return nearest(apply_raw_ids(raw, labels, "of the recording"), width, height)


def _variety(mask: NDArray[np.uint8]) -> float:
    """Entropy of the shares of the classes in a mask."""
    shares = np.bincount(mask[::4, ::4].reshape(-1), minlength=256)[:255] / mask[::4, ::4].size
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())
