# SPDX-License-Identifier: Apache-2.0
"""HHA: a depth image as three channels that mean something, horizontal disparity, height and angle with gravity.

:func:`encode_hha` is the published encoding, exact. :class:`HHAEncoder` adds what a moving robot needs, each thing by
an option that is off by default.

Source: Gupta, Girshick, Arbeláez, Malik, "Learning Rich Features from RGB-D Images for Object Detection and
Segmentation", ECCV 2014; equal to the authors' MATLAB program to one grey level.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.encodings.base import DeviceEncoder, DeviceFrame, EncoderOptions, Encoding, StreamEncoder
from ssma_ros.kernels.backend import compiled_modules
from ssma_ros.kernels.reference import hha as plain_hha
from ssma_ros.kernels.shared.checks import check_depth, check_intrinsics, check_mask, check_out, check_threads
from ssma_ros.kernels.shared.constants import ASSUMED_FLOOR, LEVEL_ABOVE, NEAREST_FLOOR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from typing import Protocol

    from numpy.typing import NDArray

    from ssma_ros.frame import Frame, Intrinsics
    from ssma_ros.kernels.cuda.device import Device
    from ssma_ros.kernels.cuda.functions import CudaPreprocessing

    Vector = NDArray[np.float64]

    class HHAPass(Protocol):
        """One image on its way through either implementation."""

        def estimate_gravity(self) -> tuple[Vector, int, int]: ...  # noqa: D102
        def lowest_height(self, down: Vector) -> float: ...  # noqa: D102
        def height_percentile(self, down: Vector, percent: float) -> float | None: ...  # noqa: D102
        def encode(  # noqa: D102
            self,
            down: Vector,
            height_down: Vector,
            floor: float,
            levels_per_metre: float,
            blank: bool,
            out: NDArray[np.uint8],
        ) -> None: ...


_LEVELS_PER_METRE = 100.0


def encode_hha(
    depth: NDArray[np.float32],
    intrinsics: Intrinsics,
    *,
    missing: NDArray[np.bool_] | None = None,
    threads: int = 1,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Encode depth as HHA exactly as published.

    Args:
        depth: H×W float32 metres, completed; what is no reading (0, negative, NaN, ±inf) counts as 0.
        intrinsics: of the depth's grid, ROS pixel convention. (The published program numbers pixels from 1 and takes
            cx + 1, cy + 1; that cancels, and nothing is to be added here.)
        missing: H×W bool, True where ``depth`` is made up and normals must not use it; None = where depth is 0.
        threads: bands of rows worked on at once (compiled version only).
        out: where to write the result, H×W×3 uint8 C-contiguous; new if None.

    Returns:
        H×W×3 uint8 in OpenCV's order: angle with gravity (degrees + 38), height over the lowest point (cm),
        disparity (31000 / cm). Pixels without depth come out with disparity 255.

    Raises:
        ValueError: an argument of another shape or dtype than stated.
    """
    image, mask, result = _checked(depth, intrinsics, missing, out)
    with _begin(image, mask, intrinsics, check_threads(threads), True) as work:
        encode_published(work, result)
    return result


def encode_published(work: HHAPass, out: NDArray[np.uint8]) -> None:
    """The last steps of :func:`encode_hha` on an image that is on its way, into H×W×3 uint8."""
    gravity, _, _ = work.estimate_gravity()
    down = _height_direction(gravity)
    work.encode(gravity, down, _published_floor(work.lowest_height(down)), _LEVELS_PER_METRE, False, out)


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"HHA options: {name} is {value}, expected {low} to {high}")


