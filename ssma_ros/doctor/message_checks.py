# SPDX-License-Identifier: Apache-2.0
"""What is in the messages: encodings, values, sizes, frames, calibration."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ssma_ros.doctor.finding import Finding
from ssma_ros.messages.decode import intrinsics_from_camera_info
from ssma_ros.messages.rectify import why_raw
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.messages.transports import lost_colour
from ssma_ros.ros.input_topics import CAMERA_INFO, remapped_base
from ssma_ros.sensors import DRIVER, SENSORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssma_ros.doctor.scene import InputSeen, Scene


def refused(scene: Scene) -> Iterator[Finding]:
    """Images that the node cannot use, in its own words."""
    for seen in scene.images():
        kinds = Counter(refusal.field for refusal in seen.refusals)
        for field, count in kinds.items():
            refusal = next(r for r in seen.refusals if r.field == field)
            share = f"{count} of {seen.looked_at} images"
            whole = "error" if 2 * count >= seen.looked_at else "warning"
            todo = f"have the driver send {refusal.expected}"
            if field == "encoding" and seen.sensor != DRIVER:
                todo += ", or remap the input: is this the right topic?"
            yield Finding("error" if whole == "error" else "warning", seen.sensor,
                          f"{share} on {seen.topic} are refused: {field} is {refusal.got}", todo)


def values(scene: Scene) -> Iterator[Finding]:
    """Values that look like those of another unit: the masks are wrong and nothing else says so."""
    for seen in scene.images():
        if seen.suspicion:
            what, _, remedy = seen.suspicion.partition("; ")
            if not remedy:
                what, _, remedy = seen.suspicion.partition(", ")
            if seen.settings:
                unit = SENSORS[seen.sensor].pixels == "measurement"
                remedy = f"{'another unit' if unit else 'a sensor of fewer bits'}? then set"
            yield Finding("error", seen.sensor, what.partition(": ")[2], remedy or "look at the sensor", seen.settings)


def marks(scene: Scene) -> Iterator[Finding]:
    """A raw value that fills part of the picture and is far beyond all others is "no reading" to the driver."""
    for seen in scene.images():
        if seen.ceiling is not None and not seen.suspicion:
            name = f"{seen.sensor}_invalid"
            known = [value for value in getattr(scene.setup.parameters, name) if value]
            yield Finding("warning", seen.sensor, f"the raw value {seen.ceiling:g} fills part of every picture on "
                          f"{seen.topic}, far from all others: a mark of no reading?", "if so, name it",
                          {name: [*known, seen.ceiling]})


def sizes(scene: Scene) -> Iterator[Finding]:
    """Images of another size than the driving one."""
    driver = scene.inputs[DRIVER]
    for seen in scene.partners():
        if not all((*seen.size, *driver.size)) or seen.size == driver.size or _registered(scene, seen):
            continue
        if scene.setup.parameters.size_mismatch == "resize":
            continue
        alike = abs(seen.size[0] / seen.size[1] - driver.size[0] / driver.size[1]) < 0.02
        yield Finding("error", seen.sensor, f"{seen.topic} is {_x(seen.size)}, colour is {_x(driver.size)}: refused",
                      "if both show the same view, let it be resized" if alike else
                      "publish it registered to the colour camera: another shape is another view",
                      {"size_mismatch": "resize"} if alike else {})


def frames(scene: Scene) -> Iterator[Finding]:
    """An image in another frame than the driving one is not registered to it."""
    driver = scene.inputs[DRIVER]
    for seen in scene.partners():
        if not seen.looked_at or not driver.looked_at or seen.frame_id == driver.frame_id or _registered(scene, seen):
            continue
        where = f"{seen.topic} is in frame '{seen.frame_id}', colour in '{driver.frame_id}'"
        if not scene.setup.parameters.check_frame_id:
            yield Finding("warning", seen.sensor, f"{where}, and check_frame_id is off", "make sure that they show the "
                          "same pixels: a shifted image makes a wrong mask in silence")
            continue
        todo, parameters, remaps = _register(scene, seen)
        yield Finding("error", seen.sensor, f"{where}: refused, it is not registered", todo, parameters, remaps)


def _registered(scene: Scene, seen: InputSeen) -> bool:
    """Whether the node itself brings it into the colour camera's pixels."""
    return bool(getattr(scene.setup.parameters, f"register_{seen.sensor}"))


