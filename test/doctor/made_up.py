# SPDX-License-Identifier: Apache-2.0
"""Made-up observations: a graph or recording as the checks see it, without one."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from ros import messages

from ssma_ros.doctor.choice import new_input
from ssma_ros.doctor.frame import put_together
from ssma_ros.doctor.middleware import Middleware
from ssma_ros.doctor.names import Names
from ssma_ros.doctor.scene import Offer, Scene
from ssma_ros.doctor.setup import make_setup
from ssma_ros.doctor.watch import Watch
from ssma_ros.messages.decode import stamp_ns
from ssma_ros.sensors import readings

WIDTH, HEIGHT = 96, 64
START_NS, S = 1_700_000_000 * 10**9, 10**9
#: Level and forward: x right, y down, z forward in a frame with x forward, y left, z up (REP-103).
LEVEL = (-0.5, 0.5, -0.5, 0.5)


def color(stamp: int, **changes: Any) -> Any:
    return messages.image(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), "bgr8", stamp_ns=stamp, **changes)


def depth(stamp: int, pixels: Any = None, encoding: str = "16UC1", **changes: Any) -> Any:
    rows = np.linspace(8000, 1500, HEIGHT).astype(np.uint16)
    pixels = np.repeat(rows[:, None], WIDTH, 1) if pixels is None else pixels
    return messages.image(pixels, encoding, stamp_ns=stamp, **changes)


def nir(stamp: int, pixels: Any = None, encoding: str = "mono8", **changes: Any) -> Any:
    pixels = np.full((HEIGHT, WIDTH), 120, np.uint8) if pixels is None else pixels
    return messages.image(pixels, encoding, stamp_ns=stamp, **changes)


def info(_stamp: int, **changes: Any) -> Any:
    made = messages.camera_info(WIDTH, HEIGHT, 80.0)
    vars(made).update(changes)
    return made


MAKE: dict[str, Callable[[int], Any]] = {"color": color, "camera_info": info, "depth": depth, "nir": nir}


def scene(*, live: bool = True, names: Names | None = None, without: tuple[str, ...] = (), **parameters: Any) -> Scene:
    """A graph in which everything is published as the node wants it, and of which nothing has come yet."""
    setup = make_setup(parameters, names or Names())
    made = Scene(setup, live, nodes=("/driver",), middleware=Middleware(segment=2**27))
    made.inputs = {topic.sensor: new_input(topic, setup) for topic in setup.topics}
    for sensor, seen in made.inputs.items():
        if sensor not in without:
            seen.topic, seen.kind = seen.wanted, seen.wanted_kind
            seen.offers = (Offer("/driver", seen.kind),)
    return made


def watched(
    made: Scene, *, seconds: float = 2.0, late_s: float = 0.0, off_s: float = 0.0, rate_hz: float = 10.0,
    stamps: Callable[[int], int] | None = None, age_s: float = 0.0, **make: Callable[[int], Any] | None,
) -> Scene:
    """Messages at 10 Hz of every input but those that are None; depth comes late, off its stamp, or at another rate."""
    reading = readings(vars(made.setup.parameters))
    for sensor, seen in made.inputs.items():
        maker = make.get(sensor, MAKE.get(sensor))
        if maker is None or not seen.topic:
            continue
        watch = Watch(seen, reading.get(sensor), round(seconds * S / 7))
        special = sensor == "depth"
        rate = rate_hz if special else 10.0
        for index in range(round(seconds * rate)):
            taken = START_NS + round(index * S / rate) + round((off_s if special else 0.0) * S)
            arrived = taken + round((0.01 + age_s + (late_s if special else 0.0)) * S)
            taken = stamps(taken) if stamps is not None and special else taken
            message = maker(taken)
            if watch.wants(arrived):
                watch.look(message)
            watch.note(arrived, taken if sensor == "camera_info" else stamp_ns(message))
    put_together(made)
    return made


def tf(made: Scene, parent: str, child: str, quaternion: tuple[float, ...]) -> None:
    """Somebody publishes a transform."""
    rotation = SimpleNamespace(**dict(zip("xyzw", quaternion, strict=True)))
    transform = SimpleNamespace(rotation=rotation, translation=SimpleNamespace(x=0.0, y=0.0, z=0.0))
    header = SimpleNamespace(frame_id=parent)
    made.transforms.put_message(
        SimpleNamespace(transforms=[SimpleNamespace(header=header, child_frame_id=child, transform=transform)])
    )


def floor_and_wall(wall: float = 6.0) -> np.ndarray:
    """Depth of a floor 1.2 m below the camera and a wall ahead; 384×192, focal length 250 pixels."""
    rows = (np.arange(192) - 95.5)[:, None]
    with np.errstate(divide="ignore"):
        floor = np.where(rows > 0, 1.2 * 250.0 / rows, np.inf)
    return np.repeat(np.minimum(floor, wall).astype(np.float32), 384, axis=1)
