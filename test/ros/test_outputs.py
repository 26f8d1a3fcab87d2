# SPDX-License-Identifier: Apache-2.0
"""Outgoing messages against the rules of those who read them.

The rules are transcribed from the consumers' own sources: nav2 semantic_segmentation_layer (kiwicampus),
elevation_mapping_cupy, rviz and Foxglove.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from ros.stub_network import StubBackend, stub_contract

from ssma_ros.contract import RESERVED_NAMES
from ssma_ros.frame import Frame, Intrinsics, Segmentation
from ssma_ros.inference.runtime import protocol
from ssma_ros.messages import catalogue as outputs_module
from ssma_ros.messages import cloud as points_module
from ssma_ros.messages.catalogue import OutputCatalog, OutputOptions, unknown_classes
from ssma_ros.messages.memory import carrier
from ssma_ros.segmenter import OUTPUTS, Segmenter, SegmenterOptions

CONTRACT = stub_contract(96, 64)
CLASSES = CONTRACT.labels.names


def scene(width: int = 120, height: int = 80) -> Frame:
    rng = np.random.default_rng(1)
    depth = np.full((height, width), 4.0, np.float32)
    depth[: height // 4] = 0.0
    return Frame(
        stamp_ns=5, frame_id="camera", color=rng.integers(0, 256, (height, width, 3), np.uint8), depth=depth,
        nir=np.full((height, width), 80, np.uint8),
        intrinsics=Intrinsics(100.0, 100.0, (width - 1) / 2, (height - 1) / 2, width, height),
    )


def segmented(frame: Frame, **options: Any) -> Segmentation:
    return Segmenter(StubBackend(CONTRACT), SegmenterOptions(**options))(frame, OUTPUTS)


def all_fields(result: Segmentation, frame: Frame, **options: Any) -> dict[str, dict[str, Any]]:
    catalog = OutputCatalog(CONTRACT, OutputOptions(**options))
    made = {output.topic: output.fields(result, frame) for output in catalog.outputs}
    return {topic: {**fields} for topic, fields in made.items() if fields is not None}


def pixels(fields: dict[str, Any]) -> Any:
    kinds = {"mono8": ("u1", 1), "rgb8": ("u1", 3), "bgr8": ("u1", 3), "32FC1": ("<f4", 1), "32FC5": ("<f4", 5)}
    kind, channels = kinds[fields["encoding"]]
    array = np.frombuffer(fields["data"].tobytes(), kind).reshape(fields["height"], fields["width"], channels)
    return array[..., 0] if channels == 1 else array


def points(fields: dict[str, Any]) -> Any:
    kinds = {2: "u1", 4: "<u2", 7: "<f4"}
    layout = {
        "names": [f["name"] for f in fields["fields"]],
        "formats": [kinds[f["datatype"]] for f in fields["fields"]],
        "offsets": [f["offset"] for f in fields["fields"]],
        "itemsize": fields["point_step"],
    }
    return np.frombuffer(fields["data"].tobytes(), np.dtype(layout)).reshape(fields["height"], fields["width"])


@pytest.mark.parametrize(("resolution", "size"), [("network", (96, 64)), ("camera", (120, 80))])
def test_all_images_share_one_size_and_have_no_padding(resolution: str, size: tuple[int, int]) -> None:
    frame = scene()
    made = all_fields(segmented(frame, output_resolution=resolution), frame)
    expected = {
        "mask", "confidence", "camera_info", "color_mask", "overlay", "color_mask/compressed", "overlay/compressed",
        "points", "semantic_image", "channel_info", "depth_completed", "traversability", "hha", "evi",
        *(f"confidence/{name}" for name in CLASSES), *(f"modality_weights/{m}" for m in CONTRACT.modalities),
    }
    assert set(made) == expected
    per_pixel = {"mono8": 1, "rgb8": 3, "bgr8": 3, "32FC1": 4, "32FC5": 20}
    for topic, fields in made.items():
        if "width" in fields:
            assert (fields["width"], fields["height"]) == size, topic
        if "encoding" in fields:
            assert fields["step"] == fields["width"] * per_pixel[fields["encoding"]], topic
            assert fields["data"].shape == (fields["step"] * fields["height"],), topic


def test_nav2_semantic_layer_reads_mask_confidence_and_cloud_by_the_same_index() -> None:
    """Mask and confidence are read as data[v * width + u], the cloud must have width * height points in row order."""
    frame = scene()
    result = segmented(frame)
    made = all_fields(result, frame)
    mask, confidence, cloud = made["mask"], made["confidence"], made["points"]
    assert mask["step"] == mask["width"]
    assert (confidence["width"], confidence["height"]) == (mask["width"], mask["height"])
    assert cloud["width"] * cloud["height"] == mask["width"] * mask["height"]
    assert cloud["row_step"] == cloud["point_step"] * cloud["width"]
    assert not cloud["is_bigendian"]
    cells = points(cloud)
    for v, u in ((0, 0), (20, 30), (63, 95)):
        assert mask["data"][v * mask["width"] + u] == result.mask[v, u] == cells["label"][v, u]
        assert cells["confidence"][v, u] == pytest.approx(result.confidence[v, u] / 255)
    assert set(np.unique(mask["data"])) <= {*range(len(CLASSES)), 255}


@pytest.mark.usefixtures("implementation")
def test_points_lie_where_their_pixel_looks() -> None:
    frame = scene()
    result = segmented(frame)
    cells = points(all_fields(result, frame, points_semantic_fields=("*",))["points"])
    camera = result.intrinsics
    v, u = np.mgrid[0:64, 0:96]
    measured = np.isfinite(cells["z"])
    np.testing.assert_array_equal(measured, (v + 0.5) * 80 / 64 > 20)  # the scene's first quarter has no reading
    assert np.isnan(cells["x"][~measured]).all()
    np.testing.assert_allclose(cells["z"][measured], 4.0)
    np.testing.assert_allclose(cells["x"][measured], ((u - camera.cx) / camera.fx * 4.0)[measured], atol=1e-5)
    np.testing.assert_allclose(cells["y"][measured], ((v - camera.cy) / camera.fy * 4.0)[measured], atol=1e-5)
    for channel, name in enumerate(CLASSES):
        np.testing.assert_allclose(cells[f"sem_{name}"], result.probabilities[channel] / 255, atol=1e-6)
    packed = np.ascontiguousarray(cells["rgb"]).view("<u4")
    palette = np.array(CONTRACT.labels.palette(), np.uint32)
    red, green, blue = palette[result.mask].transpose(2, 0, 1)
    np.testing.assert_array_equal(packed, red << 16 | green << 8 | blue)


@pytest.mark.parametrize("compiled", [True, False])
def test_points_with_the_intrinsics_of_another_size_are_refused(
    compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = scene()
    result = segmented(frame)
    assert result.intrinsics is not None
    result.intrinsics = result.intrinsics.resized(48, 32)  # smaller: the kernel would stay inside its memory
    if not compiled:
        monkeypatch.setattr(points_module, "compiled_modules", lambda: None)
    with pytest.raises(ValueError, match="intrinsics: of 48x32, expected 96x64"):
        next(o for o in OutputCatalog(CONTRACT).outputs if o.topic == "points").fields(result, frame)


def test_completed_depth_is_a_declared_choice() -> None:
    frame = scene()
    result = segmented(frame)
    cells = points(all_fields(result, frame, points_depth="completed")["points"])
    np.testing.assert_array_equal(np.isfinite(cells["z"]), result.depth > 0)


@pytest.mark.usefixtures("implementation")
def test_elevation_mapping_takes_planes_with_names_and_a_camera_info_of_the_same_size() -> None:
    frame = scene()
    result = segmented(frame)
    made = all_fields(result, frame)
    image, info = made["semantic_image"], made["camera_info"]
    channels = made["channel_info"]["channels"]
    assert image["encoding"] == f"32FC{len(channels)}"
    assert channels == [f"sem_{name}" for name in CLASSES]
    np.testing.assert_allclose(pixels(image).transpose(2, 0, 1), result.probabilities / 255, atol=1e-6)
    assert (info["width"], info["height"]) == (image["width"], image["height"])
    assert not any(info["d"])
    scale = 96 / 120
    assert info["k"][0] == pytest.approx(100.0 * scale)
    assert info["k"][2] == pytest.approx((119 / 2 + 0.5) * scale - 0.5)
    assert [info["p"][i] for i in (0, 2, 5, 6)] == [info["k"][i] for i in (0, 2, 4, 5)]
    assert len(info["p"]) == 12
    assert len(info["k"]) == len(info["r"]) == 9


def test_rviz_and_foxglove_get_colors_as_rgb8() -> None:
    frame = scene(96, 64)
    result = segmented(frame)
    result.mask[:10] = 255
    made = all_fields(result, frame, overlay_opacity=0.25)
    palette = np.array(CONTRACT.labels.palette(), np.uint8)
    assert made["color_mask"]["encoding"] == made["overlay"]["encoding"] == "rgb8"
    np.testing.assert_array_equal(pixels(made["color_mask"]), palette[result.mask])
    rgb = frame.color[..., ::-1].astype(float)
    mixed = 0.25 * palette[result.mask] + 0.75 * rgb
    np.testing.assert_allclose(pixels(made["overlay"])[10:], mixed[10:], atol=0.51)
    np.testing.assert_array_equal(pixels(made["overlay"])[:10], rgb[:10])  # unlabelled pixels show the image


def test_compressed_variants_decode_to_the_same_picture() -> None:
    frame = scene(96, 64)
    result = segmented(frame)
    made = all_fields(result, frame)
    assert made["color_mask/compressed"]["format"] == "rgb8; png compressed bgr8"
    decoded = cv2.imdecode(made["color_mask/compressed"]["data"], cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decoded[..., ::-1], pixels(made["color_mask"]))
    assert made["overlay/compressed"]["format"] == "rgb8; jpeg compressed bgr8"
    assert cv2.imdecode(made["overlay/compressed"]["data"], cv2.IMREAD_COLOR).shape == (64, 96, 3)


@pytest.fixture(params=["compiled", "plain"])
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the numba kernels, and as where numba is not installed."""
    if request.param == "compiled":
        pytest.importorskip("numba")
    else:
        for module in (outputs_module, points_module):
            monkeypatch.setattr(module, "compiled_modules", lambda: None)
    return str(request.param)