@dataclass(frozen=True)
class HHAOptions:
    """What :class:`HHAEncoder` does beyond the published encoding. The defaults are the published encoding.

    Attributes:
        camera_height: metres of the camera over the ground it drives on; the height channel is 0 there. One wrong
            pixel far below the ground moves the published height channel by over a hundred levels, this one not at all.
        floor_percentile: without ``camera_height``: the height that this percentage of the readings lies below becomes
            0, instead of the lowest one. 0.5 to 2 is robust to stray readings.
        height_range: metres that become level 255. The published 2.55 saturates on half of an outdoor picture.
        mask_missing: pixels without a reading become (0, 0, 0), as a blank input is, instead of "as near as can be".
        max_tilt: degrees; an estimate that tilts the camera farther is refused.
        min_support: an estimate that rests on fewer floor or on fewer wall normals is refused.
            When one is refused, the last one accepted holds, or the camera counts as level.
        smoothing: seconds, time constant of a low-pass on the gravity direction; 0 = each image by itself.
        reset_after: seconds; a gap or a jump back of the stamps by more than this forgets the past.

    Raises:
        ValueError: a value out of range, or both ``camera_height`` and ``floor_percentile`` given.
    """

    camera_height: float | None = None
    floor_percentile: float | None = None
    height_range: float = 2.55
    mask_missing: bool = False
    max_tilt: float = 180.0
    min_support: int = 0
    smoothing: float = 0.0
    reset_after: float = 1.0

    def __post_init__(self) -> None:
        if self.camera_height is not None and self.floor_percentile is not None:
            raise ValueError("HHA options: camera_height and floor_percentile are both given, expected one of them")
        if self.camera_height is not None:
            _check_range("camera_height", self.camera_height, 0.0, 100.0)
        if self.floor_percentile is not None:
            _check_range("floor_percentile", self.floor_percentile, 0.0, 100.0)
        if not self.height_range > 0:
            raise ValueError(f"HHA options: height_range is {self.height_range}, expected a positive number of metres")
        _check_range("max_tilt", self.max_tilt, 0.0, 180.0)
        _check_range("min_support", self.min_support, 0, math.inf)
        _check_range("smoothing", self.smoothing, 0.0, math.inf)
        _check_range("reset_after", self.reset_after, 0.0, math.inf)


#: Safer than the published encoding where the camera moves and depth has holes; needs nothing to be known.
ROBOT_OPTIONS = HHAOptions(
    floor_percentile=1.0, height_range=5.1, mask_missing=True, max_tilt=45.0, min_support=200, smoothing=0.5
)


class HHAEncoder:
    """HHA for a stream of images from one camera. Not re-entrant: one encoder, one stream.

    Args:
        options: see :class:`HHAOptions`; the default is the published encoding.

    Attributes:
        gravity: unit vector "down" (x right, y down, z forward) the last image was encoded with, or None before.
        gravity_source: where it came from: ``given``, ``estimated``, ``held`` (estimate refused, the last good one
            holds) or ``level`` (refused, and there has been no good one).
    """

    def __init__(self, options: HHAOptions | None = None) -> None:
        self.options = HHAOptions() if options is None else options
        self.gravity: Vector | None = None
        self.gravity_source = ""
        self._stamp_ns: int | None = None

    def reset(self) -> None:
        """Forget earlier images."""
        self.gravity, self.gravity_source, self._stamp_ns = None, "", None

    def encode(
        self,
        depth: NDArray[np.float32],
        intrinsics: Intrinsics,
        *,
        missing: NDArray[np.bool_] | None = None,
        gravity: Vector | None = None,
        stamp_ns: int | None = None,
        threads: int = 1,
        out: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.uint8]:
        """Encode one image.

        Args:
            depth, intrinsics, missing, threads, out: as for :func:`encode_hha`.
            gravity: "down" in the camera's optical frame from tf2 or an IMU, any length, used instead of the estimate
                (which is then not computed); None = estimate.
            stamp_ns: time of the image; without it nothing is smoothed.

        Returns:
            H×W×3 uint8: angle, height, disparity.

        Raises:
            ValueError: an argument of another shape, dtype or range than stated.
        """
        image, mask, result = _checked(depth, intrinsics, missing, out)
        given = None if gravity is None else unit_vector(gravity)
        elapsed = self._elapsed(stamp_ns)
        with _begin(image, mask, intrinsics, check_threads(threads), given is None) as work:
            self.gravity = down = given if given is not None else self._estimate(work, elapsed)
            if given is not None:
                self.gravity_source = "given"
            height_down = _height_direction(down)
            levels = 255.0 / self.options.height_range
            floor = self._floor(work, height_down)
            work.encode(down, height_down, floor, levels, self.options.mask_missing, result)
        return result

    def _elapsed(self, stamp_ns: int | None) -> float | None:
        """Seconds since the last image; forgets the past where the stamps jump."""
        before, self._stamp_ns = self._stamp_ns, stamp_ns
        if stamp_ns is None or before is None:
            return None
        elapsed = (stamp_ns - before) * 1e-9
        if elapsed < 0 or elapsed > self.options.reset_after:
            self.gravity = None
            return None
        return elapsed

    def _estimate(self, work: HHAPass, elapsed: float | None) -> Vector:
        estimate, floors, walls = work.estimate_gravity()
        options, last = self.options, self.gravity
        upright = estimate[1] >= math.cos(math.radians(options.max_tilt)) - 1e-12
        if not upright or min(floors, walls) < options.min_support:
            self.gravity_source = "level" if last is None or self.gravity_source == "level" else "held"
            return np.array([0.0, 1.0, 0.0]) if last is None else last
        self.gravity_source = "estimated"
        if options.smoothing == 0.0 or last is None or elapsed is None:
            return estimate
        # First-order low-pass; the mean of two unit vectors is a shorter vector in the right direction.
        share = 1.0 - math.exp(-elapsed / options.smoothing)
        return unit_vector(last + share * (estimate - last))

    def _floor(self, work: HHAPass, down: Vector) -> float:
        options = self.options
        if options.camera_height is not None:
            return -options.camera_height
        if options.floor_percentile is None:
            return _published_floor(work.lowest_height(down))
        floor = work.height_percentile(down, options.floor_percentile)
        return -ASSUMED_FLOOR if floor is None else floor


