# SPDX-License-Identifier: Apache-2.0
import pytest

from ssma_ros.errors import SsmaError
from ssma_ros.recordings.reader import Topic
from ssma_ros.recordings.topics import find_input_topics, parse_mapping
from ssma_ros.recordings.typestore import CAMERA_INFO, COMPRESSED_IMAGE, DISPARITY_IMAGE, IMAGE

TYPES = {"I": IMAGE, "C": COMPRESSED_IMAGE, "K": CAMERA_INFO, "D": DISPARITY_IMAGE, "X": "sensor_msgs/msg/Imu"}


def topics(*entries: str) -> list[Topic]:
    """``I/camera/image`` → an Image topic, ``I/camera/image bgr8`` with its encoding; a leading ``0`` gives it no
    messages."""
    made = []
    for entry in entries:
        count = 0 if entry.startswith("0") else 5
        name, _, encoding = entry.lstrip("0").partition(" ")
        made.append(Topic(name[1:], TYPES[name[0]], count, encoding))
    return made


def found(*entries: str, mapping: dict[str, str] | None = None) -> dict[str, str]:
    chosen = find_input_topics(topics(*entries), "drive", mapping)
    return {role: name for name, role in chosen.by_name().items()}


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param(
            ["I/camera/image_rect", "K/camera/camera_info", "I/depth/image_rect", "I/nir/image_rect"],
            {"color": "/camera/image_rect", "camera_info": "/camera/camera_info", "depth": "/depth/image_rect",
             "nir": "/nir/image_rect"},
            id="our own names",
        ),
        pytest.param(
            ["C/camera/image_rect/compressed", "K/camera/camera_info", "C/depth/image_rect/compressedDepth",
             "C/nir/image_rect/compressed", "C/ground_truth/label/compressed", "X/imu"],
            {"color": "/camera/image_rect/compressed", "camera_info": "/camera/camera_info",
             "depth": "/depth/image_rect/compressedDepth", "nir": "/nir/image_rect/compressed",
             "label": "/ground_truth/label/compressed"},
            id="compressed transports",
        ),
        pytest.param(
            ["I/camera/camera/color/image_raw", "K/camera/camera/color/camera_info",
             "I/camera/camera/aligned_depth_to_color/image_raw", "K/camera/camera/aligned_depth_to_color/camera_info",
             "I/camera/camera/depth/image_rect_raw", "K/camera/camera/depth/camera_info",
             "I/camera/camera/infra1/image_rect_raw", "I/camera/camera/infra2/image_rect_raw"],
            {"color": "/camera/camera/color/image_raw", "camera_info": "/camera/camera/color/camera_info",
             "depth": "/camera/camera/aligned_depth_to_color/image_raw"},
            id="RealSense",
        ),
        pytest.param(
            ["I/zed/zed_node/rgb/image_rect_color", "C/zed/zed_node/rgb/image_rect_color/compressed",
             "0C/zed/zed_node/rgb/image_rect_color/compressedDepth", "K/zed/zed_node/rgb/camera_info",
             "I/zed/zed_node/depth/depth_registered", "K/zed/zed_node/depth/camera_info"],
            {"color": "/zed/zed_node/rgb/image_rect_color", "camera_info": "/zed/zed_node/rgb/camera_info",
             "depth": "/zed/zed_node/depth/depth_registered"},
            id="ZED",
        ),
        pytest.param(
            ["I/stereo/left/image_rect", "I/stereo/right/image_rect", "D/stereo/disparity", "K/stereo/left/camera_info",
             "K/stereo/right/camera_info"],
            {"color": "/stereo/left/image_rect", "camera_info": "/stereo/left/camera_info",
             "disparity": "/stereo/disparity"},
            id="stereo pair with disparity",
        ),
        pytest.param(
            ["I/oak/rgb/image_rect bgr8", "K/oak/rgb/camera_info", "I/oak/stereo/image_raw 16UC1",
             "K/oak/stereo/camera_info", "I/oak/left/image_rect mono8", "I/oak/right/image_rect mono8"],
            {"color": "/oak/rgb/image_rect", "camera_info": "/oak/rgb/camera_info", "depth": "/oak/stereo/image_raw"},
            id="OAK, depth known by its encoding alone",
        ),
        pytest.param(
            ["C/oak/rgb/image_raw/compressed rgb8; jpeg compressed bgr8", "K/oak/rgb/camera_info",
             "C/oak/stereo/image_raw/compressedDepth 16UC1; compressedDepth png"],
            {"color": "/oak/rgb/image_raw/compressed", "camera_info": "/oak/rgb/camera_info",
             "depth": "/oak/stereo/image_raw/compressedDepth"},
            id="OAK, compressed",
        ),
        pytest.param(
            ["I/rgb/image_raw bgra8", "K/rgb/camera_info", "I/depth/image_raw 16UC1", "K/depth/camera_info",
             "I/depth_to_rgb/image_raw 16UC1", "K/depth_to_rgb/camera_info", "I/rgb_to_depth/image_raw bgra8",
             "K/rgb_to_depth/camera_info", "I/ir/image_raw mono16", "K/ir/camera_info"],
            {"color": "/rgb/image_raw", "camera_info": "/rgb/camera_info", "depth": "/depth_to_rgb/image_raw",
             "nir": "/ir/image_raw"},
            id="Azure Kinect",
        ),
        pytest.param(
            ["I/camera/color/image_raw rgb8", "K/camera/color/camera_info", "I/camera/depth/image_raw 16UC1",
             "K/camera/depth/camera_info", "I/camera/left_ir/image_raw mono8", "K/camera/left_ir/camera_info",
             "I/camera/right_ir/image_raw mono8", "K/camera/right_ir/camera_info"],
            {"color": "/camera/color/image_raw", "camera_info": "/camera/color/camera_info",
             "depth": "/camera/depth/image_raw", "nir": "/camera/left_ir/image_raw"},
            id="Orbbec",
        ),
        pytest.param(
            ["I/camera/camera/color/image_raw rgb8", "K/camera/camera/color/camera_info",
             "I/camera/camera/aligned_depth_to_color/image_raw 16UC1", "I/camera/camera/depth/image_rect_raw 16UC1",
             "I/camera/camera/aligned_depth_to_infra1/image_raw 16UC1",
             "I/camera/camera/infra1/image_rect_raw mono8", "I/camera/camera/infra2/image_rect_raw mono8"],
            {"color": "/camera/camera/color/image_raw", "camera_info": "/camera/camera/color/camera_info",
             "depth": "/camera/camera/aligned_depth_to_color/image_raw"},
            id="RealSense with encodings",
        ),
        pytest.param(
            ["I/zed/zed_node/rgb/color/rect/image bgra8", "K/zed/zed_node/rgb/color/rect/camera_info",
             "I/zed/zed_node/rgb/color/raw/image bgra8", "I/zed/zed_node/rgb/gray/rect/image mono8",
             "I/zed/zed_node/left/color/rect/image bgra8", "I/zed/zed_node/right/color/rect/image bgra8",
             "I/zed/zed_node/stereo/color/rect/image bgra8", "I/zed/zed_node/depth/depth_registered 32FC1",
             "I/zed/zed_node/confidence/confidence_map 32FC1"],
            {"color": "/zed/zed_node/rgb/color/rect/image", "camera_info": "/zed/zed_node/rgb/color/rect/camera_info",
             "depth": "/zed/zed_node/depth/depth_registered"},
            id="ZED, version 5 of its wrapper",
        ),
        pytest.param(
            ["I/depth_camera/color/image_raw rgb8", "K/depth_camera/color/camera_info",
             "I/depth_camera/depth/image_raw 32FC1", "I/depth_camera/ir/image_raw mono8"],
            {"color": "/depth_camera/color/image_raw", "camera_info": "/depth_camera/color/camera_info",
             "depth": "/depth_camera/depth/image_raw", "nir": "/depth_camera/ir/image_raw"},
            id="everything below a name that says depth (Gazebo)",
        ),
        pytest.param(
            ["I/camera/image rgb8", "K/camera/camera_info", "I/camera/depth_image 32FC1"],
            {"color": "/camera/image", "camera_info": "/camera/camera_info", "depth": "/camera/depth_image"},
            id="rgbd_camera of new Gazebo",
        ),
        pytest.param(
            ["I/nir/image_rect 16UC1", "I/camera/image_rect bgr8", "I/depth/image_rect 16UC1"],
            {"color": "/camera/image_rect", "depth": "/depth/image_rect", "nir": "/nir/image_rect"},
            id="near infrared in the encoding of depth",
        ),
        pytest.param(
            ["I/camera/image_rect bgr8", "I/thermal/image_raw 16UC1", "I/oak/stereo/image_raw 16UC1"],
            {"color": "/camera/image_rect", "depth": "/oak/stereo/image_raw", "thermal": "/thermal/image_raw"},
            id="thermal by its name, depth by what is left",
        ),
    ],
)
def test_finds_the_topics_of_common_drivers(entries, expected):
    assert found(*entries) == expected


