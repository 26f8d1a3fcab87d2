# SPDX-License-Identifier: Apache-2.0
"""Network inputs made on the processor."""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.encodings import depth_completion
from ssma_ros.encodings.base import EncoderOptions
from ssma_ros.encodings.warm_up import warm_up
from ssma_ros.frame import Frame
from ssma_ros.inputs.encoded import EncodedInputs, completion_of, encoding_of, in_contract
from ssma_ros.inputs.registered import Registration, clear_holes
from ssma_ros.kernels.shared.recycling import RecycledArrays
from ssma_ros.kernels.shared.resampling import bilinear, nearest
from ssma_ros.kernels.shared.threads import running_aside
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract, Stream


class InputEncoder:
    """Encodes frames for one network. Not re-entrant; remembers earlier frames only where ``options`` say so.

    Once a few frames have passed, no memory is allocated for a frame whose results nobody keeps.

    Args:
        contract: of the network to feed.
        options: of the robot that carries the sensors.

    Raises:
        SsmaError: a stream's parameters are unknown or out of range.
    """

    def __init__(self, contract: Contract, options: EncoderOptions | None = None) -> None:
        self._contract = contract
        self._options = options or EncoderOptions()
        self._completion = completion_of(contract)
        self._encoders = {
            s.name: in_contract(s, partial(encoding_of(s).encoder, s.parameters, self._options))
            for s in contract.streams
        }
        self._arrays = RecycledArrays()
        self._registration = Registration(contract, self._options, self._arrays)

    @property
    def contract(self) -> Contract:
        """The contract inputs are made for."""
        return self._contract

    def encode(self, frame: Frame) -> EncodedInputs:
        """Make every stream that the frame's sensors allow; the others are blank, with their reason.

        Raises:
            ValueError: the frame holds no image, or its images differ in size or dtype from what
                :class:`~ssma_ros.frame.Frame` states.
        """
        frame.check()
        encoded = EncodedInputs.of(self._contract, frame)
        with _timed(encoded, "resize"):
            grid = self._fitted(frame, encoded)
        made = [stream for stream in self._contract.streams if encoded.present[stream.name]]
        for stream in made:  # in the contract's order, whichever is ready first
            encoded.inputs[stream.name] = self._arrays.take((self._contract.height, self._contract.width, 3), np.uint8)
        after_depth = {"depth", *frame.cameras}  # another camera's image is registered through completed depth
        of_depth = [stream for stream in made if not after_depth.isdisjoint(stream.sensors)]
        others = [stream for stream in made if after_depth.isdisjoint(stream.sensors)]
        measured = grid.depth
        beside = self._options.preprocessing_threads > 1 and grid.depth is not None
        with running_aside(lambda: self._make(others, grid, encoded)) if beside else nullcontext():
            if grid.depth is not None:
                with _timed(encoded, "depth_completion"):
                    grid.depth = encoded.depth = self._complete(grid.depth)
            holes = {}
            if frame.cameras:
                with _timed(encoded, "registration"):
                    holes = self._registration.register(frame, grid, measured, encoded)
            self._make(of_depth, grid, encoded, holes)
        if not beside:
            self._make(others, grid, encoded)
        return encoded

    def reset(self) -> None:
        """Forget what was remembered from earlier frames: a stamp jump, another recording."""
        for encoder in self._encoders.values():
            encoder.reset()

    def warm_up(self, registered: Collection[str] = ()) -> None:
        """Compile the kernels now (or load them from the cache on disk), so that no frame waits for it.

        Args:
            registered: sensors whose images will be of other cameras.
        """
        completion = self._completion
        warm_up(
            self._contract.width,
            self._contract.height,
            completion=completion.completion,
            blur=completion.blur,
            extrapolate=completion.extrapolate,
            hha=any(encoding_of(stream).needs_camera for stream in self._contract.streams),
            threads=self._options.preprocessing_threads,
        )
        for sensor in registered:
            self._registration.warm_up(sensor)

    def _complete(self, depth: NDArray[np.float32]) -> NDArray[np.float32]:
        out = self._arrays.take(depth.shape, np.float32)
        completed = self._completion.complete(depth, self._options.preprocessing_threads, out)
        # What the blur leaks into a hole is no reading; from here on a hole is exactly 0.
        return depth_completion.keep_readings(completed, out)

    def _make(
        self, streams: Sequence[Stream], grid: Frame, encoded: EncodedInputs,
        holes: Mapping[str, NDArray[np.uint8]] = MappingProxyType({}),
    ) -> None:
        """Fill the streams' pictures in; blank where a sensor's camera does not see."""
        for stream in streams:
            if not encoded.present[stream.name]:
                continue  # of a registered image too little is left
            with _timed(encoded, f"encode_{stream.name}"):
                out = encoded.inputs[stream.name]
                encoder = self._encoders[stream.name]
                encoded.inputs[stream.name] = encoder.encode(grid, out)
                clear_holes(encoded.inputs[stream.name], stream, holes)
                if encoder.doubt:
                    encoded.doubts[stream.name] = encoder.doubt

    def _fitted(self, frame: Frame, encoded: EncodedInputs) -> Frame:
        """The frame on the network's grid."""
        width, height = self._contract.width, self._contract.height
        grid = Frame(frame.stamp_ns, frame.frame_id, intrinsics=encoded.intrinsics, gravity=frame.gravity)
        grid.full_scales = frame.full_scales
        for name, image in frame.images.items():
            if name in frame.cameras:
                continue
            resample = nearest if SENSORS[name].pixels == "measurement" else bilinear
            fits = image.shape[:2] == (height, width)
            out = None if fits else self._arrays.take((height, width, *image.shape[2:]), image.dtype)
            grid.images[name] = resample(image, width, height, out)
        if "depth" in frame.cameras and frame.depth is not None:
            grid.depth = self._registration.depth(frame, encoded)
        return grid


@contextmanager
def _timed(encoded: EncodedInputs, stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    encoded.timings_ms[stage] = (time.perf_counter() - start) * 1e3