def test_compiled_outputs_equal_the_plain_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    frame = scene()
    for resolution in ("network", "camera"):
        result = segmented(frame, output_resolution=resolution)
        compiled = all_fields(result, frame, points_semantic_fields=("grass", "sky"))
        with monkeypatch.context() as patch:
            for module in (outputs_module, points_module):
                patch.setattr(module, "compiled_modules", lambda: None)
            plain = all_fields(result, frame, points_semantic_fields=("grass", "sky"))
        for topic in ("points", "semantic_image"):
            np.testing.assert_array_equal(compiled[topic]["data"], plain[topic]["data"])


def test_outputs_of_one_frame_are_painted_once_and_those_of_the_next_anew() -> None:
    frame = scene()
    catalog = OutputCatalog(CONTRACT)
    by_topic = {output.topic: output for output in catalog.outputs}
    for seed in range(3):
        result = segmented(frame)
        result.mask = np.random.default_rng(seed).integers(0, len(CLASSES), result.mask.shape, np.uint8)
        expected = np.array(CONTRACT.labels.palette(), np.uint8)[result.mask]
        overlay = by_topic["overlay"].fields(result, frame)
        assert overlay is not None
        for _ in range(2):
            picture = by_topic["color_mask"].fields(result, frame)
            assert picture is not None
            np.testing.assert_array_equal(pixels(picture), expected)
            again = by_topic["overlay"].fields(result, frame)
            assert again is not None
            np.testing.assert_array_equal(again["data"], overlay["data"])
        fresh = all_fields(result, frame)["overlay"]
        np.testing.assert_array_equal(fresh["data"], overlay["data"])


