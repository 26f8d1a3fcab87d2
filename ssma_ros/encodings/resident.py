"""A frame's camera images to network inputs on the GPU, written where the network reads them.

Does what :class:`ssma_ros.encodings.encoder.InputEncoder` does on the processor, by the same input contract and the
same options. Images are uploaded once, as the cameras sent them; everything after that is one captured graph.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.encodings.encoder import (
    EncodedInputs,
    EncoderOptions,
    depth_bounds,
    depth_parameters,
    hha_options,
    why_blank,
)
from ssma_ros.encodings.hha import HHAOptions, unit_vector
from ssma_ros.encodings.resident_images import SensorImages, check_images
from ssma_ros.kernels.cuda.functions import INDICES, CudaPreprocessing, GravityHistory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract, Stream
    from ssma_ros.frame import Frame, Intrinsics
    from ssma_ros.kernels.cuda.device import Device, Event, Graph

#: Graphs kept: sensors that come and go use one for each combination.
_GRAPHS = 8


@dataclass(frozen=True)
class _Layout:
    """Everything of a frame that becomes part of a captured graph: frames of one layout share it."""

    size: tuple[int, int]
    color: bool
    depth: bool
    nir_bytes: int
    nir_full_scale: float
    intrinsics: Intrinsics | None
    gravity: bool
    present: tuple[bool, ...]


class CudaInputEncoder:
    """Encodes frames for one network into its input buffers. Not re-entrant; the device's context must be current.

    Args:
        contract: of the network to feed.
        device: memory and launches; its stream orders the work before the network.
        inputs: by stream name the device address of the network's H×W×3 uint8 input.
        options: of the robot that carries the sensors (``threads`` means nothing here).

    Raises:
        SsmaError: a stream's parameters are unknown or out of range.
    """

    def __init__(
        self, contract: Contract, device: Device, inputs: Mapping[str, int], options: EncoderOptions | None = None
    ) -> None:
        self._contract, self._device, self._inputs = contract, device, dict(inputs)
        self._completion = depth_parameters(contract)
        chosen = options or EncoderOptions()
        self._hha = {s.name: hha_options(s, chosen) for s in contract.streams if s.encoding == "hha"}
        self._functions = CudaPreprocessing(device, contract.width, contract.height)
        # The colour image's home is the input of the stream that is nothing but it, where there is one.
        plain = next((self._inputs[s.name] for s in contract.streams if s.encoding == "bgr"), 0)
        self._images = SensorImages(device, self._functions, plain)
        filled = self._completion["completion"] != "none"
        self._depth = device.allocate(4 * contract.width * contract.height) if filled else self._images.depth
        self._now = device.allocate(5 * 4)
        self._past = {name: device.allocate(4 * 4) for name in self._hha}
        self._clock = _GravityClock(next(iter(self._hha.values()), HHAOptions()))
        self._graphs: OrderedDict[_Layout, Graph] = OrderedDict()
        self._has_depth = False
        self._marks: tuple[Event, Event] | None = None
        self._encoders: dict[str, Callable[[Stream, int, _Layout], None]] = {
            "bgr": self._encode_color,
            "rgb": self._encode_color,
            "hha": self._encode_hha,
            "depth_jet": self._encode_depth,
            "depth_gray": self._encode_depth,
            **dict.fromkeys(INDICES, self._encode_index),
        }

    @property
    def contract(self) -> Contract:
        """The contract inputs are made for."""
        return self._contract

    def encode(self, frame: Frame) -> EncodedInputs:
        """Upload a frame and start making every stream that its sensors allow; the others are cleared. Does not wait.

        ``inputs`` and ``depth`` of the result stay empty: they are on the device until :meth:`collect` fetches them.

        Raises:
            ValueError: the frame holds no image, or one that is not what :class:`~ssma_ros.frame.Frame` states.
            SsmaError: the driver refuses to capture the work.
        """
        start = time.perf_counter()
        size = check_images(frame)
        encoded = EncodedInputs()
        for stream in self._contract.streams:
            reason = why_blank(stream, frame)
            encoded.present[stream.name] = reason is None
            if reason is not None:
                encoded.missing[stream.name] = reason
        if frame.intrinsics is not None:
            encoded.intrinsics = frame.intrinsics.resized(self._contract.width, self._contract.height)
        if size != self._images.size:
            self.close()  # the graphs know addresses that go
            self._images.fit(size)
        if any(encoded.present[name] for name in self._hha):
            self._device.upload(self._now, self._clock.now(frame.stamp_ns, frame.gravity))
        self._images.upload(frame)
        graph = self._graph(_layout(frame, size, encoded))
        begun = self._device.mark()
        graph.launch()
        self._marks, self._has_depth = (begun, self._device.mark()), frame.depth is not None
        encoded.timings_ms["enqueue"] = (time.perf_counter() - start) * 1e3
        return encoded

    def collect(self, encoded: EncodedInputs, *, inputs: bool = False, depth: bool = False) -> None:
        """Fetch what the last :meth:`encode` left on the device, and its time there, into ``encoded``; waits for it.

        The time, ``preprocessing_gpu``, is that of the kernels, without the uploads.

        Args:
            encoded: what that call returned.
            inputs: whether the network's inputs are wanted.
            depth: whether the completed depth is wanted.
        """
        shape = (self._contract.height, self._contract.width)
        if depth and self._has_depth:
            encoded.depth = np.empty(shape, np.float32)
            self._device.download(encoded.depth, self._depth)
        if inputs:
            for name in (name for name, there in encoded.present.items() if there):
                encoded.inputs[name] = np.empty((*shape, 3), np.uint8)
                self._device.download(encoded.inputs[name], self._inputs[name])
        if self._marks is not None:
            self._device.wait()
            encoded.timings_ms["preprocessing_gpu"] = self._marks[1].time_since(self._marks[0])

    def reset(self) -> None:
        """Forget what was remembered from earlier frames: a stamp jump, another recording."""
        self._clock.reset()

    def close(self) -> None:
        """Wait for the device, then free the graphs; memory is the device's to free. Idempotent."""
        self._device.wait()
        while self._graphs:
            self._graphs.popitem()[1].close()

    def _graph(self, layout: _Layout) -> Graph:
        graph = self._graphs.get(layout)
        if graph is None:
            if len(self._graphs) == _GRAPHS:
                self._device.wait()  # it may be at work
                self._graphs.popitem(last=False)[1].close()
            graph = self._graphs[layout] = self._device.capture(lambda: self._enqueue(layout))
        self._graphs.move_to_end(layout)
        return graph

    def _enqueue(self, layout: _Layout) -> None:
        """Everything between the uploads and the network; allocates nothing and waits for nothing."""
        self._images.resize(color=layout.color, depth=layout.depth, nir_bytes=layout.nir_bytes)
        if layout.depth:
            self._complete_depth()
        for stream, present in zip(self._contract.streams, layout.present, strict=True):
            target = self._inputs[stream.name]
            if present:
                self._encoders[stream.encoding](stream, target, layout)
            else:
                self._functions.clear(target, 3 * self._contract.width * self._contract.height)

    def _complete_depth(self) -> None:
        options = {key: value for key, value in self._completion.items() if key != "completion"}
        if self._completion["completion"] == "fast":
            self._functions.fill_fast(self._images.depth, self._depth, **options)
        elif self._completion["completion"] == "multiscale":
            self._functions.fill_multiscale(self._images.depth, self._depth, **options)
        self._functions.keep_readings(self._depth)

    def _encode_color(self, stream: Stream, target: int, _layout: _Layout) -> None:
        if target != self._images.color:
            self._functions.pack(self._images.color, target, swap=stream.encoding == "rgb")

    def _encode_hha(self, stream: Stream, target: int, layout: _Layout) -> None:
        assert layout.intrinsics is not None, "streams are encoded only when their sensors are present"
        options = self._hha[stream.name]
        history = GravityHistory(
            self._past[stream.name], self._now, layout.gravity, options.max_tilt, options.min_support
        )
        self._functions.encode_hha(
            self._depth,
            layout.intrinsics,
            target,
            history=history,
            camera_height=options.camera_height,
            floor_percentile=options.floor_percentile,
            height_range=options.height_range,
            mask_missing=options.mask_missing,
        )

    def _encode_depth(self, stream: Stream, target: int, _layout: _Layout) -> None:
        colors = self._functions.jet_depth if stream.encoding == "depth_jet" else self._functions.gray_depth
        colors(self._depth, target, **depth_bounds(stream))

    def _encode_index(self, stream: Stream, target: int, layout: _Layout) -> None:
        self._functions.vegetation(
            self._images.color, self._images.nir, target, stream.encoding,
            nir_bytes=layout.nir_bytes, nir_full_scale=layout.nir_full_scale,
        )


