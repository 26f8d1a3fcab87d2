# SPDX-License-Identifier: Apache-2.0
"""Incoming messages: every encoding, every way in which a driver can be wrong."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ros import messages

from ssma_ros.errors import SsmaError
from ssma_ros.messages import decode as conversion
from ssma_ros.messages.decode import RefusedInput, depth_from_disparity, image_of, intrinsics_from_camera_info
from ssma_ros.messages.layouts import COLOR, INTENSITY
from ssma_ros.sensors import SENSORS, Reading, readings

COLOR_ENCODINGS = tuple(COLOR)


def color_from_image(message: Any, topic: str) -> Any:
    return image_of(SENSORS["color"], message, topic)[0]


def depth_from_image(message: Any, topic: str) -> Any:
    return image_of(SENSORS["depth"], message, topic)[0]


def nir_from_image(message: Any, topic: str) -> Any:
    return image_of(SENSORS["nir"], message, topic)[0]


TOPIC = "/camera/image_rect"
BGR = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("bgr8", BGR),
        ("8UC3", BGR),
        ("rgb8", BGR[..., ::-1]),
        ("bgra8", np.dstack([BGR, np.full((6, 8), 9, np.uint8)])),
        ("rgba8", np.dstack([BGR[..., ::-1], np.full((6, 8), 9, np.uint8)])),
    ],
)
@pytest.mark.parametrize("pad", [0, 5])
def test_color_encodings_come_out_as_bgr(encoding: str, pixels: Any, pad: int) -> None:
    np.testing.assert_array_equal(color_from_image(messages.image(pixels, encoding, pad=pad), TOPIC), BGR)


def test_mono8_is_replicated() -> None:
    gray = BGR[..., 0]
    np.testing.assert_array_equal(
        color_from_image(messages.image(gray, "mono8"), TOPIC), np.dstack([gray, gray, gray])
    )


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_are_named_by_their_first_pixels(pattern: str) -> None:
    """A plain colour seen through the pattern must come back, whatever the demosaicing in between."""
    color = {"r": 200, "g": 120, "b": 40}
    mosaic = np.array([[color[pattern[0]], color[pattern[1]]], [color[pattern[2]], color[pattern[3]]]], np.uint8)
    image = color_from_image(messages.image(np.tile(mosaic, (8, 8)), f"bayer_{pattern}8"), TOPIC)
    np.testing.assert_array_equal(image[4:-4, 4:-4].reshape(-1, 3), [[40, 120, 200]] * 64)


def test_bgr8_is_a_view_on_the_message() -> None:
    message = messages.image(BGR, "bgr8", pad=3)
    assert np.shares_memory(color_from_image(message, TOPIC), message.data)


def test_near_infrared_is_a_view_on_the_message() -> None:
    for dtype, encoding in ((np.uint8, "mono8"), (np.uint16, "mono16")):
        message = messages.image(np.arange(12, dtype=dtype).reshape(3, 4), encoding, pad=2)
        assert np.shares_memory(nir_from_image(message, TOPIC), message.data)


@pytest.mark.parametrize(("dtype", "encoding"), [(np.uint16, "16UC1"), (np.float32, "32FC1")])
def test_a_steady_stream_of_depth_images_allocates_no_image(dtype: type, encoding: str) -> None:
    message = messages.image(np.full((240, 320), 3, dtype), encoding)
    depth = depth_from_image(message, TOPIC)
    del depth
    tracemalloc.start()
    depth = depth_from_image(message, TOPIC)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not np.shares_memory(depth, message.data)
    assert held < 240 * 320


def test_depth_in_millimetres() -> None:
    depth = depth_from_image(messages.image(np.array([[0, 1500, 65534]], np.uint16), "16UC1"), TOPIC)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, [[0.0, 1.5, 65.534]], rtol=1e-6)


def read(sensor: str, values: Any, encoding: str, **settings: Any) -> Any:
    """What a sensor's image is with its settings."""
    reading = readings({f"{sensor}_{key}": value for key, value in settings.items()})[sensor]
    return image_of(SENSORS[sensor], messages.image(values, encoding), TOPIC, reading)


def test_the_largest_count_of_depth_is_no_reading() -> None:
    """Drivers mark saturation with 65535; a wall at 65.535 m that nobody saw would become the far end of every fill."""
    counts = np.array([[1500, 65535, 0]], np.uint16)
    np.testing.assert_allclose(read("depth", counts, "16UC1")[0], [[1.5, 0.0, 0.0]])
    np.testing.assert_allclose(read("depth", counts, "16UC1", invalid=[1500])[0], [[0.0, 65.535, 0.0]])
    np.testing.assert_allclose(read("depth", counts, "16UC1", invalid=[])[0], [[1.5, 65.535, 0.0]])