def _begin(
    depth: NDArray[np.float32], missing: NDArray[np.bool_] | None, intrinsics: Intrinsics, threads: int, estimate: bool
) -> AbstractContextManager[HHAPass]:
    compiled = compiled_modules()
    if compiled is None:
        return nullcontext(plain_hha.HHAPass(depth, missing, intrinsics))
    work: AbstractContextManager[HHAPass] = compiled.hha.begin(depth, missing, intrinsics, threads, estimate)
    return work


def _checked(
    depth: NDArray[np.float32],
    intrinsics: Intrinsics,
    missing: NDArray[np.bool_] | None,
    out: NDArray[np.uint8] | None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None, NDArray[np.uint8]]:
    image = check_depth(depth)
    check_intrinsics(intrinsics, image.shape)
    mask = None if missing is None else check_mask(missing, image.shape, "missing")
    return image, mask, check_out(out, (*image.shape, 3), np.uint8)


def _height_direction(gravity: Vector) -> Vector:
    return np.array([0.0, 1.0, 0.0]) if gravity[1] >= LEVEL_ABOVE else gravity


def _published_floor(lowest: float) -> float:
    return lowest if lowest <= -NEAREST_FLOOR else -ASSUMED_FLOOR


def unit_vector(vector: Vector) -> Vector:
    """``vector`` (3 numbers) at length 1, float64.

    Raises:
        ValueError: it is not three finite numbers, or all are zero.
    """
    vector = np.asarray(vector, np.float64)
    length = float(np.linalg.norm(vector)) if vector.shape == (3,) else math.nan
    if not math.isfinite(length) or length == 0.0:
        raise ValueError(f"gravity: got {vector.tolist()}, expected three finite numbers, not all zero")
    return vector / length


_PARAMETERS = ("floor_percentile", "height_range", "max_tilt", "min_support")


