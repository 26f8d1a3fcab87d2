"""Turns a frame into network inputs as the model's input contract says.

Training, evaluation, replay and the node all come through here, so that a network sees on the robot what it
saw in training.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.encodings import depth_completion
from ssma_ros.encodings.hha import ROBOT_OPTIONS, HHAEncoder, HHAOptions
from ssma_ros.encodings.streams import BOUNDS, ENCODERS, SensorImages, depth_bounds, present
from ssma_ros.encodings.warm_up import warm_up
from ssma_ros.errors import SsmaError
from ssma_ros.kernels.shared.checks import check_bounds, check_choice, check_positive
from ssma_ros.kernels.shared.recycling import RecycledArrays
from ssma_ros.kernels.shared.threads import running_aside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract, Stream
    from ssma_ros.frame import Frame, Intrinsics

__all__ = [
    "EncodedInputs",
    "EncoderOptions",
    "InputEncoder",
    "complete_depth",
    "depth_bounds",
    "depth_parameters",
    "hha_options",
    "resize_depth",
    "why_blank",
]


@dataclass
class EncodedInputs:
    """One frame at network size.

    Attributes:
        inputs: for each present stream an H×W×3 uint8 image, C-contiguous.
        present: for every stream of the contract whether it could be made.
        missing: for each stream that could not, the reason in words.
        depth: H×W float32 completed depth in metres, 0 where it stayed empty, or None without depth.
        intrinsics: of the network's grid, or None where the frame had none.
        timings_ms: milliseconds by stage.
    """

    inputs: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    present: dict[str, bool] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    depth: NDArray[np.float32] | None = None
    intrinsics: Intrinsics | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class EncoderOptions:
    """What belongs to the robot and not to the network, so is not in the contract. The defaults change nothing.

    Attributes:
        camera_height: metres of the camera over the ground it drives on, known better than any estimate from one
            image; the floor of HHA's height channel. None = as the contract says.
        gravity_smoothing: seconds, time constant of a low-pass on the gravity estimated for HHA; 0 = each image by
            itself. Needs stamps that follow each other; a jump resets it.
        gravity_guard: refuse an estimate that tilts the camera by over 45° or rests on few floor or wall normals; the
            last good one holds, or the camera counts as level. The contract's own limits come first.
        threads: threads that share the work on depth; with more than one, the streams without depth are made beside it.
            They change nothing but the time it takes.
    """

    camera_height: float | None = None
    gravity_smoothing: float = 0.0
    gravity_guard: bool = False
    threads: int = 1


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
        self._depth_parameters = depth_parameters(contract)
        self._hha = {s.name: HHAEncoder(hha_options(s, self._options)) for s in contract.streams if s.encoding == "hha"}
        self._arrays = RecycledArrays()

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
        _ = frame.size  # all images share one grid, or this raises
        encoded = EncodedInputs()
        with _timed(encoded.timings_ms, "resize"):
            images = self._resize(frame)
        encoded.intrinsics = images.intrinsics
        for stream in self._contract.streams:
            reason = why_blank(stream, frame)
            encoded.present[stream.name] = reason is None
            if reason is not None:
                encoded.missing[stream.name] = reason
        made = [stream for stream in self._contract.streams if encoded.present[stream.name]]
        for stream in made:  # in the contract's order, whichever is ready first
            encoded.inputs[stream.name] = self._arrays.take((self._contract.height, self._contract.width, 3), np.uint8)
        of_depth = [stream for stream in made if "depth" in stream.sensors]
        others = [stream for stream in made if "depth" not in stream.sensors]

        def make_others() -> None:
            self._make(others, images, encoded)

        beside = self._options.threads > 1 and images.depth is not None
        with running_aside(make_others) if beside else nullcontext():
            if images.depth is not None:
                with _timed(encoded.timings_ms, "depth_completion"):
                    images.depth = encoded.depth = self._complete(images.depth)
            self._make(of_depth, images, encoded)
        if not beside:
            make_others()
        return encoded

    def reset(self) -> None:
        """Forget what was remembered from earlier frames: a stamp jump, another recording."""
        for encoder in self._hha.values():
            encoder.reset()

    def warm_up(self) -> None:
        """Compile the kernels now (or load them from the cache on disk), so that no frame waits for it."""
        parameters = self._depth_parameters
        warm_up(
            self._contract.width,
            self._contract.height,
            completion=parameters["completion"],
            blur=parameters["blur"],
            extrapolate=parameters["extrapolate"],
            hha=bool(self._hha),
            threads=self._options.threads,
        )

    def _complete(self, depth: NDArray[np.float32]) -> NDArray[np.float32]:
        out = self._arrays.take(depth.shape, np.float32)
        completed = complete_depth(depth, self._depth_parameters, self._options.threads, out)
        # What the blur leaks into a hole is no reading; from here on a hole is exactly 0.
        return depth_completion.keep_readings(completed, out)

    def _make(self, streams: Sequence[Stream], images: SensorImages, encoded: EncodedInputs) -> None:
        """Fill the streams' pictures in."""
        for stream in streams:
            with _timed(encoded.timings_ms, f"encode_{stream.name}"):
                out = encoded.inputs[stream.name]
                if stream.encoding == "hha":
                    self._encode_hha(stream, images, out)
                else:
                    encoded.inputs[stream.name] = ENCODERS[stream.encoding](stream, images, out)

    def _encode_hha(self, stream: Stream, images: SensorImages, out: NDArray[np.uint8]) -> None:
        self._hha[stream.name].encode(
            present(images.depth),
            present(images.intrinsics),
            gravity=images.gravity,
            stamp_ns=images.stamp_ns,
            threads=self._options.threads,
            out=out,
        )

    def _resize(self, frame: Frame) -> SensorImages:
        width, height = self._contract.width, self._contract.height
        return SensorImages(
            color=self._fitted(frame.color, cv2.INTER_LINEAR),
            depth=self._fitted(frame.depth, cv2.INTER_NEAREST_EXACT),
            nir=self._fitted(frame.nir, cv2.INTER_LINEAR),
            nir_full_scale=frame.nir_full_scale,
            intrinsics=None if frame.intrinsics is None else frame.intrinsics.resized(width, height),
            gravity=frame.gravity,
            stamp_ns=frame.stamp_ns,
        )

    def _fitted(self, image: NDArray[Any] | None, interpolation: int) -> NDArray[Any] | None:
        """``image`` itself where its size fits, else resampled."""
        size = (self._contract.height, self._contract.width)
        if image is None or image.shape[:2] == size:
            return image
        out = self._arrays.take((*size, *image.shape[2:]), image.dtype)
        return cv2.resize(image, size[::-1], dst=out, interpolation=interpolation)


