# SPDX-License-Identifier: Apache-2.0
"""One moment of a drive: what the sensors saw, what the network was given, what it said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


@dataclass
class Scene:
    """Pictures of one frame; absent ones are None.

    Attributes:
        stamp_ns: of the colour image.
        color: H×W×3 uint8 RGB.
        mask: H×W uint8 class ids.
        sensors: by sensor the image as a frame holds it; None for one that the network uses and nobody recorded.
        label: H×W uint8 class ids of the ground truth, 255 = none.
        confidence: H×W uint8, 255 = certain.
        depth_completed: H×W float32 metres, 0 = still empty.
        inputs: the network's inputs by stream name, H×W×3 uint8 RGB; of those that are not the colour image itself.
        notes: by stream name what its input shows.
        gates: by stream name, h×w float32 in [0, 1].
    """

    stamp_ns: int
    color: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    sensors: Mapping[str, NDArray[Any] | None] = field(default_factory=dict)
    label: NDArray[np.uint8] | None = None
    confidence: NDArray[np.uint8] | None = None
    depth_completed: NDArray[np.float32] | None = None
    inputs: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    gates: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
