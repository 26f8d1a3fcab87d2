"""The types that cross rooms: one synchronised set of images in, one segmentation out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

#: Sensors a frame can hold, in the order in which they are named everywhere.
SENSORS = ("color", "depth", "nir")


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


@dataclass
class Frame:
    """One moment seen by several sensors, all registered to the colour camera and rectified.

    Attributes:
        stamp_ns: time of the driving image in nanoseconds.
        frame_id: optical frame of the driving image (REP-103: x right, y down, z forward).
        color: H×W×3 uint8 in BGR order, or None.
        depth: H×W float32 metres, 0 = no reading, never NaN or negative, or None.
        nir: H×W uint8 or uint16 near-infrared image, or None.
        nir_full_scale: value of a saturated ``nir`` pixel (255 for uint8; a sensor property for uint16).
        intrinsics: of the image grid all three share, or None where the driving camera sent none.
        gravity: unit vector of "down" in the optical frame (x right, y down, z forward), or None.
        missing: for each absent sensor the reason in words, for diagnostics.
    """

    stamp_ns: int = 0
    frame_id: str = ""
    color: NDArray[np.uint8] | None = None
    depth: NDArray[np.float32] | None = None
    nir: NDArray[np.uint8] | NDArray[np.uint16] | None = None
    nir_full_scale: float = 255.0
    intrinsics: Intrinsics | None = None
    gravity: NDArray[np.float64] | None = None
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) shared by the images present.

        Raises:
            ValueError: the frame holds no image, or two images differ in size.
        """
        size: tuple[int, int] | None = None
        first = ""
        for name in SENSORS:
            image = getattr(self, name)
            if image is None:
                continue
            here = (int(image.shape[1]), int(image.shape[0]))
            if size is None:
                size, first = here, name
            elif here != size:
                raise ValueError(
                    f"frame: {name} is {here[0]}x{here[1]}, expected {size[0]}x{size[1]} as {first} is"
                )
        if size is None:
            raise ValueError("frame: no image in it, expected at least one of color, depth, nir")
        return size


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
        timings_ms: milliseconds spent in each stage, by stage name.
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
    timings_ms: Mapping[str, float] = field(default_factory=dict)
