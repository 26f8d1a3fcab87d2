# SPDX-License-Identifier: Apache-2.0
"""What was seen of a graph or a recording, as plain data: everything that the checks look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.doctor.middleware import Middleware
from ssma_ros.messages.transforms import TransformTree
from ssma_ros.recordings.matching import Stamps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ssma_ros.doctor.setup import Setup
    from ssma_ros.frame import Frame
    from ssma_ros.messages.refusal import RefusedInput
    from ssma_ros.recordings.reader import Topic


@dataclass(frozen=True)
class Offer:
    """One publisher of a topic.

    Attributes:
        node: its node's full name.
        kind: type of its messages.
        reliability: ``reliable`` or ``best_effort``.
        durability: ``volatile`` or ``transient_local``.
    """

    node: str
    kind: str
    reliability: str = "reliable"
    durability: str = "volatile"


@dataclass
class InputSeen:
    """What was seen of one input of the node.

    Attributes:
        sensor: of the table, ``camera_info`` or ``<sensor>_camera_info``.
        name: of its topic before remapping.
        wanted, wanted_kind: topic that the node would subscribe to, resolved, and with which type.
        reliability, durability: that it would ask for.
        topic, kind: what was looked at: ``wanted``, or where nobody publishes that, another that seems to be it; empty
            where there is none.
        offers: who publishes ``topic``.
        arrived_ns, stamps_ns: of each message, when it arrived (was recorded) and its header stamp.
        lost: messages that the middleware says it lost.
        encoding, size, frame_id, image_bytes: of the last image looked at (``size`` is width, height).
        refusals: of the images looked at, why they cannot be used.
        looked_at: how many images were.
        suspicion: what the values of all images look like, where they look wrong.
        settings: parameters that would make them plausible.
        ceiling: raw value that looks like a mark of "no reading" and is not known as one, or None.
        last: the last message that was looked at.
    """

    sensor: str
    name: str
    wanted: str
    wanted_kind: str
    reliability: str = "best_effort"
    durability: str = "volatile"
    topic: str = ""
    kind: str = ""
    offers: tuple[Offer, ...] = ()
    arrived_ns: list[int] = field(default_factory=list)
    stamps_ns: list[int] = field(default_factory=list)
    lost: int = 0
    encoding: str = ""
    size: tuple[int, int] = (0, 0)
    frame_id: str = ""
    image_bytes: int = 0
    refusals: list[RefusedInput] = field(default_factory=list)
    looked_at: int = 0
    suspicion: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    ceiling: float | None = None
    last: Any = None

    @property
    def count(self) -> int:
        """Messages that arrived."""
        return len(self.arrived_ns)

    @property
    def stamps(self) -> Stamps:
        """Its messages, in the form in which frames are matched."""
        return Stamps(np.array(self.stamps_ns, np.int64), np.array(self.arrived_ns, np.int64))


@dataclass(frozen=True)
class Said:
    """One entry of a running node's diagnostics.

    Attributes:
        level: 0 OK, 1 WARN, 2 ERROR.
        message: what it says.
        values: details.
    """

    level: int
    message: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Scene:
    """A graph or a recording.

    Attributes:
        setup: the node's parameters, names and network, as the node would be given them.
        live: a graph; else a recording.
        inputs: by sensor, ``camera_info`` and ``<sensor>_camera_info``: what the node would subscribe to.
        topics: everything that is published.
        ambiguous: by input why none of the topics could be chosen for it.
        nodes: full names of the nodes in the graph, one that is there twice twice.
        said: by name what a running node of ours says in its diagnostics.
        transforms: what tf says.
        listened_to_tf: whether tf could be read at all.
        frame: made of the last images, as the node would make it, or None.
        doubts: by stream what its picture was made with where that is not what was asked for.
        down: unit vector in the colour camera's optical frame, where depth says that it lies on its side.
        ground_m: how far below the camera the ground before it lies by depth, metres, where that can be told.
        middleware: of this shell.
        can_bond: whether bondpy is installed.
    """

    setup: Setup
    live: bool
    inputs: dict[str, InputSeen] = field(default_factory=dict)
    topics: tuple[Topic, ...] = ()
    ambiguous: dict[str, str] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    said: dict[str, Said] = field(default_factory=dict)
    transforms: TransformTree = field(default_factory=TransformTree)
    listened_to_tf: bool = True
    frame: Frame | None = None
    doubts: Mapping[str, str] = field(default_factory=dict)
    down: NDArray[np.float64] | None = None
    ground_m: float | None = None
    middleware: Middleware = field(default_factory=Middleware)
    can_bond: bool = True

    def images(self) -> list[InputSeen]:
        """Inputs that are images."""
        return [seen for name, seen in self.inputs.items() if not name.endswith("camera_info")]

    def partners(self) -> list[InputSeen]:
        """Images that are matched to the driving one."""
        return self.images()[1:]
