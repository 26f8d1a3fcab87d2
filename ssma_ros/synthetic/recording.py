# SPDX-License-Identifier: Apache-2.0
"""A continuous drive along the trail, encoded as a robot's driver would publish it; no ROS needed here."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.files import encoded_picture
from ssma_ros.frame import Intrinsics
from ssma_ros.synthetic.conditions import CLEAR, find_condition
from ssma_ros.synthetic.dataset import depth_to_millimetres
from ssma_ros.synthetic.noise import FloatImage
from ssma_ros.synthetic.renderer import Pose, Renderer
from ssma_ros.synthetic.sampling import Sample, Scene
from ssma_ros.synthetic.sensor import CameraState, StereoRig

FRAME_ID = "camera_color_optical_frame"
COLOR_TOPIC = "/camera/image_rect/compressed"
CAMERA_INFO_TOPIC = "/camera/camera_info"
DEPTH_TOPIC = "/depth/image_rect/compressedDepth"
NIR_TOPIC = "/nir/image_rect/compressed"
#: Of a near-infrared camera of its own.
NIR_FRAME_ID, NIR_INFO_TOPIC = "nir_optical_frame", "/nir/camera_info"
LABEL_TOPIC = "/ground_truth/label/compressed"
#: Nominal time of the first frame: 2025-06-01 10:00 UTC in nanoseconds.
EPOCH_NS = 1_748_772_000 * 10**9
#: Scene seeds of drives lie above those of every data set split of seed 0.
DRIVE_SEED_OFFSET = 900_000
#: compressed_depth_image_transport's ConfigHeader (int32 format, two float32), unused for 16UC1.
_DEPTH_HEADER = struct.pack("<iff", 0, 0.0, 0.0)
#: How far ahead of the start nothing may stand on the robot's path, metres.
_CLEARANCE = 0.85

#: The robot's camera: a good one, so that its noise does not fill the recording.
DRIVE_CAMERA = CameraState(target=0.45, white_balance=np.ones(3, np.float32), noise=0.004, blur=0.55, vignette=0.1)


@dataclass(frozen=True)
class DrivePlan:
    """A drive along a scene's trail.

    Attributes:
        seed: number of the drive; its scene is in no data set of seed 0.
        seconds: duration.
        rate: frames a second.
        speed: metres a second along the trail.
        depth_step: the depth camera's disparity resolution in pixels, as stereo chips deliver it.
        condition: name of the weather driven through.
        color_quality, nir_quality: of the JPEG pictures, 1..100.
        nir_beside: metres from the colour camera to a near-infrared camera of its own; 0 = they share a lens.
    """

    seed: int
    seconds: float = 6.0
    rate: float = 10.0
    speed: float = 1.2
    condition: str = CLEAR.name
    depth_step: float = 0.125
    color_quality: int = 74
    nir_quality: int = 64
    nir_beside: float = 0.0

    def __post_init__(self) -> None:
        if not -1.0 <= self.nir_beside <= 1.0:
            raise SsmaError(f"synthesize: nir_beside is {self.nir_beside} m, expected -1 to 1")
        if not 0 <= self.seed < 100_000:
            raise SsmaError(f"synthesize: seed of the drive is {self.seed}, expected 0 to 99999")
        if self.frames < 1:
            raise SsmaError(f"synthesize: the drive takes {self.seconds} s, expected at least one frame")
        find_condition(self.condition)

    @property
    def rig(self) -> StereoRig:
        """The robot's cameras."""
        return StereoRig.with_nir_beside(self.nir_beside) if self.nir_beside else StereoRig.default()

    @property
    def scene_seed(self) -> int:
        """Seed of the scene driven through."""
        return DRIVE_SEED_OFFSET + self.seed

    @property
    def frames(self) -> int:
        """Number of frames."""
        return round(self.seconds * self.rate)


@dataclass(frozen=True)
class EncodedImage:
    """One compressed image of the drive: topic, header stamp and arrival in ns, image_transport format, bytes."""

    topic: str
    stamp_ns: int
    arrival_ns: int
    format: str
    data: bytes


@dataclass(frozen=True)
class DriveFrame:
    """One moment of the drive.

    Attributes:
        stamp_ns: of the colour image; labels and camera info carry it too.
        intrinsics: of all images, but for near infrared of a camera of its own.
        images: colour, depth, near infrared and label in order of arrival.
        sample: the pictures before encoding.
    """

    stamp_ns: int
    intrinsics: Intrinsics
    images: tuple[EncodedImage, ...]
    sample: Sample


def drive(plan: DrivePlan) -> Iterator[DriveFrame]:
    """Renders the drive frame by frame; the same plan gives the same bytes.

    Raises:
        SsmaError: the scene has no stretch of free trail long enough, or OpenGL is missing.
    """
    rig = plan.rig
    with Renderer() as renderer:
        scene = Scene(renderer, plan.scene_seed, rig, DRIVE_CAMERA, find_condition(plan.condition))
        poses = drive_poses(scene, plan)
        for index, pose in enumerate(poses):
            rng = np.random.default_rng([plan.scene_seed, 20, index])
            sample = scene.capture(pose, rng)
            stamp = EPOCH_NS + round(index / plan.rate * 1e9) + int(rng.integers(-2_000_000, 2_000_001))
            yield DriveFrame(stamp, rig.intrinsics, _encode(sample, stamp, rig, plan, rng), sample)


