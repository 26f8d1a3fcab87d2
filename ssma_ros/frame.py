# SPDX-License-Identifier: Apache-2.0
"""The types that cross rooms: one synchronised set of images in, one segmentation out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.errors import expected_one_of
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ssma_ros.sensors import Sensor

#: Names of the full scales of intensities, and whose they are.
_FULL_SCALES = {f"{s.name}_full_scale": s.name for s in SENSORS.values() if s.pixels == "intensity"}
_FIELDS = (
    "stamp_ns", "frame_id", "intrinsics", "gravity", "missing", "suspicions", "images", "full_scales", "cameras"
)


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole intrinsics of a rectified image in ROS pixel convention.

    The centre of the first pixel is at (0, 0), as in sensor_msgs/CameraInfo and OpenCV.

    Attributes:
        fx, fy: focal lengths in pixels, finite and positive.
        cx, cy: principal point in pixels, finite.
        width, height: image size in pixels, positive.

    Raises:
        ValueError: a focal length is not positive, a value is not finite, or a size is not positive.

    Example:
        >>> import ssma_ros
        >>> camera = ssma_ros.Intrinsics(fx=500.0, fy=500.0, cx=319.5, cy=239.5, width=640, height=480)
        >>> camera.resized(320, 240)
        Intrinsics(fx=250.0, fy=250.0, cx=159.5, cy=119.5, width=320, height=240)
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        for name in ("fx", "fy", "cx", "cy"):
            value = getattr(self, name)
            if not np.isfinite(value):
                raise ValueError(f"intrinsics: {name} is {value}, expected a finite number of pixels")
        for name in ("fx", "fy", "width", "height"):
            value = getattr(self, name)
            if value <= 0:
                raise ValueError(f"intrinsics: {name} is {value}, expected a positive number of pixels")

    def resized(self, width: int, height: int) -> Intrinsics:
        """Intrinsics of the same view resampled to ``width`` × ``height`` pixels.

        Image edges stay where they are, so pixel centres move: u' = (u + 0.5)·s − 0.5, which is what
        ``cv2.resize`` does.
        """
        sx, sy = width / self.width, height / self.height
        return Intrinsics(
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5,
            width=width,
            height=height,
        )

    def matrix(self) -> NDArray[np.float64]:
        """The 3×3 camera matrix K."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])


@dataclass(frozen=True, eq=False)
class Camera:
    """A rectified camera beside the driving one, which sees the scene from elsewhere.

    Attributes:
        intrinsics: of its image, which has a size of its own.
        rotation: 3×3, takes directions of its optical frame (x right, y down, z forward) to the driving camera's.
        translation: 3, metres, its place in the driving camera's optical frame. A tf transform whose parent is the
            driving camera's frame and whose child is this one's has both.

    Raises:
        ValueError: the rotation is none, or a number is not finite.

    Example:
        >>> import numpy as np, ssma_ros
        >>> pinhole = ssma_ros.Intrinsics(fx=400.0, fy=400.0, cx=319.5, cy=199.5, width=640, height=400)
        >>> infrared = ssma_ros.Camera(pinhole, translation=(0.05, 0.0, 0.0))  # 5 cm to the right
        >>> frame = ssma_ros.Frame(
        ...     color=np.zeros((480, 640, 3), np.uint8), nir=np.zeros((400, 640), np.uint8),
        ...     intrinsics=ssma_ros.Intrinsics(500.0, 500.0, 319.5, 239.5, 640, 480), cameras={"nir": infrared},
        ... )
        >>> frame.size
        (640, 480)
    """

    intrinsics: Intrinsics
    rotation: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    translation: NDArray[np.float64] | tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        rotation, translation = np.asarray(self.rotation, np.float64), np.asarray(self.translation, np.float64)
        turns = rotation.shape == (3, 3) and np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4)
        if not turns or np.linalg.det(rotation) < 0:
            raise ValueError(f"camera: rotation is {rotation.tolist()}, expected a 3x3 rotation matrix")
        if translation.shape != (3,) or not np.isfinite(translation).all():
            raise ValueError(f"camera: translation is {translation.tolist()}, expected three finite numbers of metres")
        object.__setattr__(self, "rotation", rotation)
        object.__setattr__(self, "translation", translation)


