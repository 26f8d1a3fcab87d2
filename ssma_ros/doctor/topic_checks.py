# SPDX-License-Identifier: Apache-2.0
"""Do the inputs' messages get to the node: topics, types, QoS, and who else is in the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssma_ros.cameras import load_preset, preset_names
from ssma_ros.doctor.finding import Finding
from ssma_ros.doctor.middleware import profile_lines
from ssma_ros.ros.input_topics import COMPRESSED_IMAGE, fitting_settings, other_type, remapped_base
from ssma_ros.sensors import DRIVER, SENSORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssma_ros.cameras import CameraPreset
    from ssma_ros.doctor.finding import Severity
    from ssma_ros.doctor.scene import InputSeen, Scene

_OK = 0


def setup(scene: Scene) -> Iterator[Finding]:
    """Parameter files and parameters that do nothing or cannot be."""
    yield from scene.setup.findings


def nobody_publishes(scene: Scene) -> Iterator[Finding]:
    """An input without a publisher, and what it may be called here."""
    for seen in scene.inputs.values():
        if seen.topic == seen.wanted or seen.sensor.endswith("_camera_info"):
            continue  # those of registered sensors are another check's
        nobody = f"nobody publishes {seen.wanted}" if scene.live else f"{seen.wanted} was not recorded"
        if seen.topic:
            parameters, remaps = _reading(scene, seen)
            kind = f" ({seen.kind})" if seen.kind != seen.wanted_kind else ""
            # A recording's topics are found without that; it matters for the robot that publishes them.
            severity: Severity = "error" if scene.live else "note"
            yield Finding(severity, seen.sensor, f"{nobody}; {seen.topic}{kind} seems to be it",
                          "read that" if scene.live else "read that on the robot", parameters, remaps)
        elif seen.sensor in scene.ambiguous:
            yield Finding("error", seen.sensor, f"{nobody}; {scene.ambiguous[seen.sensor]}",
                          "look again with --topic, then remap it")
        elif seen.sensor in SENSORS:
            yield _without(scene, seen, nobody)
        elif scene.setup.needs_camera and scene.inputs[DRIVER].topic:
            yield Finding("error", seen.sensor, f"{nobody}, and what is made from depth is blank without it",
                          "have the driver publish the calibration of the rectified colour image")


def camera_preset(scene: Scene) -> Iterator[Finding]:
    """Topics that are those of a camera with a preset: one argument instead of all the remappings."""
    if scene.inputs[DRIVER].topic in ("", scene.inputs[DRIVER].wanted):
        return
    fitting: dict[str, list[str]] = {}
    for name in preset_names():
        prefix = _prefix(load_preset(name), {topic.name for topic in scene.topics})
        if prefix is not None:
            fitting.setdefault(prefix, []).append(name)
    for prefix, names in fitting.items():
        usual = load_preset(names[0]).prefix == prefix
        more = "" if usual else f" camera_prefix:={prefix}"
        yield Finding("note", "camera", f"its topics are those of the preset {' or '.join(names)}", "instead of "
                      "remapping, start with it", shell=(
                          f"ros2 launch ssma_ros fusion.launch.py camera:={names[0]}{more}",))


def _prefix(preset: CameraPreset, published: set[str]) -> str | None:
    """Where all topics of a preset lie in the graph; None where they do not."""
    end = f"/{preset.topics[DRIVER]}"
    prefixes = [name.removesuffix(end) for name in sorted(published) if name.endswith(end)]
    return next((p for p in prefixes if len(preset.topics) > 1 and set(preset.named(p).values()) <= published), None)


def _without(scene: Scene, seen: InputSeen, nobody: str) -> Finding:
    name = SENSORS[seen.sensor].title
    if scene.setup.required(seen.sensor):
        return Finding("error", seen.sensor, f"{nobody}, and without it nothing comes out",
                       f"start the camera's driver, or remap {seen.name}" if scene.live else "record it")
    used = [s.name for s in (scene.setup.contract.streams if scene.setup.contract else ()) if seen.sensor in s.sensors]
    # Its source cannot be none where it drives.
    parameters = {f"{seen.sensor}_source": "none"} if seen.sensor != DRIVER else {}
    return Finding("warning", seen.sensor, f"{nobody}: {', '.join(used) or name} is blank in every frame",
                   f"{'start its driver or remap it' if scene.live else 'record it'}; where the robot has none, say so",
                   parameters)


def _reading(scene: Scene, seen: InputSeen) -> tuple[dict[str, Any], dict[str, str]]:
    """What makes the node read the topic that was found: parameters and remappings."""
    settings: dict[str, Any] = fitting_settings(seen.sensor, seen.kind) if seen.kind != seen.wanted_kind else {}
    sensor = SENSORS.get(seen.sensor)
    disparity = sensor is not None and bool(sensor.disparity) and "DisparityImage" in seen.kind
    start = sensor.disparity if sensor is not None and disparity else seen.name
    base = remapped_base(seen.sensor, seen.topic, seen.kind)
    return settings, {} if scene.setup.names.resolved(start) == base else {start: base}


def other_types(scene: Scene) -> Iterator[Finding]:
    """A topic that carries messages of another type is never heard, in silence."""
    for seen in scene.inputs.values():
        if seen.topic != seen.wanted:
            continue
        words = other_type(seen.sensor, seen.topic, seen.wanted_kind, [(o.kind, o.node) for o in seen.offers])
        if not words:
            continue
        what, _, remedy = words.partition(": ")
        parameters, remaps = _reading(scene, seen)
        if seen.kind == COMPRESSED_IMAGE and seen.sensor in SENSORS:
            transport = SENSORS[seen.sensor].transport
            if not seen.topic.endswith(f"/{transport}"):
                remaps = {f"{seen.name}/{transport}": seen.topic}
        else:
            remaps = remaps if "DisparityImage" in seen.kind and parameters else {}
        yield Finding("error", seen.sensor, what, remedy, parameters, remaps)


def qos_does_not_fit(scene: Scene) -> Iterator[Finding]:
    """A publisher whose QoS is less than is asked for is not heard."""
    if not scene.live:
        return
    for seen in scene.inputs.values():
        offers = [offer for offer in seen.offers if offer.kind == seen.wanted_kind]
        if not offers:
            continue
        parameter = "camera_info_reliability" if seen.sensor.endswith("camera_info") else f"{seen.sensor}_reliability"
        if seen.reliability == "reliable" and all(offer.reliability == "best_effort" for offer in offers):
            yield Finding("error", seen.sensor, f"{seen.topic} is offered best effort ({offers[0].node}), the node "
                          "asks for reliable and hears nothing", "ask for best effort", {parameter: "best_effort"})
        elif seen.durability == "transient_local" and all(offer.durability == "volatile" for offer in offers):
            yield Finding("error", seen.sensor, f"{seen.topic} is offered volatile ({offers[0].node}), the node asks "
                          "for transient local by qos_overrides and hears nothing", "take the override away")


def silent(scene: Scene) -> Iterator[Finding]:
    """Somebody publishes a topic, and nothing comes."""
    if not scene.live:
        return
    for seen in scene.inputs.values():
        if not seen.offers or seen.count or not seen.topic:
            continue
        node = seen.offers[0].node
        if seen.sensor.endswith("camera_info"):
            latched = any(offer.durability == "transient_local" for offer in seen.offers)
            todo = "look at the driver" if latched else "have the driver send it with every image, or latched"
            why = "" if latched else "; a node that starts later never gets one that was sent once"
            severity: Severity = "error" if scene.setup.needs_camera else "warning"
            yield Finding(severity, seen.sensor, f"{node} publishes {seen.topic}, and none came{why}", todo)
        else:
            yield Finding("error" if scene.setup.required(seen.sensor) else "warning", seen.sensor,
                          f"{node} publishes {seen.topic}, and nothing came",
                          "is the camera connected, the driver active? Does ros2 topic hz see images?")


def two_publishers(scene: Scene) -> Iterator[Finding]:
    """Two cameras on one topic make a stream that jumps between them."""
    if not scene.live:
        return
    for seen in scene.images():
        nodes = [offer.node for offer in seen.offers]
        if len(nodes) > 1:
            yield Finding("warning", seen.sensor, f"{seen.topic} has {len(nodes)} publishers: {', '.join(nodes)}",
                          "stop all but one, or put each driver into a namespace")


def two_nodes(scene: Scene) -> Iterator[Finding]:
    """Two nodes of one name confuse every tool and each other's services."""
    count = scene.nodes.count(scene.setup.names.full)
    if count > 1:
        yield Finding("error", "node", f"{count} nodes are called {scene.setup.names.full}",
                      "end all but one, or start each with its own --namespace")