def drive_poses(scene: Scene, plan: DrivePlan) -> list[Pose]:
    """Camera poses of a robot that follows the trail with the sway and shake of a real one."""
    parameters, world = scene.parameters, scene.world
    start = _free_start(scene, plan)
    rng = np.random.default_rng([plan.scene_seed, 5])
    phase = rng.uniform(0, 2 * np.pi, 8)
    time = np.arange(plan.frames) / plan.rate
    x, poses = start, []
    for t in time:
        heading = parameters.trail_heading(x)
        weave = 0.10 * np.sin(2 * np.pi * t / 5.3 + phase[0])
        y = float(parameters.trail_y(np.array([x]))[0]) + weave
        yaw = heading + np.radians(1.5) * np.sin(2 * np.pi * t / 3.1 + phase[1])
        slope = world.slope(x, y, heading)
        shake = [np.sin(2 * np.pi * f * t + phase[i + 2]) for i, f in enumerate((1.7, 2.9, 2.3, 3.7))]
        pitch = parameters.camera_pitch - slope + np.radians(0.35 * shake[0] + 0.15 * shake[1])
        roll = np.radians(0.5 * shake[2] + 0.2 * shake[3])
        z = world.height(x, y) + parameters.camera_height + 0.008 * shake[1]
        poses.append(Pose.looking(np.array([x, y, z]), yaw, pitch, roll))
        x += plan.speed / plan.rate * float(np.cos(heading))
    return poses


def _free_start(scene: Scene, plan: DrivePlan) -> float:
    """Smallest x from which the whole drive, and two metres more, is clear of obstacles."""
    reach = plan.speed * plan.seconds + 2.0
    obstacles = scene.world.obstacles
    for start in np.arange(0.0, 40.0, 0.5):
        x = np.arange(start, start + reach, 0.25)
        y = scene.parameters.trail_y(x)
        gap = np.hypot(x[:, None] - obstacles[None, :, 0], y[:, None] - obstacles[None, :, 1]) - obstacles[None, :, 2]
        if gap.size == 0 or gap.min() > _CLEARANCE:
            return float(start)
    raise SsmaError(f"synthesize: drive {plan.seed} finds no {reach:.0f} m of free trail, expected another seed")


def _encode(
    sample: Sample, stamp: int, rig: StereoRig, plan: DrivePlan, rng: np.random.Generator
) -> tuple[EncodedImage, ...]:
    """The frame's images as image_transport's plugins write them; each sensor has a clock of its own."""
    depth_stamp = stamp + round(rng.normal(2.5e6, 1.5e6))
    nir_stamp = stamp + round(rng.normal(-1.5e6, 1.5e6))
    color, nir = ([cv2.IMWRITE_JPEG_QUALITY, quality] for quality in (plan.color_quality, plan.nir_quality))
    millimetres = depth_to_millimetres(quantise_disparity(sample.depth, rig, plan.depth_step))
    images = [
        (COLOR_TOPIC, stamp, 9e6, "bgr8; jpeg compressed bgr8", encoded_picture(".jpg", sample.color, color)),
        (
            DEPTH_TOPIC,
            depth_stamp,
            24e6,
            "16UC1; compressedDepth png",
            _DEPTH_HEADER + encoded_picture(".png", millimetres, _SMALL),
        ),
        (NIR_TOPIC, nir_stamp, 7e6, "mono8; jpeg compressed ", encoded_picture(".jpg", sample.nir, nir)),
        (LABEL_TOPIC, stamp, 30e6, "mono8; png compressed ", encoded_picture(".png", sample.label, _SMALL)),
    ]
    encoded = [
        EncodedImage(topic, own, own + round(delay + abs(rng.normal(0, 1e6))), form, data)
        for topic, own, delay, form, data in images
    ]
    return tuple(sorted(encoded, key=lambda image: image.arrival_ns))


# Few distinct values compress best without a predictor; OpenCV before 4.12 always uses one.
_SMALL = [cv2.IMWRITE_PNG_COMPRESSION, 9]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):
    _SMALL += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE, cv2.IMWRITE_PNG_STRATEGY, 0]


def quantise_disparity(depth: FloatImage, rig: StereoRig, step: float) -> FloatImage:
    """Depth as a stereo chip reports it: disparities median-filtered and in multiples of ``step`` pixels; 0 stays 0."""
    product = np.float32(rig.intrinsics.fx * rig.baseline)
    steps = np.zeros(depth.shape, np.uint16)
    seen = depth > 0
    steps[seen] = np.rint(product / depth[seen] / step)
    steps = np.where(seen, cv2.medianBlur(steps, 5), 0)
    out = np.zeros_like(depth)
    seen = steps > 0
    out[seen] = product / (steps[seen] * np.float32(step))
    return out