def test_large_outputs_lie_where_the_message_carries_them() -> None:
    frame = scene()
    result = segmented(frame)
    made = all_fields(result, frame, class_confidence_encoding="32FC1")
    copied = {topic for topic, fields in made.items() if "data" in fields and carrier(fields["data"]) is None}
    assert copied == {"mask", "confidence", "hha", "evi", "color_mask/compressed", "overlay/compressed"}
    for topic, image in (("mask", result.mask), ("confidence", result.confidence), ("hha", result.inputs["hha"])):
        assert np.shares_memory(made[topic]["data"], image), topic  # copied once, into the message


@pytest.mark.parametrize(("encoding", "scale"), [("mono8", 1.0), ("32FC1", 1 / 255)])
def test_class_confidences_are_the_probabilities(encoding: str, scale: float) -> None:
    frame = scene()
    result = segmented(frame)
    made = all_fields(result, frame, class_confidence_encoding=encoding, class_confidence_topics=("grass", "sky"))
    assert {t for t in made if t.startswith("confidence/")} == {"confidence/grass", "confidence/sky"}
    np.testing.assert_allclose(
        pixels(made["confidence/grass"]), result.probabilities[CLASSES.index("grass")] * scale, atol=1e-6
    )


def test_traversability_is_the_expected_value_of_the_table() -> None:
    frame = scene()
    result = segmented(frame)
    table = np.array([c.traversability for c in CONTRACT.labels.classes])
    expected = np.tensordot(table, result.probabilities / 255, axes=1)
    image = pixels(all_fields(result, frame)["traversability"])
    np.testing.assert_allclose(image, np.minimum(expected, 1.0), atol=1e-5)
    assert image.min() >= 0
    assert image.max() <= 1