def test_two_measurements_without_a_name_are_no_guess():
    """They are named where the missing depth is told."""
    chosen = find_input_topics(topics("I/image bgr8", "I/a/image 16UC1", "I/b/image 32FC1"), "drive")
    assert chosen.by_name() == {"/image": "color"}
    assert [t.name for t in chosen.unused] == ["/a/image", "/b/image"]


def test_an_image_that_measures_is_never_colour():
    with pytest.raises(SsmaError, match=r"no colour image topic among /image \(sensor_msgs/msg/Image, 16UC1\)"):
        found("I/image 16UC1")


def test_depth_is_preferred_to_disparity():
    chosen = found("I/image", "I/depth", "D/disparity")
    assert chosen == {"color": "/image", "depth": "/depth"}


def test_a_mapped_disparity_replaces_depth():
    chosen = found("I/image", "I/depth", "D/disparity", mapping={"disparity": "/disparity"})
    assert chosen == {"color": "/image", "disparity": "/disparity"}


def test_mapping_wins_over_names():
    chosen = found("I/front/image", "I/rear/image", "K/rear/camera_info", mapping={"color": "/rear/image"})
    assert chosen == {"color": "/rear/image", "camera_info": "/rear/camera_info"}


def test_mapping_can_name_the_type():
    both = topics("I/image", "C/image")
    with pytest.raises(SsmaError, match="2 topics could be color"):
        find_input_topics(both, "drive", {"color": "/image"})
    assert find_input_topics(both, "drive", {"color": "/image@sensor_msgs/CompressedImage"}).color == both[1]


