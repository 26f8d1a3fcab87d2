"""Turns a frame into network inputs as the model's input contract says.

Training, evaluation, replay and the node all come through here, so that a network sees on the robot what it
saw in training.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.preprocessing import colormap, depth_completion, vegetation
from ssma_ros.preprocessing.backend import warm_up
from ssma_ros.preprocessing.checks import check_bounds, check_choice, check_positive
from ssma_ros.preprocessing.hha import ROBOT_OPTIONS, HHAEncoder, HHAOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract, Stream
    from ssma_ros.frame import Frame, Intrinsics


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
        threads: threads of the depth preprocessing.
    """

    camera_height: float | None = None
    gravity_smoothing: float = 0.0
    gravity_guard: bool = False
    threads: int = 1


@dataclass
class _Sensors:
    """The frame's images on the network's grid, made once and shared by all streams."""

    color: NDArray[np.uint8] | None
    depth: NDArray[np.float32] | None
    nir: NDArray[Any] | None
    nir_full_scale: float
    intrinsics: Intrinsics | None
    gravity: NDArray[np.float64] | None
    stamp_ns: int


class InputEncoder:
    """Encodes frames for one network. Not re-entrant; remembers earlier frames only where ``options`` say so.

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
        self._encoders: dict[str, Callable[[Stream, _Sensors], NDArray[np.uint8]]] = {
            "bgr": lambda _, s: _present(s.color),
            "rgb": lambda _, s: cv2.cvtColor(_present(s.color), cv2.COLOR_BGR2RGB),
            "hha": self._encode_hha,
            "depth_jet": _encode_jet,
            "depth_gray": _encode_depth_gray,
            "nir": lambda _, s: _three_channels(_to_uint8(_present(s.nir), s.nir_full_scale)),
            "ndvi": _encode_index,
            "evi2": _encode_index,
            "evi": _encode_index,
            "nrg": _encode_nrg,
        }

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
            sensors = self._resize(frame)
        encoded.intrinsics = sensors.intrinsics
        if sensors.depth is not None:
            with _timed(encoded.timings_ms, "depth_completion"):
                completed = complete_depth(sensors.depth, self._depth_parameters, self._options.threads)
                # What the blur leaks into a hole is no reading; from here on a hole is exactly 0.
                sensors.depth = np.where(depth_completion.valid_mask(completed), completed, np.float32(0))
            encoded.depth = sensors.depth
        for stream in self._contract.streams:
            reason = why_blank(stream, frame)
            encoded.present[stream.name] = reason is None
            if reason is not None:
                encoded.missing[stream.name] = reason
                continue
            with _timed(encoded.timings_ms, f"encode_{stream.name}"):
                image = self._encoders[stream.encoding](stream, sensors)
                encoded.inputs[stream.name] = np.ascontiguousarray(image)
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

    def _encode_hha(self, stream: Stream, sensors: _Sensors) -> NDArray[np.uint8]:
        return self._hha[stream.name].encode(
            _present(sensors.depth),
            _present(sensors.intrinsics),
            gravity=sensors.gravity,
            stamp_ns=sensors.stamp_ns,
            threads=self._options.threads,
        )

    def _resize(self, frame: Frame) -> _Sensors:
        width, height = self._contract.width, self._contract.height
        return _Sensors(
            color=None if frame.color is None else resize_image(frame.color, width, height),
            depth=None if frame.depth is None else resize_depth(frame.depth, width, height),
            nir=None if frame.nir is None else resize_image(frame.nir, width, height),
            nir_full_scale=frame.nir_full_scale,
            intrinsics=None if frame.intrinsics is None else frame.intrinsics.resized(width, height),
            gravity=frame.gravity,
            stamp_ns=frame.stamp_ns,
        )


def resize_image(image: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """Resample a colour or near-infrared image bilinearly; returned as it is where the size already fits."""
    if image.shape[1] == width and image.shape[0] == height:
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def resize_depth(depth: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """Resample depth, masks or labels to the nearest pixel centre: no value is invented between two surfaces."""
    if depth.shape[1] == width and depth.shape[0] == height:
        return depth
    return cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)


def complete_depth(
    depth: NDArray[np.float32], parameters: Mapping[str, Any], threads: int = 1
) -> NDArray[np.float32]:
    """Fill holes as a stream's ``parameters`` say: ``completion`` is ``fast``, ``multiscale`` or ``none``."""
    options = {key: value for key, value in parameters.items() if key != "completion"}
    if parameters["completion"] == "fast":
        return depth_completion.fill_fast(depth, threads=threads, **options)
    if parameters["completion"] == "multiscale":
        return depth_completion.fill_multiscale(depth, threads=threads, **options)
    return depth


