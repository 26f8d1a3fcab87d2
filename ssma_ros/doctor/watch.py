# SPDX-License-Identifier: Apache-2.0
"""Messages of one input to what the checks want to know of it. A few images are decoded, of the others only stamps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.frame import Frame
from ssma_ros.messages.decode import decoded, image_of, pixels_of, stamp_ns
from ssma_ros.messages.layouts import LAYOUTS
from ssma_ros.messages.plausibility import IMAGES, Plausibility
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from ssma_ros.doctor.scene import InputSeen
    from ssma_ros.sensors import Reading

_STRIDE = 4
#: A raw value that fills this share of a picture, with nothing near below it, is a mark and no distance.
_MARKS, _FAR_ABOVE = 0.02, 1.5


class Watch:
    """Fills an :class:`~ssma_ros.doctor.scene.InputSeen` in, message by message.

    Args:
        seen: of an input.
        reading: how the node reads its raw values.
        spread_ns: the images that are decoded lie so far apart.
    """

    def __init__(self, seen: InputSeen, reading: Reading | None, spread_ns: int) -> None:
        self.seen = seen
        self._reading = reading
        self._spread_ns = spread_ns
        self._plausibility = Plausibility()

    def wants(self, arrived_ns: int) -> bool:
        """Whether a message that arrives now is to be looked at whole (:meth:`look`)."""
        seen = self.seen
        if seen.sensor not in SENSORS:
            return True
        begun = seen.arrived_ns[0] if seen.arrived_ns else arrived_ns
        return arrived_ns - begun >= seen.looked_at * self._spread_ns

    def note(self, arrived_ns: int, taken_ns: int) -> None:
        """A message arrived that was taken at ``taken_ns`` by its header."""
        self.seen.arrived_ns.append(arrived_ns)
        self.seen.stamps_ns.append(taken_ns)

    def look(self, message: Any) -> None:
        """Look at a whole message: its fields, and of an image its pixels as the node would read them."""
        seen = self.seen
        seen.last, seen.frame_id = message, str(message.header.frame_id)
        seen.looked_at += 1
        if seen.sensor not in SENSORS:
            seen.size = (int(message.width), int(message.height))
            return
        sensor = SENSORS[seen.sensor]
        picture = getattr(message, "image", message)
        seen.image_bytes = len(picture.data)
        seen.encoding = str(getattr(picture, "encoding", "") or getattr(picture, "format", ""))
        try:
            pixels, full_scale = image_of(sensor, message, seen.topic, self._reading)
        except RefusedInput as refusal:
            seen.refusals.append(refusal)
            return
        seen.size = (pixels.shape[1], pixels.shape[0])
        frame = Frame(stamp_ns(message), images={seen.sensor: pixels})
        if sensor.pixels == "intensity":
            frame.full_scales[seen.sensor] = full_scale
        seen.suspicion = self._plausibility.look(frame).get(seen.sensor, "")
        if seen.suspicion:
            floats = "FC1" in seen.encoding
            scale = (0.0 if self._reading is None else self._reading.scale) or (1.0 if floats else sensor.scale)
            seen.settings = self._plausibility.settings(seen.sensor, scale)
        if sensor.pixels == "measurement" and picture is message:
            seen.ceiling = self._ceiling(message)

    def _ceiling(self, message: Any) -> float | None:
        """The largest raw value, where it is no distance but a mark of no reading that nobody has told of."""
        raw = pixels_of(decoded(message, self.seen.topic), self.seen.topic, LAYOUTS["measurement"])
        values = raw[::_STRIDE, ::_STRIDE].astype(np.float64).ravel()
        known = () if self._reading is None else self._reading.invalid
        values = values[np.isfinite(values) & (values > 0) & ~np.isin(values, known)]
        if not values.size:
            return None
        largest = float(values.max())
        others = values[values < largest]
        marks = values.size - others.size
        if not others.size or marks < _MARKS * values.size or largest < _FAR_ABOVE * float(others.max()):
            return None
        return largest


#: Seconds between two decoded images for a window of observation.
def spread_ns(seconds: float) -> int:
    """How far the decoded images lie apart, so that enough are decoded to judge their values."""
    return round(seconds * 1e9 / (IMAGES + 2))