class Frame:
    """One moment seen by several sensors, all rectified.

    Their images are in the driving camera's pixels, but for those of ``cameras``, which are registered to it when the
    network's inputs are made.

    Images are given and read by their sensor's name, ``frame.color`` or ``frame.images["color"]``; an absent one is
    None there and has no entry here. Whoever uses a frame's images calls :meth:`check` first.

    Args:
        stamp_ns: time of the driving image in nanoseconds.
        frame_id: optical frame of the driving image (REP-103: x right, y down, z forward).
        intrinsics: of the image grid that all images share, or None where the driving camera sent none.
        gravity: unit vector of "down" in the optical frame (x right, y down, z forward), or None.
        missing: for each absent sensor the reason in words, for diagnostics.
        suspicions: for each sensor whose values look wrong what they look like, for diagnostics.
        images, full_scales, cameras: as the attributes; the images by keyword are ``sensors``.
        sensors: images by sensor (:data:`ssma_ros.sensors.SENSORS`), each None or

            * ``color``: H×W×3 uint8 in BGR order, as OpenCV reads it;
            * an intensity (``nir``): H×W uint8 or uint16, with ``<sensor>_full_scale``, the value of a saturated pixel
              (255 for uint8; a property of the sensor for uint16);
            * a measurement (``depth``): H×W float32 in its unit (metres), 0, NaN, ±inf and below 0 = no reading.

    Attributes:
        images: by sensor, those that are there.
        full_scales: by intensity sensor.
        cameras: by sensor the :class:`Camera` that its image is seen from, where that is not the driving one; needs
            ``intrinsics``. What the driving camera sees and it does not is missing, and nothing is made up for it.

    Raises:
        TypeError: an argument names no sensor.

    Example:
        >>> import numpy as np, ssma_ros
        >>> nir = np.full((480, 640), 900, np.uint16)
        >>> frame = ssma_ros.Frame(color=np.zeros((480, 640, 3), np.uint8), nir=nir, nir_full_scale=4095)
        >>> frame.size, list(frame.images), frame.depth
        ((640, 480), ['color', 'nir'], None)
    """

    def __init__(
        self,
        stamp_ns: int = 0,
        frame_id: str = "",
        *,
        intrinsics: Intrinsics | None = None,
        gravity: NDArray[np.float64] | None = None,
        missing: Mapping[str, str] | None = None,
        suspicions: Mapping[str, str] | None = None,
        images: Mapping[str, NDArray[Any]] | None = None,
        full_scales: Mapping[str, float] | None = None,
        cameras: Mapping[str, Camera] | None = None,
        **sensors: Any,
    ) -> None:
        self.stamp_ns = stamp_ns
        self.frame_id = frame_id
        self.images: dict[str, NDArray[Any]] = dict(images or {})
        self.full_scales: dict[str, float] = dict(full_scales or {})
        self.cameras: dict[str, Camera] = dict(cameras or {})
        self.intrinsics = intrinsics
        self.gravity = gravity
        self.missing: Mapping[str, str] = missing or {}
        self.suspicions: Mapping[str, str] = suspicions or {}
        for name in (*self.images, *sensors):
            if name not in SENSORS and name not in _FULL_SCALES:
                raise TypeError(f"frame: got '{name}', {expected_one_of(name, (*SENSORS, *_FULL_SCALES, *_FIELDS))}")
        for name, value in sensors.items():
            setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name in SENSORS:
            return self.images.get(name)
        if name in _FULL_SCALES:
            return self.full_scales.get(_FULL_SCALES[name], 255.0)
        raise AttributeError(f"a frame has no '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FULL_SCALES:
            self.full_scales[_FULL_SCALES[name]] = float(value)
        elif name in _FIELDS:
            super().__setattr__(name, value)
        elif name not in SENSORS:
            raise AttributeError(f"frame: got '{name}', {expected_one_of(name, (*SENSORS, *_FULL_SCALES, *_FIELDS))}")
        elif value is None:
            self.images.pop(name, None)
        else:
            self.images[name] = value

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) shared by the images present but for those of other cameras.

        Raises:
            ValueError: the frame holds no such image, or two differ in size.
        """
        size: tuple[int, int] | None = None
        first = ""
        for name, image in self.images.items():
            if name in self.cameras:
                continue
            here = (int(image.shape[1]), int(image.shape[0]))
            if size is None:
                size, first = here, name
            elif here != size:
                raise ValueError(
                    f"frame: {name} is {here[0]}x{here[1]}, expected {size[0]}x{size[1]} as {first} is"
                )
        if size is None:
            raise ValueError(f"frame: no image in it, expected at least one of {', '.join(SENSORS)}")
        return size

    def check(self) -> None:
        """Refuse what is not as stated above; costs nothing beside any use of the images.

        Raises:
            ValueError: there is no image, sizes differ, one has another dtype or shape, the intrinsics are of another
                size or absent beside another camera, or a full scale is not that of its image.
        """
        for name, image in self.images.items():
            if not isinstance(image, np.ndarray) or image.ndim < 2 or 0 in image.shape:
                what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else f"a {type(image).__name__}"
                raise ValueError(f"frame: {name} is {what}, expected a NumPy array of {_stated(SENSORS[name], 'H×W')}")
        for name in self.cameras:
            self._check_camera(name)
        width, height = self.size
        for name, image in self.images.items():
            sensor = SENSORS[name]
            size = (height, width)
            if name in self.cameras:
                size = (self.cameras[name].intrinsics.height, self.cameras[name].intrinsics.width)
            shape = (*size, 3) if sensor.channels == 3 else size
            if image.dtype.name not in sensor.dtypes or image.shape != shape:
                got = f"{image.dtype} {image.shape}"
                raise ValueError(f"frame: {name} is {got}, expected {_stated(sensor, str(shape))}")
            if sensor.pixels == "intensity":
                _check_full_scale(name, image, self.full_scales.get(name))
        camera = self.intrinsics
        if camera is not None and not isinstance(camera, Intrinsics):
            raise ValueError(f"frame: intrinsics are a {type(camera).__name__}, expected Intrinsics(fx, fy, cx, cy, …)")
        if camera is not None and (camera.width, camera.height) != (width, height):
            raise ValueError(
                f"frame: intrinsics are of {camera.width}x{camera.height}, expected {width}x{height} as the images are"
            )

    def _check_camera(self, name: str) -> None:
        if name not in SENSORS or SENSORS[name].pixels == "color":
            others = [sensor for sensor in SENSORS if SENSORS[sensor].pixels != "color"]
            raise ValueError(f"frame: cameras name '{name}', {expected_one_of(name, others)}")
        if not isinstance(self.cameras[name], Camera):
            kind = type(self.cameras[name]).__name__
            raise ValueError(f"frame: camera of {name} is a {kind}, expected Camera(intrinsics, rotation, translation)")
        if self.intrinsics is None:
            raise ValueError(
                f"frame: {name} is of another camera and there are no intrinsics, expected those of the driving camera "
                "to register it with"
            )


def _stated(sensor: Sensor, shape: str) -> str:
    """What an image of a sensor must be, in words."""
    words = f"{' or '.join(sensor.dtypes)} {shape}"
    if sensor.pixels == "color":
        return f"{words} in the order blue, green, red"
    if sensor.pixels == "measurement":
        return f"{words} in {sensor.unit} (one count of an integer image is usually {sensor.scale:g} {sensor.unit})"
    return words


def _check_full_scale(name: str, image: NDArray[Any], full_scale: float | None) -> None:
    largest = np.iinfo(image.dtype).max
    if full_scale is None and largest > 255:
        raise ValueError(
            f"frame: {name} is {image.dtype} without {name}_full_scale, expected the value of a saturated pixel "
            f"({largest}, or less for a sensor of fewer bits)"
        )
    if full_scale is not None and not 0 < full_scale <= largest:
        raise ValueError(f"frame: {name}_full_scale is {full_scale:g}, expected above 0 to {largest} of {image.dtype}")


@dataclass
class Segmentation:
    """What the network says about one frame. All images share one size, that of ``mask``.

    Attributes:
        stamp_ns, frame_id: copied from the frame.
        mask: H×W uint8 class ids of the label set, 255 = unlabelled.
        confidence: H×W uint8, probability of the winning class × 255.
        probabilities: C×H×W uint8, probability × 255 of every class, or None when nobody asked for it.
        gates: for each modality an h×w float32 image in [0, 1], the mean SSMA gate of that modality
            (h, w are those of the latent features); empty when nobody asked for it.
        intrinsics: of the output images, or None where the frame had none.
        depth: H×W float32 metres completed depth, 0 where it stayed empty, or None.
        inputs: the network's real inputs by stream name, H×W×3 uint8 each.
        present: which modalities the network was given.
        missing: for each blank modality the reason in words.
        doubts: by modality what its input was made with where that is not what was asked for, with a remedy.
        timings_ms: milliseconds spent in each stage, by stage name.

    Example:
        >>> import numpy as np, ssma_ros
        >>> with ssma_ros.load("forest_rgb_hha_evi") as segment:
        ...     result = segment(color=np.zeros((360, 640, 3), np.uint8), outputs=("mask", "gates"))
        >>> result.mask.shape, sorted(result.gates)
        ((384, 768), ['evi', 'hha', 'rgb'])
        >>> result.missing
        {'hha': 'no depth image', 'evi': 'no nir image'}
    """

    stamp_ns: int
    frame_id: str
    mask: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    probabilities: NDArray[np.uint8] | None = None
    gates: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    intrinsics: Intrinsics | None = None
    depth: NDArray[np.float32] | None = None
    inputs: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    present: Mapping[str, bool] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    doubts: Mapping[str, str] = field(default_factory=dict)
    timings_ms: Mapping[str, float] = field(default_factory=dict)
