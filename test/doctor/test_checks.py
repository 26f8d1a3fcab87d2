# SPDX-License-Identifier: Apache-2.0
"""Every check on made-up observations: what it finds, how bad that is, and the line to paste."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doctor.made_up import (
    HEIGHT,
    LEVEL,
    START_NS,
    WIDTH,
    S,
    color,
    depth,
    floor_and_wall,
    info,
    nir,
    scene,
    tf,
    watched,
)
from ros import messages

from ssma_ros.cameras import load_preset, preset_names
from ssma_ros.doctor import checks, geometry_checks, message_checks, timing_checks, topic_checks
from ssma_ros.doctor.choice import choose, new_input
from ssma_ros.doctor.finding import Finding
from ssma_ros.doctor.middleware import Middleware
from ssma_ros.doctor.names import Names, read_names
from ssma_ros.doctor.scene import Offer, Said, Scene
from ssma_ros.doctor.setup import read_setup
from ssma_ros.recordings.reader import Topic
from ssma_ros.ros.input_topics import COMPRESSED_IMAGE, DISPARITY_IMAGE, IMAGE
from ssma_ros.ros.parameters import FusionParameters, unknown_names


def found(made: Scene, check: Callable[[Scene], Any]) -> list[Finding]:
    return [finding for finding in checks.examine(made) if finding.check == check.__name__]


def one(made: Scene, check: Callable[[Scene], Any], severity: str, *words: str, **parameters: Any) -> Finding:
    """The one finding of a check: its severity, words that it says, and its parameters to paste."""
    (finding,) = found(made, check)
    assert finding.severity == severity
    text = f"{finding.seen} -> {finding.todo}"
    assert not [word for word in words if word not in text], text
    assert finding.parameters == parameters
    node = {name: value for name, value in parameters.items() if name != "use_sim_time"}
    FusionParameters().replaced(node)  # the node takes it
    assert not unknown_names(node)
    return finding


def test_where_all_is_well_nothing_is_said() -> None:
    # A floor that rises into a wall is too little to tell gravity from: that is said, and nothing else.
    assert [f for f in checks.examine(watched(scene())) if f.check != "tilted"] == []


# --- topics


def with_topics(made: Scene, *topics: tuple[str, str, str]) -> Scene:
    """What is published instead of what is not there."""
    made.topics = tuple(Topic(name, kind, 1, encoding) for name, kind, encoding in topics)
    choose(made, {}, "graph")
    return made


def test_a_topic_of_another_name_is_suggested() -> None:
    made = with_topics(
        scene(without=("color", "camera_info", "depth", "nir")),
        ("/zed/left/image_rect_color", IMAGE, "bgr8"), ("/zed/left/camera_info", "sensor_msgs/msg/CameraInfo", ""),
        ("/zed/depth/depth_registered", IMAGE, "32FC1"),
    )
    findings = {finding.about: finding for finding in found(made, topic_checks.nobody_publishes)}
    assert {about: f.severity for about, f in findings.items()} == {
        "color": "error", "camera_info": "error", "depth": "error", "nir": "warning"}
    assert findings["color"].remaps == {"camera/image_rect": "/zed/left/image_rect_color"}
    assert findings["camera_info"].remaps == {"camera/camera_info": "/zed/left/camera_info"}
    assert findings["depth"].remaps == {"depth/image_rect": "/zed/depth/depth_registered"}
    assert findings["nir"].parameters == {"nir_source": "none"}
    assert "evi is blank in every frame" in findings["nir"].seen


@pytest.mark.parametrize("name", preset_names())
def test_a_camera_with_a_preset_is_known_by_its_topics(name: str) -> None:
    kinds = {"disparity": DISPARITY_IMAGE, "camera_info": "sensor_msgs/msg/CameraInfo"}
    preset = load_preset(name)
    for prefix, more in ((preset.prefix, ""), ("/front", " camera_prefix:=/front")):
        made = scene(without=("color", "camera_info", "depth", "nir"))
        there = preset.named(prefix).items()
        with_topics(made, *((topic, kinds.get(role.rpartition("r_")[2], IMAGE), "") for role, topic in there))
        made.inputs["color"].topic = preset.named(prefix)["color"]
        (finding,) = found(made, topic_checks.camera_preset)
        assert finding.severity == "note"
        assert name in finding.seen
        assert finding.shell[0].endswith(more)
    assert found(scene(), topic_checks.camera_preset) == []


def test_a_compressed_or_disparity_topic_is_read_by_a_parameter() -> None:
    made = with_topics(
        scene(without=("color", "depth")), ("/cam/color/image/compressed", COMPRESSED_IMAGE, "bgr8; jpeg"),
        ("/stereo/disparity", DISPARITY_IMAGE, ""),
    )
    findings = {finding.about: finding for finding in found(made, topic_checks.nobody_publishes)}
    assert findings["color"].parameters == {"color_transport": "compressed"}
    assert findings["color"].remaps == {"camera/image_rect": "/cam/color/image"}
    assert findings["depth"].parameters == {"depth_source": "disparity"}
    assert findings["depth"].remaps == {"depth/disparity": "/stereo/disparity"}


def test_several_that_could_be_it_are_named() -> None:
    made = with_topics(scene(without=("color",)), ("/a/image_color", IMAGE, ""), ("/b/image_color", IMAGE, ""))
    finding = one(made, topic_checks.nobody_publishes, "error", "2 topics could be color (/a/image_color", "--topic")
    assert finding.about == "color"


def test_without_colour_nothing_comes_out() -> None:
    one(scene(without=("color",)), topic_checks.nobody_publishes, "error", "nobody publishes /camera/image_rect")


def test_missing_calibration() -> None:
    one(scene(without=("camera_info",)), topic_checks.nobody_publishes, "error", "/camera/camera_info", "blank")


@pytest.mark.parametrize(
    ("kind", "parameters", "remaps"),
    [
        (COMPRESSED_IMAGE, {"depth_transport": "compressedDepth"},
         {"depth/image_rect/compressedDepth": "/depth/image_rect"}),
        (DISPARITY_IMAGE, {"depth_source": "disparity"}, {"depth/disparity": "/depth/image_rect"}),
        ("sensor_msgs/msg/PointCloud2", {}, {}),
    ],
)
def test_a_topic_of_another_type(kind: str, parameters: dict[str, Any], remaps: dict[str, str]) -> None:
    made = scene()
    made.inputs["depth"].kind, made.inputs["depth"].offers = kind, (Offer("/driver", kind),)
    finding = one(made, topic_checks.other_types, "error", f"carries {kind} (from /driver)", **parameters)
    assert finding.remaps == remaps


def test_reliability_that_does_not_fit() -> None:
    made = scene(depth_reliability="reliable")
    made.inputs["depth"].offers = (Offer("/driver", IMAGE, "best_effort"),)
    one(made, topic_checks.qos_does_not_fit, "error", "/depth/image_rect", "/driver", depth_reliability="best_effort")
    made.inputs["depth"].offers += (Offer("/other", IMAGE, "reliable"),)
    assert found(made, topic_checks.qos_does_not_fit) == []


def test_an_override_of_qos_that_does_not_fit() -> None:
    made = scene(**{"qos_overrides./depth/image_rect.subscription.durability": "transient_local"})
    one(made, topic_checks.qos_does_not_fit, "error", "transient local by qos_overrides")


def test_an_override_that_fits_no_topic() -> None:
    name = "qos_overrides./depth/image.subscription.reliability"
    one(scene(**{name: "reliable"}), topic_checks.setup, "warning", f"'{name}'", "/depth/image_rect")


def test_a_publisher_that_sends_nothing() -> None:
    made = watched(scene(), nir=None)
    one(made, topic_checks.silent, "warning", "/driver publishes /nir/image_rect, and nothing came")
    made = watched(scene(), color=None)
    one(made, topic_checks.silent, "error", "/driver publishes /camera/image_rect")


def test_calibration_that_was_sent_once_before() -> None:
    made = watched(scene(), camera_info=None)
    one(made, topic_checks.silent, "error", "a node that starts later never gets one", "latched")


def test_two_cameras_on_one_topic_and_two_nodes_of_one_name() -> None:
    made = watched(scene())
    made.inputs["color"].offers *= 2
    made.nodes = ("/ssma_fusion", "/ssma_fusion")
    one(made, topic_checks.two_publishers, "warning", "2 publishers: /driver, /driver")
    one(made, topic_checks.two_nodes, "error", "2 nodes are called /ssma_fusion")


def test_what_the_running_node_says_is_repeated() -> None:
    made = watched(scene())
    made.said = {"inference": Said(2, "nothing comes out"), "color": Said(0, "10.0 Hz")}
    one(made, topic_checks.node_says, "error", "nothing comes out")


def test_a_lifecycle_manager_without_bondpy() -> None:
    made = watched(scene())
    made.nodes = ("/lifecycle_manager_navigation",)
    assert found(made, topic_checks.no_bond) == []
    made.can_bond = False
    one(made, topic_checks.no_bond, "warning", "bond_timeout: 0.0", autostart=False)


# --- parameters


def test_a_parameter_file_for_another_node(tmp_path: Path) -> None:
    file = tmp_path / "robot.yaml"
    file.write_text("fusion_node:\n  ros__parameters:\n    sync_slop: 0.9\n")
    setup = read_setup([str(file)], [], Names(), None)
    (finding,) = setup.findings
    assert finding.severity == "error"
    assert "/fusion_node" in finding.seen
    assert "/ssma_fusion or /**" in finding.todo
    assert setup.parameters.sync_slop == FusionParameters().sync_slop


def test_parameters_are_read_as_rcl_does(tmp_path: Path) -> None:
    file = tmp_path / "robot.yaml"
    file.write_text(
        "front:\n  ssma_fusion:\n    ros__parameters: {sync_slop: 0.2}\n"
        "/**:\n  ros__parameters: {sync_slop: 0.9, stale_after: 2.0}\nother:\n  ros__parameters: {stale_after: 9.0}\n"
    )
    names = read_names(["camera/image_rect:=/cam"], "front")
    setup = read_setup([str(file)], ["sync_timeout:=0.3"], names, None)
    parameters = setup.parameters
    assert (parameters.sync_slop, parameters.stale_after, parameters.sync_timeout) == (0.2, 2.0, 0.3)
    assert setup.findings == ()
    assert [new_input(topic, setup).wanted for topic in setup.topics][:2] == ["/cam", "/front/depth/image_rect"]


def test_unknown_and_impossible_parameters() -> None:
    unknown, impossible = scene(sync_slopp=0.1, jpeg_quality=0).setup.findings
    assert (unknown.severity, "'sync_slop'" in unknown.todo) == ("warning", True)
    assert (impossible.severity, "jpeg_quality is 0" in impossible.seen) == ("error", True)
    assert impossible.parameters == {"jpeg_quality": 80}


@pytest.mark.parametrize(
    ("remaps", "namespace", "name", "resolved"),
    [
        ((), None, "camera/image_rect", "/camera/image_rect"),
        ((), "/front/", "camera/image_rect", "/front/camera/image_rect"),
        (("camera/image_rect:=image",), "front", "camera/image_rect", "/front/image"),
        (("/front/camera/image_rect:=/x",), "front", "camera/image_rect", "/x"),
        (("a:=/first", "a:=/second"), None, "a", "/first"),
        (("ssma_fusion:a:=/mine", "other:b:=/not_mine"), None, "a", "/mine"),
        (("ssma_fusion:a:=/mine", "other:b:=/not_mine"), None, "b", "/b"),
        (("__ns:=/front", "__node:=n"), None, "~/mask", "/front/n/mask"),
    ],
)
def test_names_are_remapped_as_rcl_does(remaps: tuple[str, ...], namespace: str, name: str, resolved: str) -> None:
    assert read_names(remaps, namespace).resolved(name) == resolved


# --- messages


def test_an_encoding_that_is_refused() -> None:
    made = watched(scene(), depth=lambda stamp: color(stamp))
    finding = one(made, message_checks.refused, "error", "encoding is 'bgr8'", "16UC1", "right topic?")
    assert finding.about == "depth"


def test_depth_in_millimetres_as_floats() -> None:
    metres = depth(0).data.view(np.uint16).reshape(HEIGHT, WIDTH).astype(np.float32)
    made = watched(scene(), depth=lambda stamp: depth(stamp, metres, "32FC1"))
    one(made, message_checks.values, "error", "the median is 4,904 m", "expected 0.1 to 500",
        "another unit? then set", depth_scale=0.001)


def test_depth_in_metres_as_integers() -> None:
    made = watched(scene(), depth=lambda stamp: depth(stamp, np.full((HEIGHT, WIDTH), 4, np.uint16)))
    one(made, message_checks.values, "error", "the median is 0.004 m", depth_scale=1.0)


def test_nir_of_twelve_bits_at_full_scale_of_sixteen() -> None:
    made = watched(scene(), nir=lambda stamp: nir(stamp, np.full((HEIGHT, WIDTH), 3000, np.uint16), "mono16"))
    one(made, message_checks.values, "error", "no pixel above 3000 of 65535", nir_full_scale=4095.0)


def test_a_sensor_that_is_off() -> None:
    made = watched(scene(), depth=lambda stamp: depth(stamp, np.zeros((HEIGHT, WIDTH), np.uint16)))
    one(made, message_checks.values, "error", "every image has no reading in it", "is the sensor on")


def test_a_mark_of_no_reading_that_nobody_has_told() -> None:
    marked = np.full((HEIGHT, WIDTH), 2500, np.uint16)
    marked[: HEIGHT // 4] = 60000
    made = watched(scene(), depth=lambda stamp: depth(stamp, marked))
    one(made, message_checks.marks, "warning", "raw value 60000", depth_invalid=[65535.0, 60000.0])
    assert found(watched(scene(depth_invalid=[60000.0]), depth=lambda s: depth(s, marked)), message_checks.marks) == []


def test_images_of_another_size() -> None:
    small = np.full((HEIGHT // 2, WIDTH // 2), 120, np.uint8)
    one(watched(scene(), nir=lambda s: nir(s, small)), message_checks.sizes, "error", "48x32, colour is 96x64",
        size_mismatch="resize")
    one(watched(scene(), nir=lambda s: nir(s, small[:20])), message_checks.sizes, "error", "another shape")
    assert found(watched(scene(size_mismatch="resize"), nir=lambda s: nir(s, small)), message_checks.sizes) == []


def test_images_in_another_frame() -> None:
    elsewhere = lambda s: depth(s, frame_id="depth_optical")  # noqa: E731
    one(watched(scene(), depth=elsewhere), message_checks.frames, "error", "'depth_optical', colour in 'camera'",
        register_depth=True)
    one(watched(scene(check_frame_id=False), depth=elsewhere), message_checks.frames, "warning", "same pixels")
    made = scene()
    made.topics = (Topic("/cam/aligned_depth_to_color/image_raw", IMAGE, 1),)
    one(watched(made, depth=elsewhere), message_checks.frames, "error", "/cam/aligned_depth_to_color/image_raw")


def test_colour_that_the_transport_threw_away() -> None:
    made = watched(scene(color_transport="compressed"), color=None)
    made.inputs["color"].encoding = "yuv422_yuy2; jpeg compressed mono8"
    one(made, message_checks.colour_lost, "error", "in grey", color_transport="raw")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"k": [0.0] * 9, "p": [0.0] * 12}, "positive focal lengths"),
        ({"width": 48, "height": 32}, "48x32, the colour image is 96x64"),
        ({"binning_x": 2, "binning_y": 2}, "send binning and roi 0"),
        (
            {"binning_x": 2, "binning_y": 2, "width": 192, "height": 128},
            "binning 0 where K, P and size are those of the binned image",
        ),
    ],
)
def test_calibration_that_cannot_be_used(changes: dict[str, Any], words: str) -> None:
    made = watched(scene(), camera_info=lambda s: info(s, **changes))
    one(made, message_checks.camera_info, "error", words)


def test_calibration_of_another_camera() -> None:
    other = messages.header(frame_id="right_camera")
    one(watched(scene(), camera_info=lambda s: info(s, header=other)), message_checks.camera_info, "warning",
        "'right_camera', colour in 'camera'")


def test_a_raw_image_is_told_by_its_calibration() -> None:
    k = [75.0, 0.0, 47.0, 0.0, 75.0, 31.0, 0.0, 0.0, 1.0]
    distorted = lambda s: info(s, d=[0.1, 0.0, 0.0, 0.0, 0.0], k=k)  # noqa: E731
    made = watched(scene(names=read_names(["camera/image_rect:=/camera/image_raw"])), camera_info=distorted)
    (finding,) = found(made, message_checks.distortion)
    assert finding.severity == "warning"
    assert "/camera/image_raw is probably the raw, distorted image" in finding.seen
    assert found(watched(scene(), camera_info=distorted), message_checks.distortion) == [], "called rectified"


def test_whatever_the_node_would_leave_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what none of the other checks knows."""
    monkeypatch.setattr(message_checks, "CHECKS", (message_checks.left_out,))
    made = watched(scene(), depth=lambda s: depth(s, frame_id="depth_optical"))
    (finding,) = message_checks.left_out(made)
    assert "header.frame_id is 'depth_optical'" in finding.seen


