import pytest

from ssma_ros.errors import SsmaError
from ssma_ros.recordings.reader import Topic
from ssma_ros.recordings.topics import find_input_topics, parse_mapping
from ssma_ros.recordings.typestore import CAMERA_INFO, COMPRESSED_IMAGE, DISPARITY_IMAGE, IMAGE

TYPES = {"I": IMAGE, "C": COMPRESSED_IMAGE, "K": CAMERA_INFO, "D": DISPARITY_IMAGE, "X": "sensor_msgs/msg/Imu"}


def topics(*entries: str) -> list[Topic]:
    """``I/camera/image`` → an Image topic; a leading ``0`` gives it no messages."""
    made = []
    for entry in entries:
        count = 0 if entry.startswith("0") else 5
        entry = entry.lstrip("0")
        made.append(Topic(entry[1:], TYPES[entry[0]], count))
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
    ],
)
def test_finds_the_topics_of_common_drivers(entries, expected):
    assert found(*entries) == expected


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
