# SPDX-License-Identifier: Apache-2.0
"""Network inputs made on the GPU, written where the network reads them.

Does what :class:`ssma_ros.inputs.processor.InputEncoder` does on the processor, by the same input contract and the
same options. Images are uploaded once, as the cameras sent them; everything after that is one captured graph.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.encodings.base import DeviceEncoder, DeviceFrame, EncoderOptions
from ssma_ros.errors import SsmaError
from ssma_ros.inputs.encoded import EncodedInputs, completion_of, encoding_of, in_contract
from ssma_ros.inputs.registered import doubt_of, tell, why_unusable
from ssma_ros.inputs.resident_cameras import OtherCameras
from ssma_ros.inputs.resident_images import SensorImages
from ssma_ros.kernels.cuda.functions import CudaPreprocessing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssma_ros.contract import Contract, Stream
    from ssma_ros.frame import Frame
    from ssma_ros.kernels.cuda.device import Device, Event, Graph

#: Graphs kept: sensors that come and go use one for each combination.
_GRAPHS = 8


@dataclass(frozen=True)
class _Layout:
    """Everything of a frame that becomes part of a captured graph: frames of one layout share it.

    With other cameras there are two: only after the first is it known how much of their images is seen.
    """

    work: str
    size: tuple[int, int]
    images: tuple[tuple[str, int, float], ...]
    device: tuple[object, bool]
    cameras: tuple[object, ...]
    present: tuple[bool, ...]


class CudaInputEncoder:
    """Encodes frames for one network into its input buffers. Not re-entrant; the device's context must be current.

    Args:
        contract: of the network to feed.
        device: memory and launches; its stream orders the work before the network.
        inputs: by stream name the device address of the network's H×W×3 uint8 input.
        options: of the robot that carries the sensors (``threads`` means nothing here).

    Raises:
        SsmaError: a stream's parameters are unknown or out of range, or its encoding is not made on GPUs.
    """

    def __init__(
        self, contract: Contract, device: Device, inputs: Mapping[str, int], options: EncoderOptions | None = None
    ) -> None:
        self._contract, self._device, self._inputs = contract, device, dict(inputs)
        self._completion = completion_of(contract)
        self._options = options or EncoderOptions()
        self._encoders = {s.name: _twin(s, self._options, device) for s in contract.streams}
        self._functions = CudaPreprocessing(device, contract.width, contract.height)
        # The colour image's home is the input of the stream that is nothing but it, where there is one.
        plain = next((self._inputs[s.name] for s in contract.streams if s.encoding == "bgr"), 0)
        # Depth is completed for whoever looks at it, be there a stream of it or not.
        sensors = {sensor for stream in contract.streams for sensor in stream.sensors} | {"depth"}
        self._images = SensorImages(device, self._functions, sensors, {"color": plain} if plain else {})
        self._addresses = dict(self._images.grid)
        if self._completion.completion != "none":
            self._addresses["depth"] = device.allocate(4 * contract.width * contract.height)
        self._others = OtherCameras(device, contract.width, contract.height, self._options)
        self._graphs: OrderedDict[_Layout, Graph] = OrderedDict()
        self._has_depth = False
        self._marks: tuple[Event, Event] | None = None

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
        frame.check()
        size = frame.size
        encoded = EncodedInputs.of(self._contract, frame)
        cameras = self._others.layout(frame, encoded.intrinsics)
        if size != self._images.size or self._others.moves(cameras):
            self.close()  # the graphs know addresses that go
        if size != self._images.size:
            self._images.fit(size)
        self._others.fit(cameras)
        for name, present in encoded.present.items():
            if present:
                self._encoders[name].prepare(frame)
        self._images.upload(frame)
        self._others.upload(frame, encoded.intrinsics)
        begun = self._device.mark()
        if cameras:
            self._graph("images", frame, size, cameras, encoded).launch()
            self._settle(frame, encoded)
        self._graph("streams" if cameras else "all", frame, size, cameras, encoded).launch()
        self._marks = (begun, self._device.mark())
        self._has_depth = "depth" in frame.images
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
            self._device.download(encoded.depth, self._addresses["depth"])
        if inputs:
            for name in (name for name, there in encoded.present.items() if there):
                encoded.inputs[name] = np.empty((*shape, 3), np.uint8)
                self._device.download(encoded.inputs[name], self._inputs[name])
        if self._marks is not None:
            self._device.wait()
            encoded.timings_ms["preprocessing_gpu"] = self._marks[1].time_since(self._marks[0])
            doubts = {name: self._encoders[name].doubt() for name, there in encoded.present.items() if there}
            encoded.doubts |= {name: doubt for name, doubt in doubts.items() if doubt}

    def reset(self) -> None:
        """Forget what was remembered from earlier frames: a stamp jump, another recording."""
        for encoder in self._encoders.values():
            encoder.reset()

    def close(self) -> None:
        """Wait for the device, then free the graphs; memory is the device's to free. Idempotent."""
        self._device.wait()
        while self._graphs:
            self._graphs.popitem()[1].close()

    def _settle(self, frame: Frame, encoded: EncodedInputs) -> None:
        """Blank the streams of cameras that see too little; waits for the device, which alone knows."""
        for sensor in frame.cameras:
            if sensor != "depth" and sensor in frame.images and sensor in self._addresses:
                reason = why_unusable(frame, sensor, self._others.seen(sensor), self._options)
                tell(self._contract, encoded, sensor, reason, doubt_of(frame, sensor, self._options))

    def _graph(
        self, work: str, frame: Frame, size: tuple[int, int], cameras: tuple[tuple[str, object], ...],
        encoded: EncodedInputs,
    ) -> Graph:
        there = {name: image for name, image in frame.images.items() if name in self._addresses}
        on_device = DeviceFrame(
            images={name: self._addresses[name] for name in there},
            bytes_each={name: image.itemsize for name, image in there.items()},
            full_scales={name: frame.full_scales.get(name, 255.0) for name in there},
            intrinsics=encoded.intrinsics,
            gravity=frame.gravity is not None,
        )
        layout = _Layout(
            work,
            size,
            tuple((name, on_device.bytes_each[name], on_device.full_scales[name]) for name in there),
            (on_device.intrinsics, on_device.gravity),
            cameras,
            () if work == "images" else tuple(encoded.present.values()),
        )
        graph = self._graphs.get(layout)
        if graph is None:
            if len(self._graphs) == _GRAPHS:
                self._device.wait()  # it may be at work
                self._graphs.popitem(last=False)[1].close()
            present = dict(encoded.present)
            graph = self._device.capture(lambda: self._enqueue(work, on_device, dict(cameras), present))
            self._graphs[layout] = graph
        self._graphs.move_to_end(layout)
        return graph

    def _enqueue(
        self, work: str, frame: DeviceFrame, cameras: Mapping[str, object], present: Mapping[str, bool]
    ) -> None:
        """Everything between the uploads and the network, or the part before or after other cameras' images are
        counted; allocates nothing and waits for nothing.
        """
        if work != "streams":
            self._enqueue_images(frame, cameras)
        if work == "images":
            return
        for stream in self._contract.streams:
            target = self._inputs[stream.name]
            if present[stream.name]:
                self._encoders[stream.name].enqueue(self._functions, frame, target)
                self._others.clear_holes(stream, cameras, target)
            else:
                self._functions.clear(target, 3 * self._contract.width * self._contract.height)

    def _enqueue_images(self, frame: DeviceFrame, cameras: Mapping[str, object]) -> None:
        """Every image on the grid, depth completed."""
        depth, measured = self._addresses["depth"], self._images.grid["depth"]
        self._images.resize({name: size for name, size in frame.bytes_each.items() if name not in cameras})
        if "depth" in cameras:
            self._others.register_depth(measured)
        if "depth" in frame.images:
            self._complete_depth()
        elif cameras:
            self._functions.clear(depth, 4 * self._contract.width * self._contract.height)
        for sensor in cameras:
            if sensor != "depth" and sensor in frame.images:
                self._others.register(sensor, depth, measured, frame.images[sensor])

    def _complete_depth(self) -> None:
        how, target = self._completion, self._addresses["depth"]
        if how.completion != "none":
            fill = self._functions.fill_fast if how.completion == "fast" else self._functions.fill_multiscale
            fill(
                self._images.grid["depth"], target,
                max_depth=how.max_depth, extrapolate=how.extrapolate, blur=how.blur,
            )
        self._functions.keep_readings(target)


def _twin(stream: Stream, options: EncoderOptions, device: Device) -> DeviceEncoder:
    twin = encoding_of(stream).twin
    if twin is None:
        raise SsmaError(f"encoding '{stream.encoding}' of stream '{stream.name}' is made on the processor only")
    return in_contract(stream, partial(twin, stream.parameters, options, device))