# --- timing


def test_a_driver_that_does_not_stamp() -> None:
    one(watched(scene(), stamps=lambda _: 0), timing_checks.not_stamped, "error", "20 of 20 messages", "no stamp (0)")
    whole = watched(scene(), stamps=lambda ns: ns // S * S)
    one(whole, timing_checks.not_stamped, "error", "the stamp of the one before")
    offline = watched(scene(live=False), stamps=lambda _: 0)
    one(offline, timing_checks.not_stamped, "warning", "no stamp (0)")


def test_stamps_that_go_back() -> None:
    made = watched(scene(), stamps=lambda ns: ns - S // 2 if ns > START_NS + S else ns)
    one(made, timing_checks.stamps_go_back, "warning", "go back 1 times", "0.40 s")


def test_a_partner_that_arrives_late() -> None:
    made = watched(scene(), late_s=0.2)
    one(made, timing_checks.late, "error", "arrives 200 ms after its colour image", "sync_timeout is 100 ms: 100 %",
        sync_timeout=0.25)
    assert found(watched(scene(sync_timeout=0.25), late_s=0.2), timing_checks.late) == []
    assert found(watched(scene(live=False), late_s=0.2), timing_checks.late) == [], "a recording has no hurry"


def test_stamps_of_a_partner_that_are_off() -> None:
    one(watched(scene(sync_slop=0.01), off_s=0.03), timing_checks.apart, "error", "+30 ms off", "sync_slop is 10 ms",
        sync_slop=0.04)


def test_a_partner_at_another_rate() -> None:
    made = watched(scene(), rate_hz=4.0, seconds=4.0)
    one(made, timing_checks.apart, "warning", "4.0 Hz beside 10.0", "% of the frames go without", sync_slop=0.11)


def test_two_clocks() -> None:
    one(watched(scene(), off_s=3600.0, late_s=-3600.0), timing_checks.apart, "error", "3,600 s apart: two clocks")


def test_a_sensor_that_counts_as_failed_between_its_images() -> None:
    made = watched(scene(), rate_hz=1.0, seconds=5.0)
    one(made, timing_checks.slow, "error", "1.00 Hz", stale_after=2.5)


def test_images_that_get_lost() -> None:
    made = watched(scene())
    seen = made.inputs["color"]
    del seen.arrived_ns[2:14], seen.stamps_ns[2:14]
    seen.stamps_ns[2:2], seen.arrived_ns[2:2] = [START_NS + S * 2 // 10], [START_NS + S * 2 // 10]
    seen.image_bytes = 3_000_000
    finding = one(made, timing_checks.losses, "error", "of 10.0 Hz arrive", "Fast DDS profile")
    assert any("FASTDDS_DEFAULT_PROFILES_FILE=" in line for line in finding.shell)


def test_losses_that_the_middleware_counts() -> None:
    made = watched(scene())
    made.inputs["color"].lost = 60
    one(made, timing_checks.losses, "error", "75 % of the images are lost")


def test_stamps_of_another_clock_than_this_machines() -> None:
    one(watched(scene(), age_s=900.0), timing_checks.old, "warning", "900 s off this machine's clock")
    simulated = scene()
    simulated.topics = (Topic("/clock", "rosgraph_msgs/msg/Clock", 1),)
    one(watched(simulated, age_s=900.0), timing_checks.old, "note", "/clock is published", use_sim_time=True)
    one(watched(scene(), age_s=0.6), timing_checks.old, "warning", "610 ms old")


# --- geometry


def turned(made: Scene, degrees: float) -> Scene:
    """tf of a camera that is turned about its optical axis."""
    half = math.radians(degrees) / 2
    tf(made, "odom", "base_link", (0.0, 0.0, 0.0, 1.0))
    x, y, z, w = LEVEL
    c, s = math.cos(half), math.sin(half)
    tf(made, "base_link", "camera", (x * c + y * s, y * c - x * s, z * c + w * s, w * c - z * s))
    return made


def test_a_camera_on_its_side() -> None:
    one(turned(watched(scene()), 90.0), geometry_checks.tilted, "error", "turned by 90 degrees", gravity_frame="odom")
    level = turned(watched(scene()), 10.0)
    level.doubts = {}
    assert found(level, geometry_checks.tilted) == []
    assert found(turned(watched(scene(gravity_frame="odom")), 90.0), geometry_checks.gravity_frame) == []


@pytest.mark.parametrize(
    ("pixels", "encoding", "below", "scale"),
    [
        (floor_and_wall() * 1e4, "16UC1", 12.0, 1e-4),  # tenths of a millimetre
        (floor_and_wall() * 1e2, "16UC1", 0.12, None),  # a low robot, or centimetres: nobody knows
        (floor_and_wall() * 10, "32FC1", 12.0, 0.1),
        (floor_and_wall() * 1e3, "16UC1", 1.2, None),
    ],
)
def test_a_unit_that_is_wrong_by_ten_shows_in_the_cameras_height(
    pixels: np.ndarray, encoding: str, below: float, scale: float | None
) -> None:
    pixels = pixels.astype(np.uint16 if encoding == "16UC1" else np.float32)
    picture = np.full((192, 384, 3), 90, np.uint8)
    made = watched(
        scene(), color=lambda s: messages.image(picture, "bgr8", stamp_ns=s), nir=None,
        depth=lambda s: depth(s, pixels, encoding), camera_info=lambda _: messages.camera_info(384, 192, 250.0),
    )
    assert made.ground_m == pytest.approx(below, rel=0.05)
    if scale is None:
        assert found(made, geometry_checks.ground) == []
    else:
        one(made, geometry_checks.ground, "warning", "m below the camera", "has another unit than", depth_scale=scale)


def test_a_camera_on_its_side_without_tf() -> None:
    side = np.ascontiguousarray(np.rot90(floor_and_wall(12.0), -1))
    picture = np.full((384, 192, 3), 90, np.uint8)
    made = watched(
        scene(), color=lambda s: messages.image(picture, "bgr8", stamp_ns=s), nir=None,
        depth=lambda s: depth(s, side, "32FC1"), camera_info=lambda _: messages.camera_info(192, 384, 250.0),
    )
    finding = one(made, geometry_checks.tilted, "error", "depth says that the camera is turned by 90 degrees",
                  gravity_frame="base_footprint")
    (line,) = finding.shell
    assert "--frame-id base_footprint --child-frame-id camera" in line
    quaternion = tuple(float(line.split(f"--q{name} ")[1].split()[0]) for name in "xyzw")
    tf(made, "base_footprint", "camera", quaternion)
    rotation = geometry_checks.rotation(made.transforms, "camera", "base_footprint")
    assert rotation is not None
    np.testing.assert_allclose(rotation @ [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], atol=0.02)  # down is the image's left
    np.testing.assert_allclose(rotation @ [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], atol=0.02)  # and ahead stays ahead


def test_gravity_that_depth_does_not_tell() -> None:
    """As the node sees it: a plane that fills the picture has no floor."""
    wall = np.full((HEIGHT, WIDTH), 2500, np.uint16)
    made = watched(scene(), depth=lambda s: depth(s, wall))
    one(made, geometry_checks.tilted, "warning", "hha: gravity estimated from depth is refused", "gravity_frame")


def test_a_gravity_frame_that_tf_does_not_know() -> None:
    made = turned(watched(scene(gravity_frame="odometry")), 0.0)
    one(made, geometry_checks.gravity_frame, "error", "no frame 'odometry' (it has base_link, camera, odom)",
        "'odom' may be meant", gravity_frame="odom")
    one(watched(scene(gravity_frame="odom")), geometry_checks.gravity_frame, "error", "nobody publishes tf")
    two = watched(scene(gravity_frame="map"))
    tf(two, "map", "odom", LEVEL)
    tf(two, "camera_link", "camera", LEVEL)
    one(two, geometry_checks.gravity_frame, "error", "in two trees")


def test_registration_without_tf_or_calibration() -> None:
    made = watched(scene(register_depth=True, without=("depth_camera_info",)),
                   depth=lambda s: depth(s, frame_id="depth_optical"))
    calibration, transform = found(made, geometry_checks.registration)
    assert "/depth/camera_info" in calibration.seen
    assert "tf does not connect 'depth_optical' with 'camera'" in transform.seen


def test_rotations_follow_the_chain() -> None:
    made = turned(scene(), 0.0)
    rotation = geometry_checks.rotation(made.transforms, "camera", "odom")
    assert rotation is not None
    np.testing.assert_allclose(rotation @ [0.0, 0.0, -1.0], [0.0, 1.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(rotation @ [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], atol=1e-12)
    assert geometry_checks.rotation(made.transforms, "camera", "nowhere") is None
    tf(made, "camera", "odom", LEVEL)  # a circle, which tf2 would refuse
    assert geometry_checks.rotation(made.transforms, "camera", "odom") is not None


def test_images_larger_than_the_shared_memory() -> None:
    made = watched(scene())
    made.inputs["color"].image_bytes, made.middleware = 3_000_000, Middleware(segment=512 * 1024)
    finding = one(made, topic_checks.big_images, "warning", "3.0 MB", "0.5 MB of shared memory")
    assert finding.shell


def test_every_check_of_the_table_is_tried_here() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    assert [check.__name__ for check in checks.CHECKS if f"checks.{check.__name__}" not in here] == []


