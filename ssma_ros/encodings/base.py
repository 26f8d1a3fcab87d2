# SPDX-License-Identifier: Apache-2.0
"""What an encoding is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ssma_ros.options import check_ranges, option, with_default
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from ssma_ros.frame import Frame, Intrinsics
    from ssma_ros.kernels.cuda.device import Device
    from ssma_ros.kernels.cuda.functions import CudaPreprocessing


@dataclass(frozen=True)
class EncoderOptions:
    """What belongs to the robot and not to the network, so is not in the contract. The defaults change nothing.

    Smoothing needs stamps that follow each other; a jump resets it. Of the guard, the contract's own limits come first.
    With more than one thread the streams without depth are made beside it; they change nothing but the time it takes.

    Raises:
        ValueError: an option is out of range.
    """

    preprocessing_threads: int = option(1, "CPU threads of the depth preprocessing.", low=1, high=64)
    gravity_guard: bool = option(
        False, "Refuse a gravity estimate that tilts the camera by over 45 degrees or rests on few normals; the last "
        "good one holds, or the camera counts as level.",
    )
    gravity_smoothing: float = option(
        0.0, "Time constant of a low-pass on the gravity estimated from depth, seconds; 0 = each image by itself.",
        low=0.0, high=60.0,
    )
    camera_height: float = option(
        0.0, "Height of the colour camera over the ground, metres: the floor of HHA's height channel; 0 = as the "
        "network's contract says.", low=0.0, high=20.0,
    )
    register_without_depth: Literal["infinity", "ground", "missing"] = option(
        "infinity", "What a pixel without depth counts as where another camera's image is registered: infinitely far, "
        "level ground camera_height below the camera (over the horizon infinitely far), or missing.",
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.register_without_depth == "ground" and not self.camera_height:
            raise ValueError("register_without_depth is 'ground' and camera_height 0, expected the camera's height")


@dataclass(frozen=True)
class RobotEncoderOptions(EncoderOptions):
    """The same as they begin on a robot, whose images follow each other and whose camera stands about upright."""

    gravity_guard: bool = with_default(EncoderOptions, "gravity_guard", True)
    gravity_smoothing: float = with_default(EncoderOptions, "gravity_smoothing", 0.5)


class StreamEncoder(ABC):
    """One stream's pictures from frame to frame. Not re-entrant.

    Args:
        parameters: of the stream in the contract, those that :attr:`Encoding.parameters` names.
        options: of the robot.

    Raises:
        ValueError: a parameter is out of range.
    """

    #: What the last picture was made with where that is not what was asked for, in words with a remedy; or empty.
    doubt = ""

    def __init__(self, parameters: Mapping[str, Any], options: EncoderOptions) -> None:
        self.parameters, self.options = parameters, options

    @abstractmethod
    def encode(self, frame: Frame, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The stream's H×W×3 uint8 picture, C-contiguous: in ``out`` if that has a use.

        Args:
            frame: on the network's grid, with the sensors that the encoding needs; depth is completed.
            out: H×W×3 uint8 C-contiguous.
        """

    def reset(self) -> None:  # noqa: B027  # most remember nothing
        """Forget earlier frames."""


@dataclass(frozen=True)
class DeviceFrame:
    """A frame on a GPU, on the network's grid; frames that are equal here share one captured graph.

    Attributes:
        images: by sensor the address of its image; depth is completed.
        bytes_each: by sensor the bytes of one value.
        full_scales: by intensity sensor.
        intrinsics: of the grid, or None.
        gravity: whether the frame knows "down".
    """

    images: Mapping[str, int]
    bytes_each: Mapping[str, int]
    full_scales: Mapping[str, float]
    intrinsics: Intrinsics | None
    gravity: bool


class DeviceEncoder(ABC):
    """The same as :class:`StreamEncoder` on a GPU; may allocate from ``device`` when it is made, and never later."""

    def __init__(self, parameters: Mapping[str, Any], options: EncoderOptions, device: Device) -> None:
        self.parameters, self.options, self.device = parameters, options, device

    def prepare(self, frame: Frame) -> None:  # noqa: B027  # most have nothing to say
        """Tell the device what changes from frame to frame, before :meth:`enqueue`'s graph is launched."""

    @abstractmethod
    def enqueue(self, functions: CudaPreprocessing, frame: DeviceFrame, target: int) -> None:
        """Put the work in line that writes H×W×3 bytes to ``target``; allocates nothing and waits for nothing."""

    def doubt(self) -> str:
        """What the last picture was made with where that is not what was asked for; empty where all is well.

        Called after the work is done.
        """
        return ""

    def reset(self) -> None:  # noqa: B027  # most remember nothing
        """Forget earlier frames."""


@dataclass(frozen=True)
class Encoding:
    """One way to make a network input.

    Attributes:
        name: as contracts call it.
        sensors: it is made from; it is blank where one is missing.
        encoder: makes it on the processor.
        twin: makes it on a GPU, or None: preprocessing then stays on the processor.
        order: of its channels, for whoever shows it; ``grey`` is one picture three times.
        parameters: a stream may state, besides those of depth completion for what is made from depth.
        needs_camera: blank without intrinsics.
        shows: what a person sees in it, for captions.
        height_channel: index of the channel that is a height over the ground, or None.
        unseen: level of all channels where a sensor's own camera does not see what the driving camera sees.
    """

    name: str
    sensors: tuple[str, ...]
    encoder: type[StreamEncoder]
    twin: Callable[[Mapping[str, Any], EncoderOptions, Device], DeviceEncoder] | None = None
    order: Literal["bgr", "rgb", "grey"] = "bgr"
    parameters: tuple[str, ...] = ()
    needs_camera: bool = False
    shows: str = ""
    height_channel: int | None = None
    unseen: int = 0

    @property
    def is_photograph(self) -> bool:
        """It is the colour image itself: nothing to show beside it, and it varies as photographs do."""
        return self.sensors == ("color",)

    @property
    def is_measured(self) -> bool:
        """It is made from distances or temperatures, which must not be averaged."""
        return any(SENSORS[sensor].pixels == "measurement" for sensor in self.sensors)