def _layout(frame: Frame, size: tuple[int, int], encoded: EncodedInputs) -> _Layout:
    return _Layout(
        size,
        color=frame.color is not None,
        depth=frame.depth is not None,
        nir_bytes=0 if frame.nir is None else frame.nir.itemsize,
        nir_full_scale=float(frame.nir_full_scale),
        intrinsics=encoded.intrinsics,
        gravity=frame.gravity is not None,
        present=tuple(encoded.present.values()),
    )


class _GravityClock:
    """What the device must be told about gravity before each image: the host's half of HHAEncoder's memory."""

    def __init__(self, options: HHAOptions) -> None:
        self._options = options
        self._stamp_ns: int | None = None
        self._forget = True

    def reset(self) -> None:
        """The next image starts anew."""
        self._stamp_ns, self._forget = None, True

    def now(self, stamp_ns: int, gravity: NDArray[np.float64] | None) -> NDArray[np.float32]:
        """``now`` of :class:`~ssma_ros.kernels.cuda.functions.GravityHistory` for the image at ``stamp_ns``.

        Raises:
            ValueError: ``gravity`` is not three finite numbers, or all are zero.
        """
        down = (0.0, 0.0, 0.0) if gravity is None else unit_vector(gravity)
        before, self._stamp_ns = self._stamp_ns, stamp_ns
        share = 1.0
        if before is not None:
            elapsed = (stamp_ns - before) * 1e-9
            if elapsed < 0 or elapsed > self._options.reset_after:
                self._forget = True
            elif self._options.smoothing > 0:
                share = 1.0 - math.exp(-elapsed / self._options.smoothing)
        forget, self._forget = float(self._forget), False
        return np.array([*down, share, forget], np.float32)
