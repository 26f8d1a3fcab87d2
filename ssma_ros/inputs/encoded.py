# SPDX-License-Identifier: Apache-2.0
"""What every way to make network inputs shares: the result, what can be made, and the checked plan of a contract."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING

from ssma_ros.contract import check_parameters
from ssma_ros.encodings.depth_completion import Completion
from ssma_ros.encodings.table import ENCODINGS
from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    import numpy as np
    from numpy.typing import NDArray

    from ssma_ros.contract import Contract, Stream
    from ssma_ros.encodings.base import Encoding
    from ssma_ros.frame import Frame, Intrinsics

    _T = TypeVar("_T")

_OF_COMPLETION = tuple(item.name for item in fields(Completion))


@dataclass
class EncodedInputs:
    """One frame at network size.

    Attributes:
        inputs: for each present stream an H×W×3 uint8 image, C-contiguous.
        present: for every stream of the contract whether it could be made.
        missing: for each stream that could not, the reason in words.
        doubts: by stream what its picture was made with where that is not what was asked for.
        depth: H×W float32 completed depth in metres, 0 where it stayed empty, or None without depth.
        intrinsics: of the network's grid, or None where the frame had none.
        timings_ms: milliseconds by stage.
    """

    inputs: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    present: dict[str, bool] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)
    depth: NDArray[np.float32] | None = None
    intrinsics: Intrinsics | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, contract: Contract, frame: Frame) -> EncodedInputs:
        """Nothing made yet, but what can be made and why not."""
        encoded = cls()
        for stream in contract.streams:
            reason = why_blank(stream, frame)
            encoded.present[stream.name] = reason is None
            if reason is not None:
                encoded.missing[stream.name] = reason
        if frame.intrinsics is not None:
            encoded.intrinsics = frame.intrinsics.resized(contract.width, contract.height)
        return encoded


def why_blank(stream: Stream, frame: Frame) -> str | None:
    """The reason why a stream cannot be made from this frame, or None if it can."""
    for sensor in stream.sensors:
        if sensor not in frame.images:
            return frame.missing.get(sensor, f"no {sensor} image")
    if ENCODINGS[stream.encoding].needs_camera and frame.intrinsics is None:
        return frame.missing.get("camera_info", f"no camera intrinsics, {stream.encoding} needs them")
    return None


def completion_of(contract: Contract) -> Completion:
    """How depth is completed, once a frame, for all streams made from it.

    Raises:
        SsmaError: a stream's parameters are unknown or out of range, or two streams differ.
    """
    chosen: Completion | None = None
    for stream in contract.streams:
        check_parameters(stream)
        if "depth" not in stream.sensors:
            continue
        given = {key: value for key, value in stream.parameters.items() if key in _OF_COMPLETION}
        own = in_contract(stream, partial(Completion, **given))
        if chosen is not None and own != chosen:
            raise SsmaError(f"input contract: depth streams state different completions, {chosen} and {own}")
        chosen = own
    return chosen or Completion()


def in_contract(stream: Stream, make: Callable[[], _T]) -> _T:
    """``make()``, whose ValueError becomes a sentence that names the contract's stream."""
    try:
        return make()
    except ValueError as error:
        raise SsmaError(f"input contract: stream '{stream.name}': {error}") from None


def encoding_of(stream: Stream) -> Encoding:
    """The table's entry for a stream."""
    return ENCODINGS[stream.encoding]