def test_depth_completed_says_nan_where_there_is_none() -> None:
    frame = scene()
    result = segmented(frame)
    result.depth[0, 0] = 0.0
    image = pixels(all_fields(result, frame)["depth_completed"])
    np.testing.assert_array_equal(np.isnan(image), result.depth == 0)


def test_outputs_that_a_degraded_frame_cannot_have_are_left_out() -> None:
    frame = scene()
    frame.depth = None
    frame.intrinsics = None
    made = all_fields(segmented(frame), frame)
    assert {"points", "camera_info", "depth_completed", "hha"}.isdisjoint(made)
    assert pixels(made["modality_weights/hha"]).max() == 0.0
    assert {"mask", "confidence", "overlay", "evi"} <= set(made)


def test_label_info_names_the_classes() -> None:
    fields = OutputCatalog(CONTRACT).label_info_fields()
    assert fields["class_map"][1] == {"class_id": 1, "class_name": "grass"}
    assert fields["threshold"] == 0.0
    assert OutputCatalog(CONTRACT).label_info_fields(0.25)["threshold"] == 0.25


def test_unknown_classes_are_found() -> None:
    assert unknown_classes(CONTRACT, ("grass", "*", "", "lava")) == ("lava",)


def test_the_contract_refuses_streams_named_as_an_output_is() -> None:
    """A contract knows no messages: its list is held against the catalogue, and against the graph's names."""
    topics = {output.topic.split("/")[0] for output in OutputCatalog(CONTRACT).outputs} - set(CONTRACT.modalities)
    assert {*topics, "label_info", *protocol.OUTPUTS, protocol.PRESENT} == set(RESERVED_NAMES)
