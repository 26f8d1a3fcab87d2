# SPDX-License-Identifier: Apache-2.0
"""What the demo asks of the fusion node: which topics to feed it, which to record, how to start it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ssma_ros.demo.results import OutputTopics
from ssma_ros.encodings.table import ENCODINGS
from ssma_ros.errors import SsmaError
from ssma_ros.messages.assemble import DEFAULT_TOPICS
from ssma_ros.recordings.typestore import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE
from ssma_ros.sensors import DRIVER, SENSORS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssma_ros.contract import Contract
    from ssma_ros.recordings.topics import InputTopics

NODE_NAME = "/ssma_fusion"
#: The node's input topics as it subscribes to them without remapping, by role.
NODE_INPUTS = {role: f"/{topic}" for role, topic in DEFAULT_TOPICS.items()}
#: Network inputs and gates are kept once in this many seconds: they are large, and only looked at.
SPARSE_S = 1.0


@dataclass(frozen=True)
class NodeOptions:
    """How to run the network.

    Attributes:
        model, backend, precision, threads: the node's parameters of the same names.
        program: arguments of the Python interpreter that start the node.
        parameters: further ones of the node, such as a camera's.
    """

    model: str
    backend: str = "auto"
    precision: str = "auto"
    threads: int = 0
    program: tuple[str, ...] = ("-m", "ssma_ros.ros.fusion_node")
    parameters: Mapping[str, Any] = field(default_factory=dict)


def output_topics(contract: Contract) -> OutputTopics:
    """The node's topics that the results are made from."""
    return OutputTopics(
        mask=f"{NODE_NAME}/mask",
        confidence=f"{NODE_NAME}/confidence",
        depth_completed=f"{NODE_NAME}/depth_completed",
        inputs={s.name: f"{NODE_NAME}/{s.name}" for s in contract.streams if not ENCODINGS[s.encoding].is_photograph},
        gates={name: f"{NODE_NAME}/modality_weights/{name}" for name in contract.modalities},
    )


def recorded_topics(contract: Contract) -> list[str]:
    """What the recorder subscribes to, as its command line has it."""
    topics = output_topics(contract)
    sparse = [*topics.gates.values(), topics.depth_completed, *topics.inputs.values()]
    return [
        f"{topics.mask}@{IMAGE}",
        f"{topics.confidence}@{IMAGE}",
        f"{NODE_NAME}/overlay/compressed@{COMPRESSED_IMAGE}",
        f"{NODE_NAME}/camera_info@{CAMERA_INFO}",
        *(f"{topic}@{IMAGE}@{SPARSE_S:g}" for topic in sparse),
    ]


def published_topics(contract: Contract, topics: InputTopics) -> dict[str, str]:
    """Where the player publishes each role that the recording has and the network uses; the driving role first.

    Raises:
        SsmaError: the recording has nothing that can drive the node.
    """
    wanted = {sensor for stream in contract.streams for sensor in stream.sensors} | {DRIVER}
    images = [
        role for sensor in SENSORS.values() if sensor.name in wanted
        for role in (sensor.name, *(["disparity"] if sensor.disparity else [])) if getattr(topics, role)
    ]
    if not images:
        raise SsmaError(f"model: needs {', '.join(sorted(wanted))}, the recording has none of them")
    infos = ["camera_info", *(f"{sensor}_camera_info" for sensor in SENSORS if sensor in wanted and sensor != DRIVER)]
    roles = [*images, *(role for role in infos if getattr(topics, role))]
    return {role: NODE_INPUTS[role] for role in roles}


def node_command(options: NodeOptions, topics: InputTopics, publish: dict[str, str]) -> list[str]:
    """Start the real node so that it activates itself and listens to what the player publishes."""
    parameters = {
        **{name: json.dumps(value) for name, value in options.parameters.items()},
        "model": options.model,
        "backend": options.backend,
        "precision": options.precision,
        "threads": str(options.threads),
        "autostart": "true",
        "driver": DRIVER if getattr(topics, DRIVER) else "any",
        **{f"{sensor}_source": _source(sensor, publish) for sensor in SENSORS if sensor != DRIVER},
    }
    # On loopback a lost image would be a flaw of the demo, not of the sensor: player and node speak reliably.
    parameters |= {f"{role}_reliability": "reliable" for role in ("camera_info", *SENSORS)}
    command = [sys.executable, *options.program, "--ros-args"]
    for name, value in parameters.items():
        command += ["-p", f"{name}:={value}"]
    return command


def _source(sensor: str, publish: dict[str, str]) -> str:
    if sensor in publish:
        return "image"
    return "disparity" if SENSORS[sensor].disparity and "disparity" in publish else "none"