@pytest.mark.parametrize(
    ("values", "encoding", "settings", "metres"),
    [
        (np.array([[2000.0, np.nan, 0.0]], np.float32), "32FC1", {"scale": 0.001}, [[2.0, 0.0, 0.0]]),
        (np.array([[20000, 0, 5]], np.uint16), "16UC1", {"scale": 0.0001}, [[2.0, 0.0, 0.0005]]),
        (np.array([[2000, -1, 0]], np.int16), "16SC1", {}, [[2.0, 0.0, 0.0]]),
        (np.array([[2.0, np.inf, -1.0]], np.float64), "64FC1", {}, [[2.0, 0.0, 0.0]]),
        (np.array([[2.0, 65.535, 9.0]], np.float32), "32FC1", {"invalid": [9.0]}, [[2.0, 65.535, 0.0]]),
        (np.array([[1000, 0, 500]], np.uint16), "16UC1", {"offset": 0.25}, [[1.25, 0.0, 0.75]]),
    ],
)
def test_depth_of_other_units(values: Any, encoding: str, settings: dict[str, Any], metres: Any) -> None:
    known = {"depth_" + key: value for key, value in settings.items() if key != "offset"}
    reading = readings(known)["depth"]
    reading = Reading(reading.scale, settings.get("offset", 0.0), reading.invalid, reading.full_scale)
    depth, _ = image_of(SENSORS["depth"], messages.image(values, encoding), TOPIC, reading)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, metres, rtol=1e-6)


def test_sixteen_bit_colour_is_scaled_and_not_cut() -> None:
    deep = BGR.astype(np.uint16) * 257
    np.testing.assert_array_equal(read("color", deep, "bgr16")[0], BGR)
    np.testing.assert_array_equal(read("color", deep[..., ::-1], "rgb16")[0], BGR)
    twelve = BGR.astype(np.uint16) * 16
    np.testing.assert_allclose(read("color", twelve, "bgr16", full_scale=4080.0)[0], BGR, atol=1)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_sixteen_bit_bayer_is_the_eight_bit_one(pattern: str) -> None:
    raw = np.random.default_rng(1).integers(0, 256, (8, 8), np.uint8)
    deep = read("color", raw.astype(np.uint16) * 257, f"bayer_{pattern}16")[0].astype(int)
    assert np.abs(deep - color_from_image(messages.image(raw, f"bayer_{pattern}8"), TOPIC)).max() <= 1


