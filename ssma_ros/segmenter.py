# SPDX-License-Identifier: Apache-2.0
"""Frame in, segmentation out, with the time each stage took: the piece every door uses. :func:`load` makes it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ssma_ros import inference
from ssma_ros.errors import expected_one_of
from ssma_ros.feeding import check_preprocessing, make_feed
from ssma_ros.frame import Frame, Intrinsics, Segmentation
from ssma_ros.kernels.shared.resampling import bilinear, nearest
from ssma_ros.labels import UNLABELLED
from ssma_ros.options import check_ranges, option
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract
    from ssma_ros.encodings.base import EncoderOptions
    from ssma_ros.inference.runtime.protocol import Backend, RawOutputs
    from ssma_ros.inputs.encoded import EncodedInputs
    from ssma_ros.labels import LabelSet
    from ssma_ros.sensors import Sensor

#: What a :class:`Segmenter` can be asked for; ``mask`` and ``confidence`` always come.
OUTPUTS = ("mask", "confidence", "probabilities", "gates", "inputs", "depth")


@dataclass(frozen=True)
class SegmenterOptions:
    """How results are delivered. To the camera's size mask and depth are resampled by nearest pixel, confidences
    bilinearly.

    Raises:
        ValueError: an option is out of range.
    """

    output_resolution: Literal["network", "camera"] = option(
        "network", "Size of all output images: the network's own, or the camera's (resampled).", live=True
    )
    min_confidence: float = option(
        0.0, "Pixels whose winning class is less probable become 255, unlabelled; 0..1.", live=True, low=0.0, high=1.0
    )

    def __post_init__(self) -> None:
        check_ranges(self)


class Segmenter:
    """Preprocessing and inference for one network, called with a frame or with its images. :func:`load` makes one.

    One frame at a time: a call from another thread meanwhile is refused. A context manager, which releases the network
    at the end.

    Args:
        backend: a loaded network; the segmenter closes it with itself.
        options: how results are delivered; may be replaced between frames.
        encoder_options: of the robot that carries the sensors.
        preprocessing: where frames become network inputs: ``auto``, ``cpu`` or ``gpu``, see
            :func:`ssma_ros.feeding.make_feed`.

    Raises:
        SsmaError: ``gpu`` is asked for and cannot be had, or the contract's parameters are out of range.

    Example:
        >>> import numpy as np, ssma_ros
        >>> segment = ssma_ros.load("forest_rgb_hha_evi")
        >>> segment.labels.names
        ('trail', 'grass', 'vegetation', 'sky', 'obstacle')
        >>> segment.warm_up()  # compiles now what the first frame would wait for
        >>> frames = [ssma_ros.Frame(color=np.full((384, 768, 3), level, np.uint8)) for level in (90, 180)]
        >>> len([segment(frame).mask for frame in frames])
        2
        >>> segment.close()
    """

    def __init__(
        self,
        backend: Backend,
        options: SegmenterOptions | None = None,
        encoder_options: EncoderOptions | None = None,
        preprocessing: str = "auto",
    ) -> None:
        self._backend = backend
        self._feed = make_feed(backend, encoder_options, preprocessing)
        self._closed = False
        self._at_work = threading.Lock()
        self.options = options or SegmenterOptions()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def contract(self) -> Contract:
        """What the network expects and answers."""
        return self._backend.contract

    @property
    def labels(self) -> LabelSet:
        """The classes whose ids are in a mask: names, colours."""
        return self.contract.labels

    @property
    def backend(self) -> Backend:
        """The network itself, for its identity."""
        return self._backend

    @property
    def preprocessing(self) -> str:
        """Where frames become network inputs, ``cpu`` or ``gpu``."""
        return self._feed.preprocessing

    @property
    def memory_bytes(self) -> int | None:
        """GPU memory that network and preprocessing hold now; None where there is none, or nobody tells."""
        return self._feed.memory_bytes

    def __call__(
        self, frame: Frame | None = None, outputs: Collection[str] = ("mask", "confidence"), **fields: Any
    ) -> Segmentation:
        """Segment one frame, or the images given by name, which are made into one.

        The first call of an installation compiles the preprocessing and says so; :meth:`warm_up` pays for that earlier.

        Args:
            frame: at any size; images are resampled to the network's.
            outputs: which of :data:`OUTPUTS` to fill in.
            fields: without a frame, those of :class:`~ssma_ros.frame.Frame`: images by sensor, ``intrinsics``, ….
                A sensor left out blanks the streams that are made from it, and ``missing`` of the result says so.

        Raises:
            TypeError: a field is unknown, there are fields beside a frame, or the frame is none.
            ValueError: the frame is not as :class:`~ssma_ros.frame.Frame` states, holds none of the sensors that the
                network's streams are made from, an output is unknown, or the segmenter is closed.
            RuntimeError: it is at work on another frame.
        """
        if self._closed:
            raise ValueError("segmenter: it is closed, expected a call before close() or the end of its with block")
        if frame is None:
            frame = Frame(**fields)
        elif fields:
            raise TypeError(f"segmenter: got a frame and {', '.join(fields)}, expected one or the other")
        elif not isinstance(frame, Frame):
            kind = type(frame).__name__
            raise TypeError(f"segmenter: got a {kind} as the frame, expected a Frame, or images by name (color=…)")
        for name in outputs:
            if name not in OUTPUTS:
                raise ValueError(f"outputs: got '{name}', {expected_one_of(name, OUTPUTS)}")
        if not self._at_work.acquire(blocking=False):
            raise RuntimeError("segmenter: it is at work in another thread, expected one frame at a time")
        try:
            return self._segment(frame, outputs)
        finally:
            self._at_work.release()

    def _segment(self, frame: Frame, outputs: Collection[str]) -> Segmentation:
        start = time.perf_counter()
        encoded, raw = self._feed.segment(frame, outputs)
        after = time.perf_counter()
        segmentation = self._deliver(frame, encoded, raw, outputs)
        timings = dict(encoded.timings_ms)
        timings["delivery"] = (time.perf_counter() - after) * 1e3
        timings["total"] = (time.perf_counter() - start) * 1e3
        segmentation.timings_ms = timings
        return segmentation

    def warm_up(self, registered: Collection[str] = ()) -> None:
        """Pay every first-use cost now: run a synthetic frame with all sensors through everything.

        Args:
            registered: sensors whose images will be of other cameras (:attr:`~ssma_ros.frame.Frame.cameras`).
        """
        self._feed.warm_up(registered)
        self(blank_frame(self.contract.width, self.contract.height), OUTPUTS)
        self.reset()

    def reset(self) -> None:
        """Forget everything remembered from earlier frames (a stamp jump, another recording)."""
        self._feed.reset()

    def close(self) -> None:
        """Release the network; no frame is taken afterwards. Idempotent."""
        self._closed = True
        self._feed.close()

    def _deliver(
        self, frame: Frame, encoded: EncodedInputs, raw: RawOutputs, outputs: Collection[str]
    ) -> Segmentation:
        mask = raw.mask
        if self.options.min_confidence > 0.0:
            mask = np.where(raw.confidence < self.options.min_confidence * 255.0, UNLABELLED, mask).astype(np.uint8)
        gates: dict[str, NDArray[np.float32]] = {}
        if raw.gates is not None and "gates" in outputs:
            gates = dict(zip(self.contract.modalities, raw.gates, strict=True))
        segmentation = Segmentation(
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
            mask=mask,
            confidence=raw.confidence,
            probabilities=raw.probabilities if "probabilities" in outputs else None,
            gates=gates,
            intrinsics=encoded.intrinsics,
            depth=encoded.depth if "depth" in outputs else None,
            inputs=encoded.inputs if "inputs" in outputs else {},
            present=encoded.present,
            missing=encoded.missing,
            doubts=encoded.doubts,
        )
        if self.options.output_resolution == "camera":
            _to_camera_size(segmentation, *frame.size, frame.intrinsics)
        return segmentation


def load(
    model: str | Path,
    *,
    backend: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    cache_dir: str | Path | None = None,
    rebuild_engine: bool = False,
    preprocessing: str = "auto",
    output_resolution: Literal["network", "camera"] = "network",
    min_confidence: float = 0.0,
    encoder_options: EncoderOptions | None = None,
) -> Segmenter:
    """Load a network, ready to segment.

    Args:
        model: name of a shipped model, a model folder, or a ``.onnx``, ``.engine`` or ``.safetensors`` file with its
            contract beside it.
        backend, precision, threads, cache_dir, rebuild_engine: what runs the network and how, see
            :func:`ssma_ros.inference.load_backend`.
        preprocessing, encoder_options: see :class:`Segmenter`.
        output_resolution, min_confidence: see :class:`SegmenterOptions`.

    Raises:
        SsmaError: the network cannot be loaded or not be run so.
        ValueError: an option has a value it cannot have.

    Example:
        >>> import numpy as np, ssma_ros
        >>> color = np.full((720, 1280, 3), (60, 120, 90), np.uint8)  # BGR, as OpenCV reads it
        >>> depth = np.full((720, 1280), 4.0, np.float32)  # metres, 0 = no reading
        >>> nir = np.full((720, 1280), 150, np.uint8)
        >>> camera = ssma_ros.Intrinsics(fx=800.0, fy=800.0, cx=639.5, cy=359.5, width=1280, height=720)
        >>> with ssma_ros.load("forest_rgb_hha_evi", output_resolution="camera") as segment:
        ...     result = segment(color=color, depth=depth, nir=nir, intrinsics=camera)
        >>> result.mask.shape, str(result.mask.dtype)
        ((720, 1280), 'uint8')
    """
    options = SegmenterOptions(output_resolution, min_confidence)
    check_preprocessing(preprocessing)
    network = inference.load_backend(
        model,
        backend=backend,
        precision=precision,
        threads=threads,
        cache_dir=cache_dir,
        rebuild_engine=rebuild_engine,
    )
    try:
        return Segmenter(network, options, encoder_options, preprocessing)
    except BaseException:
        network.close()
        raise


def _to_camera_size(result: Segmentation, width: int, height: int, intrinsics: Intrinsics | None) -> None:
    if result.mask.shape == (height, width):
        return
    result.mask = nearest(result.mask, width, height)
    result.confidence = bilinear(result.confidence, width, height)
    if result.probabilities is not None:
        result.probabilities = np.stack([bilinear(plane, width, height) for plane in result.probabilities])
    if result.depth is not None:
        result.depth = nearest(result.depth, width, height)
    result.intrinsics = intrinsics


def blank_frame(width: int, height: int) -> Frame:
    """A mid-grey frame with every sensor and plausible ramps of what is measured, for warming up and benchmarks."""
    images = {sensor.name: _plausible_image(sensor, width, height) for sensor in SENSORS.values()}
    camera = Intrinsics(
        fx=0.6 * width, fy=0.6 * width, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height
    )
    return Frame(images=images, intrinsics=camera)


def _plausible_image(sensor: Sensor, width: int, height: int) -> NDArray[Any]:
    if sensor.pixels != "measurement":
        return np.full((height, width, 3)[: 3 if sensor.channels == 3 else 2], 127, np.uint8)
    low, high = (2.0, 20.0) if sensor.unit == "m" else sensor.plausible
    ramp = np.linspace(high, low, height, dtype=np.float32)
    return np.repeat(ramp[:, None], width, axis=1)