def stream_options(parameters: Mapping[str, Any], options: EncoderOptions) -> HHAOptions:
    """The published encoding where neither the contract's stream nor the robot says otherwise.

    Raises:
        ValueError: a parameter is out of range.
    """
    chosen = {key: parameters[key] for key in _PARAMETERS if key in parameters}
    if options.camera_height:
        chosen.pop("floor_percentile", None)
    if options.gravity_guard:
        chosen.setdefault("max_tilt", ROBOT_OPTIONS.max_tilt)
        chosen.setdefault("min_support", ROBOT_OPTIONS.min_support)
    # A pixel without depth would come out as "nearest possible": it is blanked as a blank modality is.
    chosen.update(mask_missing=True, camera_height=options.camera_height or None, smoothing=options.gravity_smoothing)
    try:
        return HHAOptions(**chosen)
    except TypeError as error:
        raise ValueError(str(error)) from None


_REFUSED = (
    "gravity estimated from depth is refused (the camera tilts by over 45 degrees, or sees too little ground and "
    "walls), "
)
_REMEDY = ": set gravity_frame to a frame whose z axis points up, or gravity_guard to false"
#: By source of gravity what is to be said of it.
_DOUBTS = {
    "held": f"{_REFUSED}the last good estimate holds{_REMEDY}",
    "level": f"{_REFUSED}the camera counts as level{_REMEDY}",
}


class _Hha(StreamEncoder):
    def __init__(self, parameters: Mapping[str, Any], options: EncoderOptions) -> None:
        super().__init__(parameters, options)
        self._encoder = HHAEncoder(stream_options(parameters, options))

    def encode(self, frame: Frame, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
        assert frame.intrinsics is not None, "streams are encoded only when what they need is there"
        picture = self._encoder.encode(
            frame.depth, frame.intrinsics, gravity=frame.gravity, stamp_ns=frame.stamp_ns,
            threads=self.options.preprocessing_threads, out=out,
        )
        self.doubt = _DOUBTS.get(self._encoder.gravity_source, "")
        return picture

    def reset(self) -> None:
        self._encoder.reset()


class _HhaTwin(DeviceEncoder):
    """The memory of gravity lies on the device; the host tells it what an image's stamp means for it."""

    def __init__(self, parameters: Mapping[str, Any], options: EncoderOptions, device: Device) -> None:
        super().__init__(parameters, options, device)
        self._options = stream_options(parameters, options)
        self._past, self._now = device.allocate(5 * 4), device.allocate(5 * 4)
        self._stamp_ns: int | None = None
        self._forget = True

    def reset(self) -> None:
        self._stamp_ns, self._forget = None, True

    def prepare(self, frame: Frame) -> None:
        """Upload ``now`` of :class:`~ssma_ros.kernels.cuda.functions.GravityHistory`."""
        down = (0.0, 0.0, 0.0) if frame.gravity is None else unit_vector(frame.gravity)
        before, self._stamp_ns = self._stamp_ns, frame.stamp_ns
        share = 1.0
        if before is not None:
            elapsed = (frame.stamp_ns - before) * 1e-9
            if elapsed < 0 or elapsed > self._options.reset_after:
                self._forget = True
            elif self._options.smoothing > 0:
                share = 1.0 - math.exp(-elapsed / self._options.smoothing)
        forget, self._forget = float(self._forget), False
        self.device.upload(self._now, np.array([*down, share, forget], np.float32))

    def doubt(self) -> str:
        from ssma_ros.kernels.cuda.functions import GRAVITY_SOURCES

        past = np.empty(5, np.float32)
        self.device.download(past, self._past)
        return _DOUBTS.get(GRAVITY_SOURCES[int(past[4])], "")

    def enqueue(self, functions: CudaPreprocessing, frame: DeviceFrame, target: int) -> None:
        from ssma_ros.kernels.cuda.functions import GravityHistory

        assert frame.intrinsics is not None, "streams are encoded only when what they need is there"
        options = self._options
        functions.encode_hha(
            frame.images["depth"], frame.intrinsics, target,
            history=GravityHistory(self._past, self._now, frame.gravity, options.max_tilt, options.min_support),
            camera_height=options.camera_height, floor_percentile=options.floor_percentile,
            height_range=options.height_range, mask_missing=options.mask_missing,
        )


ENCODINGS = (
    Encoding("hha", ("depth",), _Hha, _HhaTwin, parameters=_PARAMETERS, needs_camera=True, height_channel=1,
             shows="disparity, height, angle"),
)