def packed_yuv(bgr: Any, encoding: str) -> tuple[Any, int]:
    """A picture of one colour in a YUV encoding, from its BT.601 values as OpenCV states them, and its step."""
    height, width = bgr.shape[:2]
    y, u, v = (round(x) for x in cv2.transform(bgr[:1, :1].astype(np.float32), np.array(
        [[0.098, 0.504, 0.257, 16], [0.439, -0.291, -0.148, 128], [-0.071, -0.368, 0.439, 128]], np.float32))[0, 0])
    if encoding in ("nv12", "nv21"):
        chroma = [u, v] if encoding == "nv12" else [v, u]
        planes = np.vstack([np.full((height, width), y), np.tile(chroma, (height // 2, width // 2))])
        return planes.astype(np.uint8), width
    pair = [u, y, v, y] if encoding in ("uyvy", "yuv422") else [y, u, y, v]
    return np.tile(pair, (height, width // 2)).astype(np.uint8), 2 * width


@pytest.mark.parametrize("encoding", ["uyvy", "yuv422", "yuyv", "yuv422_yuy2", "nv12", "nv21"])
def test_yuv_of_the_drivers_is_decoded(encoding: str) -> None:
    """RealSense sends yuv422_yuy2, usb_cam yuv422 or uyvy, OAK and GMSL cameras nv12."""
    bgr = np.full((4, 6, 3), (40, 120, 200), np.uint8)
    data, step = packed_yuv(bgr, encoding)
    message = messages.image(data, encoding)
    message.height, message.width, message.step = 4, 6, step
    image = color_from_image(message, TOPIC).astype(int)
    assert image.shape == (4, 6, 3)
    assert np.abs(image - bgr).max() <= 3
    with pytest.raises(RefusedInput, match="a colour picture"):
        image_of(SENSORS["nir"], message, TOPIC)
    data, _ = packed_yuv(np.full((4, 6, 3), 90, np.uint8), encoding)
    grey = messages.image(data, encoding)
    grey.height, grey.width, grey.step = 4, 6, step
    image, full_scale = image_of(SENSORS["nir"], grey, TOPIC)
    assert full_scale == 255.0
    assert np.abs(image.astype(int) - 90).max() <= 2
    message.width = 5
    message.step = 5 * step // 6 + 1
    with pytest.raises(RefusedInput, match="multiples of 2"):
        color_from_image(message, TOPIC)


def test_planar_data_that_is_short_is_refused() -> None:
    message = messages.image(np.zeros((4, 6), np.uint8), "nv12")
    with pytest.raises(RefusedInput, match=r"data is 24 bytes, expected 36 \(6 rows of nv12 times step 6\)"):
        color_from_image(message, TOPIC)


def test_near_infrared_in_three_channels_and_as_floats() -> None:
    gray = BGR[..., 0]
    for encoding, pixels in (("rgb8", np.dstack([gray] * 3)), ("bgra8", np.dstack([gray] * 4))):
        image, full_scale = read("nir", pixels, encoding)
        np.testing.assert_array_equal(image, gray)
        assert full_scale == 255.0
    image, full_scale = read("nir", np.array([[0.0, 0.5, 1.0, np.nan]], np.float32), "32FC1")
    assert (image.tolist(), full_scale) == ([[0, 32768, 65535, 0]], 65535.0)
    with pytest.raises(RefusedInput, match=r"a colour picture \(rgb8\), expected near infrared: one channel"):
        read("nir", BGR, "rgb8")  # somebody remapped the wrong topic
    with pytest.raises(RefusedInput, match="values up to 255, expected 0 to 1"):
        read("nir", np.array([[0.0, 255.0]], np.float32), "32FC1")


def test_depth_in_metres_keeps_only_distances() -> None:
    values = np.array([[1.5, np.nan, np.inf, -np.inf, -2.0, 0.0, -0.0, 1e-3]], np.float32)
    message = messages.image(values.copy(), "32FC1")
    np.testing.assert_array_equal(depth_from_image(message, TOPIC), [[1.5, 0, 0, 0, 0, 0, 0, np.float32(1e-3)]])
    np.testing.assert_array_equal(message.data.view(np.float32), values.reshape(-1))  # not changed


@pytest.mark.parametrize(
    ("values", "encoding", "convert"),
    [
        (np.array([[1.25, 3.5]], np.float32), "32FC1", depth_from_image),
        (np.array([[1250, 3500]], np.uint16), "16UC1", depth_from_image),
        (np.array([[1250, 3500]], np.uint16), "mono16", nir_from_image),
    ],
)
def test_big_endian_senders_are_read(values: Any, encoding: str, convert: Any) -> None:
    little = convert(messages.image(values, encoding), TOPIC)
    np.testing.assert_array_equal(convert(messages.image(values, encoding, big_endian=True, pad=2), TOPIC), little)


def test_odd_row_padding_of_wide_values_is_read() -> None:
    values = np.arange(12, dtype=np.uint16).reshape(3, 4) * 1000
    np.testing.assert_array_equal(nir_from_image(messages.image(values, "mono16", pad=3), TOPIC), values)


def test_disparity_is_focal_length_times_baseline_over_disparity() -> None:
    message = messages.disparity([[10.0, 0.4, 0.0, -1.0, np.nan, np.inf]], f=400.0, t=0.25)
    np.testing.assert_allclose(depth_from_disparity(message, TOPIC), [[10.0, 0, 0, 0, 0, 0]])


def test_baseline_of_either_sign_gives_positive_depth() -> None:
    assert depth_from_disparity(messages.disparity([[5.0]], f=100.0, t=-0.1), TOPIC)[0, 0] == pytest.approx(2.0)


@pytest.mark.parametrize(("field", "value"), [("f", 0.0), ("f", -5.0), ("f", np.nan), ("t", 0.0), ("t", np.inf)])
def test_disparity_without_calibration_is_refused(field: str, value: float) -> None:
    with pytest.raises(RefusedInput, match=f"topic {TOPIC}: {field} is"):
        depth_from_disparity(messages.disparity([[5.0]], **{field: value}), TOPIC)


def change(**changes: Any) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(messages.image(BGR, "bgr8")), **changes})


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (change(encoding="nv24"), f"topic {TOPIC}: encoding is 'nv24', expected one of bgr8"),
        (change(encoding=""), "encoding is ''"),
        (change(width=0), "size is 0x6, expected 1 to"),
        (change(height=0), "size is 8x0"),
        (change(width=2**31), "size is 2147483648x6"),
        (change(step=23), "step is 23 bytes, expected at least 24 for 8 pixels of bgr8"),
        (change(data=BGR.reshape(-1)[:-1]), "data is 143 bytes, expected 144"),
        (change(data=b""), "data is 0 bytes"),
    ],
)
def test_images_that_contradict_themselves_are_refused_in_words(message: Any, words: str) -> None:
    with pytest.raises(RefusedInput, match=words) as caught:
        color_from_image(message, TOPIC)
    assert isinstance(caught.value, SsmaError)
    assert caught.value.topic == TOPIC


def test_depth_and_nir_refuse_color() -> None:
    with pytest.raises(RefusedInput, match="encoding is 'bgr8'"):
        depth_from_image(messages.image(BGR, "bgr8"), TOPIC)
    with pytest.raises(RefusedInput, match=r"data is a colour picture \(bgr8\)"):
        nir_from_image(messages.image(BGR, "bgr8"), TOPIC)


def test_compressed_images_are_decoded() -> None:
    smooth = np.full((16, 16, 3), (30, 90, 180), np.uint8)
    data = cv2.imencode(".png", smooth)[1].tobytes()
    message = SimpleNamespace(header=messages.header(), format="bgr8; png compressed bgr8", data=data)
    np.testing.assert_array_equal(color_from_image(message, TOPIC), smooth)
    message.data = data[:40]
    with pytest.raises(RefusedInput, match=f"topic {TOPIC}: data is not decodable"):
        color_from_image(message, TOPIC)


def test_intrinsics_come_from_p_and_from_k_where_p_is_empty() -> None:
    message = messages.camera_info(p=[5.0, 0, 3.0, 0, 0, 6.0, 2.0, 0, 0, 0, 1, 0])
    camera = intrinsics_from_camera_info(message, TOPIC)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (5.0, 6.0, 3.0, 2.0)
    camera = intrinsics_from_camera_info(messages.camera_info(p=[0.0] * 12), TOPIC)
    assert (camera.fx, camera.cx, camera.width) == (7.0, 3.5, 8)


def test_region_of_interest_and_binning_are_applied() -> None:
    roi = SimpleNamespace(x_offset=2, y_offset=1, width=6, height=4, do_rectify=True)
    camera = intrinsics_from_camera_info(messages.camera_info(roi=roi, binning_x=2, binning_y=2), TOPIC)
    assert (camera.width, camera.height, camera.fx) == (3, 2, 3.5)
    assert (camera.cx, camera.cy) == ((3.5 - 2) / 2, (2.5 - 1) / 2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"k": [0.0] * 9, "p": [0.0] * 12}, "k is fx 0.0.*calibrated"),
        ({"p": [np.nan] + [0.0] * 11}, "p is fx nan"),
        ({"p": [-7.0, 0, 3, 0, 0, 7.0, 2, 0, 0, 0, 1, 0]}, "positive focal lengths"),
        ({"width": 0}, "size is 0x6"),
        ({"k": [], "p": []}, "9 and 12 numbers"),
        ({"roi": SimpleNamespace(x_offset=5, y_offset=0, width=6, height=6)}, "roi is 6x6"),
        ({"binning_x": 50}, "binning is 50x1"),
    ],
)
def test_camera_infos_of_no_camera_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RefusedInput, match=words):
        intrinsics_from_camera_info(messages.camera_info(**changes), TOPIC)