def _register(scene: Scene, seen: InputSeen) -> tuple[str, dict[str, Any], dict[str, str]]:
    """What to do with an image that is not registered: in words, with parameters, with remappings."""
    aligned = [t.name for t in scene.topics if "align" in t.name or "registered" in t.name or "to_color" in t.name]
    if seen.sensor == "depth" and aligned and seen.topic not in aligned:
        return f"remap {seen.name} to the registered image: {', '.join(aligned)}", {}, {}
    own = f"{remapped_base(seen.sensor, seen.topic, seen.kind).rpartition('/')[0]}/camera_info"
    name = SENSORS[seen.sensor].camera_info
    there = any(t.name == own and t.type == CAMERA_INFO for t in scene.topics)
    remaps = {name: own} if there and scene.setup.names.resolved(name) != own else {}
    return "let the driver register it, or the node, by this camera's own camera_info and tf", {
        f"register_{seen.sensor}": True
    }, remaps


def colour_lost(scene: Scene) -> Iterator[Finding]:
    """image_transport makes grey pictures of encodings that it does not know."""
    for seen in scene.images():
        if seen.sensor == DRIVER and lost_colour(seen.encoding):
            yield Finding("error", seen.sensor, f"{seen.topic} was '{seen.encoding}': the transport sends it in grey",
                          "have the driver publish rgb8 or bgr8, or take the raw image", {"color_transport": "raw"})


def camera_info(scene: Scene) -> Iterator[Finding]:
    """Intrinsics that cannot be used, or are of another camera."""
    seen, driver = scene.inputs["camera_info"], scene.inputs[DRIVER]
    if seen.last is None:
        return
    try:
        camera = intrinsics_from_camera_info(seen.last, seen.topic)
    except RefusedInput as refusal:
        todo = f"expected {refusal.expected}"
        if refusal.field == "binning":
            todo = "have the driver send binning 0 where K, P and size are those of the binned image"
        yield Finding("error", seen.sensor, f"{seen.topic} is refused: {refusal.field} is {refusal.got}", todo)
        return
    size = (camera.width, camera.height)
    if all(driver.size) and size != driver.size:
        todo = "publish the calibration of this image's size"
        if (int(seen.last.width), int(seen.last.height)) == driver.size:
            todo = "have the driver send binning and roi 0: its K, P and size are this image's already"
        yield Finding("error", seen.sensor, f"{seen.topic} is of {_x(size)}, the colour image is {_x(driver.size)}: "
                      "refused, and what is made from depth is blank", todo)
    if driver.looked_at and seen.frame_id and seen.frame_id != driver.frame_id:
        yield Finding("warning", seen.sensor, f"{seen.topic} is in frame '{seen.frame_id}', colour in "
                      f"'{driver.frame_id}': of another camera?", "remap camera/camera_info to colour's own")


def distortion(scene: Scene) -> Iterator[Finding]:
    """A camera_info with distortion belongs to a raw image, or the image beside it is rectified."""
    seen, driver, parameters = scene.inputs["camera_info"], scene.inputs[DRIVER], scene.setup.parameters
    if not parameters.rectify and DRIVER not in parameters.rectified_sensors and why_raw(seen.last, driver.topic):
        yield Finding("warning", seen.sensor, f"D of {seen.topic} is not zero and K and P differ: {driver.topic} is "
                      "probably the raw, distorted image", "let the node rectify it, or remap to the rectified image",
                      {"rectify": True})


def left_out(scene: Scene) -> Iterator[Finding]:
    """What the node would leave out of the frame made of the last images, whatever the other checks have found."""
    if scene.frame is None:
        return
    told = {found.about for check in CHECKS[:-1] for found in check(scene) if found.severity == "error"}
    for sensor, reason in scene.frame.missing.items():
        if reason.startswith("refused: ") and sensor not in told and not _registered(scene, scene.inputs[sensor]):
            yield Finding("error", sensor, reason, "see what is expected there")


def _x(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


CHECKS = (refused, values, marks, sizes, frames, colour_lost, camera_info, distortion, left_out)