def test_a_role_can_be_switched_off():
    assert found("I/image", "I/depth", mapping={"depth": "none"}) == {"color": "/image"}
    assert found("I/image", "I/depth", mapping={"color": "none"}) == {"depth": "/depth"}


def test_topics_without_messages_do_not_count():
    assert found("I/image", "0I/other/image", "0I/depth") == {"color": "/image"}


@pytest.mark.parametrize(
    ("entries", "mapping", "sentence"),
    [
        (["I/front/image", "I/rear/image"], {}, r"2 topics could be color \(/front/image .*choose with --topic"),
        (["I/image", "I/a/depth", "I/b/depth"], {}, "2 topics could be depth"),
        (["I/depth", "X/imu"], {}, "no colour image topic among /depth .*--topic color:="),
        (["X/imu"], {"color": "none"}, "no image topic left"),
        ([], {}, "no colour image topic among no topic at all"),
        (["I/image"], {"depth": "/nowhere"}, "no topic /nowhere for depth, expected one of /image"),
        (["I/image", "X/imu"], {"nir": "/imu"}, "topic /imu for nir has type sensor_msgs/msg/Imu, expected"),
        (["I/image", "K/a/camera_info", "K/b/camera_info"], {}, "2 topics could be camera_info"),
    ],
)
def test_what_cannot_be_settled_is_said(entries, mapping, sentence):
    with pytest.raises(SsmaError, match=sentence):
        found(*entries, mapping=mapping)


def test_parse_mapping():
    assert parse_mapping(["color:=/a/b", "nir:=none"]) == {"color": "/a/b", "nir": "none"}
    for entry in ("color=/a", "colour:=/a", "color:=", ":=/a", ""):
        with pytest.raises(SsmaError, match="expected ROLE:=/topic"):
            parse_mapping([entry])
    with pytest.raises(SsmaError, match="given twice"):
        parse_mapping(["nir:=/a", "nir:=/b"])