ENCODINGS = (*COLOR_ENCODINGS, *INTENSITY, "16SC1", "64FC1", "nv24", "", "bgr8\0")
malformed = st.fixed_dictionaries(
    {
        "width": st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1)),
        "height": st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1)),
        "step": st.one_of(st.integers(0, 400), st.integers(0, 2**32 - 1)),
        "encoding": st.sampled_from(ENCODINGS),
        "is_bigendian": st.integers(0, 255),
        "data": st.binary(max_size=2000),
    }
)


@settings(max_examples=500, deadline=None)
@given(fields=malformed, convert=st.sampled_from([color_from_image, depth_from_image, nir_from_image]))
def test_malformed_images_are_refused_or_are_what_they_say(fields: dict[str, Any], convert: Any) -> None:
    message = SimpleNamespace(header=messages.header(), **fields)
    refused = ""
    try:
        pixels = convert(message, TOPIC)
    except RefusedInput as refusal:
        refused = str(refusal)
    if refused:
        assert refused.startswith(f"topic {TOPIC}: ")
        return
    assert pixels.shape[:2] == (fields["height"], fields["width"])
    assert fields["height"] * fields["step"] <= len(fields["data"])
    assert conversion.stamp_ns(message) == 1_500_000_000


@pytest.mark.parametrize(("width", "cx"), [(16, 3.5), (16, 4.2)])
def test_a_calibration_that_is_binned_already_is_not_binned_again(width: int, cx: float) -> None:
    info = messages.camera_info(width, 12, binning_x=2, binning_y=2)
    info.p[2], info.p[6] = cx, 2.5  # where an 8x6 image has its middle
    with pytest.raises(RefusedInput, match="these look binned already"):
        conversion.intrinsics_from_camera_info(info, "/info")
    info.p[2], info.p[6] = 7.5, 5.5
    assert conversion.intrinsics_from_camera_info(info, "/info").cx == 3.75