def node_says(scene: Scene) -> Iterator[Finding]:
    """What a running node of ours has to say itself."""
    for name, said in scene.said.items():
        if said.level != _OK:
            yield Finding("error" if said.level > 1 else "warning", name, f"the running node says: {said.message}",
                          "see the other lines about it, or its log")


def no_bond(scene: Scene) -> Iterator[Finding]:
    """nav2's lifecycle manager gives a node up that sends no sign of life."""
    managers = [node for node in scene.nodes if "lifecycle_manager" in node]
    if managers and not scene.can_bond:
        yield Finding("warning", "node", f"{managers[0]} wants a bond, and bondpy is not installed here",
                      "apt install ros-$ROS_DISTRO-bondpy, or set bond_timeout: 0.0 in the manager's parameters",
                      {} if not scene.setup.parameters.autostart else {"autostart": False})


def big_images(scene: Scene) -> Iterator[Finding]:
    """Images of which not even two fit into the shared memory of the middleware."""
    segment = scene.middleware.segment
    if not scene.live or segment is None:
        return
    big = [seen for seen in scene.images() if 2 * seen.image_bytes > segment]
    if big:
        seen = max(big, key=lambda seen: seen.image_bytes)
        yield Finding("warning", "middleware", f"an image on {seen.topic} has {seen.image_bytes / 1e6:.1f} MB, "
                      f"{scene.middleware.rmw} has {segment / 1e6:.1f} MB of shared memory for all in this shell",
                      "give this shell, the node's and the camera driver's the profile", shell=profile_lines())


CHECKS = (
    setup, nobody_publishes, camera_preset, other_types, qos_does_not_fit, silent, two_publishers, two_nodes, node_says,
    no_bond, big_images,
)