_DEPTH_DEFAULTS: Mapping[str, Any] = {
    "completion": "fast", "max_depth": 100.0, "extrapolate": False, "blur": "bilateral",
}
#: Of encodings that spread depth between two fixed bounds.
_BOUNDS: Mapping[str, float] = {"near": 0.5, "far": 40.0}
_BOUNDED = ("depth_jet", "depth_gray")
_HHA_PARAMETERS = ("floor_percentile", "height_range", "max_tilt", "min_support")
_ALLOWED: Mapping[str, tuple[str, ...]] = {
    "hha": (*_DEPTH_DEFAULTS, *_HHA_PARAMETERS),
    **dict.fromkeys(_BOUNDED, (*_DEPTH_DEFAULTS, *_BOUNDS)),
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


def _encode_jet(stream: Stream, sensors: _Sensors) -> NDArray[np.uint8]:
    return colormap.jet_depth(_present(sensors.depth), **depth_bounds(stream))


def _encode_depth_gray(stream: Stream, sensors: _Sensors) -> NDArray[np.uint8]:
    return _three_channels(colormap.gray_depth(_present(sensors.depth), **depth_bounds(stream)))


def depth_bounds(stream: Stream) -> dict[str, float]:
    """``near`` and ``far`` of a stream that spreads depth between two fixed bounds."""
    return {key: stream.parameters.get(key, default) for key, default in _BOUNDS.items()}


def _encode_index(stream: Stream, sensors: _Sensors) -> NDArray[np.uint8]:
    color, nir = _present(sensors.color), _present(sensors.nir)
    if nir.dtype == np.uint8 and sensors.nir_full_scale == 255.0 and stream.encoding in ("ndvi", "evi2"):
        # One flat look-up is four times as quick as numpy's indexing by two arrays.
        pairs = color[..., 2].astype(np.uint16)
        pairs <<= 8
        pairs |= nir
        return _three_channels(np.take(_index_table(stream.encoding).reshape(-1), pairs))
    blue, _green, red = (color[..., i].astype(np.float32) / 255.0 for i in range(3))
    # Beyond the stated full scale a pixel is saturated, as in vegetation.reflectance.
    reflectance = np.minimum(nir.astype(np.float32) / np.float32(sensors.nir_full_scale), np.float32(1))
    if stream.encoding == "evi":
        return _three_channels(vegetation.to_uint8(vegetation.evi(reflectance, red, blue)))
    function = vegetation.ndvi if stream.encoding == "ndvi" else vegetation.evi2
    return _three_channels(vegetation.to_uint8(function(reflectance, red)))


@lru_cache(maxsize=2)
def _index_table(encoding: str) -> NDArray[np.uint8]:
    """Encoded index for every pair [red, near infrared] of 8-bit values: one look-up a pixel."""
    levels = np.arange(256, dtype=np.float32) / np.float32(255.0)
    nir, red = np.meshgrid(levels, levels)
    function = vegetation.ndvi if encoding == "ndvi" else vegetation.evi2
    table = vegetation.to_uint8(function(nir, red))
    table.setflags(write=False)
    return table


def _encode_nrg(_stream: Stream, sensors: _Sensors) -> NDArray[np.uint8]:
    color = _present(sensors.color)
    nir = _to_uint8(_present(sensors.nir), sensors.nir_full_scale)
    # In OpenCV's order: green in the blue place, red in the green place, near infrared in the red place.
    return np.asarray(cv2.merge([color[..., 1], color[..., 2], nir]), np.uint8)


def _to_uint8(nir: NDArray[Any], full_scale: float) -> NDArray[np.uint8]:
    if nir.dtype == np.uint8 and full_scale == 255.0:
        return nir
    return np.asarray(cv2.convertScaleAbs(nir, alpha=255.0 / full_scale), np.uint8)


def _three_channels(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), np.uint8)


def _present(value: Any) -> Any:
    assert value is not None, "streams are encoded only when their sensors are present"
    return value


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    timings[stage] = (time.perf_counter() - start) * 1e3