def resize_depth(depth: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """Resample depth, masks or labels to the nearest pixel centre: no value is invented between two surfaces."""
    if depth.shape[1] == width and depth.shape[0] == height:
        return depth
    return cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)


def complete_depth(
    depth: NDArray[np.float32],
    parameters: Mapping[str, Any],
    threads: int = 1,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Fill holes as a stream's ``parameters`` say: ``completion`` is ``fast``, ``multiscale`` or ``none``.

    Returns:
        The completed depth, in ``out`` if that is given; for ``none`` the depth itself.
    """
    options = {key: value for key, value in parameters.items() if key != "completion"}
    if parameters["completion"] == "fast":
        return depth_completion.fill_fast(depth, threads=threads, out=out, **options)
    if parameters["completion"] == "multiscale":
        return depth_completion.fill_multiscale(depth, threads=threads, out=out, **options)
    return depth


_DEPTH_DEFAULTS: Mapping[str, Any] = {
    "completion": "fast", "max_depth": 100.0, "extrapolate": False, "blur": "bilateral",
}
_BOUNDED = ("depth_jet", "depth_gray")
_HHA_PARAMETERS = ("floor_percentile", "height_range", "max_tilt", "min_support")
_ALLOWED: Mapping[str, tuple[str, ...]] = {
    "hha": (*_DEPTH_DEFAULTS, *_HHA_PARAMETERS),
    **dict.fromkeys(_BOUNDED, (*_DEPTH_DEFAULTS, *BOUNDS)),
}


def hha_options(stream: Stream, options: EncoderOptions) -> HHAOptions:
    """The published encoding where neither the contract's stream nor the robot says otherwise.

    Raises:
        SsmaError: the stream's parameters are out of range.
    """
    chosen = {key: stream.parameters[key] for key in _HHA_PARAMETERS if key in stream.parameters}
    if options.camera_height is not None:
        chosen.pop("floor_percentile", None)
    if options.gravity_guard:
        chosen.setdefault("max_tilt", ROBOT_OPTIONS.max_tilt)
        chosen.setdefault("min_support", ROBOT_OPTIONS.min_support)
    # A pixel without depth would come out as "nearest possible": it is blanked as a blank modality is.
    chosen.update(mask_missing=True, camera_height=options.camera_height, smoothing=options.gravity_smoothing)
    try:
        return HHAOptions(**chosen)
    except (TypeError, ValueError) as error:
        raise SsmaError(f"input contract: stream '{stream.name}': {error}") from None


def depth_parameters(contract: Contract) -> dict[str, Any]:
    """Completion parameters shared by all depth streams; depth is completed once a frame.

    Raises:
        SsmaError: a stream's parameters are unknown or out of range, or two streams differ.
    """
    chosen: dict[str, Any] | None = None
    for stream in contract.streams:
        _check_names(stream)
        if "depth" not in stream.sensors:
            continue
        own = {key: stream.parameters.get(key, default) for key, default in _DEPTH_DEFAULTS.items()}
        _check_depth_values(stream, own)
        if chosen is not None and own != chosen:
            raise SsmaError(f"input contract: depth streams state different completions, {chosen} and {own}")
        chosen = own
    return chosen or dict(_DEPTH_DEFAULTS)


def _check_names(stream: Stream) -> None:
    allowed = _ALLOWED.get(stream.encoding, ())
    for key in stream.parameters:
        if key not in allowed:
            raise SsmaError(
                f"input contract: stream '{stream.name}' ({stream.encoding}) has parameter '{key}', "
                f"expected only {', '.join(allowed) or 'none'}"
            )


def _check_depth_values(stream: Stream, parameters: Mapping[str, Any]) -> None:
    """Refuse here what the functions would refuse on the first frame."""
    try:
        check_choice(parameters["completion"], ("fast", "multiscale", "none"), "completion")
        check_choice(parameters["blur"], depth_completion.BLURS, "blur")
        check_positive(parameters["max_depth"], "max_depth")
        if not isinstance(parameters["extrapolate"], bool):
            raise ValueError(f"extrapolate: got {parameters['extrapolate']!r}, expected true or false")
        if stream.encoding in _BOUNDED:
            check_bounds(**depth_bounds(stream))
    except ValueError as error:
        raise SsmaError(f"input contract: stream '{stream.name}': {error}") from None


def why_blank(stream: Stream, frame: Frame) -> str | None:
    """The reason why a stream cannot be made from this frame, or None if it can."""
    for sensor in stream.sensors:
        if getattr(frame, sensor) is None:
            return frame.missing.get(sensor, f"no {sensor} image")
    if stream.encoding == "hha" and frame.intrinsics is None:
        return frame.missing.get("camera_info", "no camera intrinsics, HHA needs them")
    return None


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    timings[stage] = (time.perf_counter() - start) * 1e3
