# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest
from recordings.small_recording import FRAME_ID, START_NS, color, compressed_depth_png, depth_mm, nir, png

from ssma_ros.errors import SsmaError
from ssma_ros.messages.transports import decompress, lost_colour
from ssma_ros.recordings.records import compressed_image


def decoded(data: bytes, image_format: str):
    message = compressed_image(data, image_format, START_NS, FRAME_ID)
    return message, decompress(message, "/topic")


def pixels(image, dtype) -> np.ndarray:
    assert image.data.dtype == np.uint8
    assert image.data.size == image.height * image.step
    return image.data.view(dtype).reshape(image.height, image.width, -1).squeeze()


@pytest.mark.parametrize(
    ("picture", "image_format", "encoding"),
    [
        (color(0), "bgr8; png compressed bgr8", "bgr8"),
        (color(0), "rgb8; png compressed bgr8", "bgr8"),
        (color(0), "png", "bgr8"),
        (np.dstack([color(0), nir(0)]), "bgra8; png compressed bgra8", "bgra8"),
        (nir(1), "mono8; png compressed mono8", "mono8"),
        (nir(1), "bayer_rggb8; png compressed bayer_rggb8", "bayer_rggb8"),
        (depth_mm(0), "16UC1; png compressed ", "16UC1"),
        (depth_mm(0), "mono16; png compressed ", "mono16"),
        (depth_mm(0), "png", "16UC1"),
    ],
)
def test_lossless_pictures_come_back_equal(picture, image_format, encoding):
    message, image = decoded(png(picture), image_format)
    assert image.encoding == encoding
    assert image.header is message.header
    np.testing.assert_array_equal(pixels(image, picture.dtype), picture)


def test_jpeg_colour_is_blue_first():
    blue = np.zeros((16, 16, 3), np.uint8)
    blue[..., 0] = 255
    _, image = decoded(cv2.imencode(".jpg", blue)[1].tobytes(), "bgr8; jpeg compressed bgr8")
    assert image.encoding == "bgr8"
    np.testing.assert_allclose(pixels(image, np.uint8).mean((0, 1)), [255, 0, 0], atol=3)


def jpeg(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()


GREY = np.full((16, 16), 90, np.uint8)


@pytest.mark.parametrize(
    ("picture", "image_format", "encoding", "value"),
    [
        (GREY, "mono8; jpeg compressed mono8", "mono8", 90),
        (GREY, "mono8; jpeg compressed ", "mono8", 90),  # older versions name nothing that is not colour
        (GREY, "8UC1; jpeg compressed mono8", "mono8", 90),
        (GREY, "yuv422; jpeg compressed mono8", "mono8", 90),
        (GREY, "yuv422_yuy2; jpeg compressed mono8", "mono8", 90),
        (np.dstack([GREY] * 3), "mono8; jpeg compressed bgr8", "mono8", 90),  # an encoder that knows only colour
        (np.dstack([GREY] * 3), "yuv422; jpeg compressed mono8", "mono8", 90),
        (np.dstack([GREY] * 3), "yuv422; jpeg compressed bgr8", "bgr8", 90),
        (GREY, "bayer_rggb8; jpeg compressed mono8", "mono8", 90),  # demosaiced to grey before it was compressed
        (GREY, "bayer_rggb8; jpeg compressed ", "bayer_rggb8", 90),
        (GREY, "mono16; jpeg compressed mono8", "mono16", 90 * 257),
        (GREY, "jpeg", "mono8", 90),
    ],
)
def test_jpeg_of_every_form_that_the_transport_writes(picture, image_format, encoding, value):
    _, image = decoded(jpeg(picture), image_format)
    assert image.encoding == encoding
    found = pixels(image, np.uint16 if encoding == "mono16" else np.uint8)
    assert found.shape[:2] == (16, 16)
    np.testing.assert_allclose(found, value, atol=2 * 257 if encoding == "mono16" else 2)


def test_tiff_of_depth_in_metres():
    depth = np.linspace(0.5, 9.5, 48 * 96, dtype=np.float32).reshape(48, 96)
    _, image = decoded(cv2.imencode(".tiff", depth)[1].tobytes(), "32FC1; tiff compressed ")
    assert image.encoding == "32FC1"
    np.testing.assert_array_equal(pixels(image, np.float32), depth)


@pytest.mark.parametrize(
    ("image_format", "lost"),
    [
        ("yuv422_yuy2; jpeg compressed mono8", True),
        ("bayer_rggb8; jpeg compressed mono8", True),
        ("uyvy; png compressed mono8", True),
        ("nv12; jpeg compressed mono8", True),
        ("yuv422; jpeg compressed bgr8", False),
        ("bayer_rggb8; jpeg compressed ", False),
        ("mono8; jpeg compressed mono8", False),
        ("rgb8; jpeg compressed bgr8", False),
        ("jpeg", False),
    ],
)
def test_colour_that_the_transport_threw_away_is_noticed(image_format, lost):
    assert lost_colour(image_format) is lost


def test_compressed_depth_in_millimetres():
    _, image = decoded(compressed_depth_png(depth_mm(0)), "16UC1; compressedDepth png")
    assert image.encoding == "16UC1"
    np.testing.assert_array_equal(pixels(image, np.uint16), depth_mm(0))


def test_compressed_depth_in_metres():
    """The codec stores q = A/Z + B; what was NaN is 0."""
    depth = np.linspace(0.5, 9.5, 48 * 96, dtype=np.float32).reshape(48, 96)
    depth[3, 4] = np.nan
    quant_a, quant_b = 100.0 * 101.0, 1.0 - 100.0 * 101.0 / 10.0
    stored = np.nan_to_num(quant_a / depth + quant_b).round().astype(np.uint16)
    _, image = decoded(compressed_depth_png(stored, quant_a, quant_b), "32FC1; compressedDepth png")
    assert image.encoding == "32FC1"
    result = pixels(image, np.float32)
    assert np.isnan(result[3, 4])
    error = np.abs(result - depth)[~np.isnan(depth)]
    assert error.max() < 0.5 * 9.5**2 / quant_a * 1.01  # half a quantisation step at the far end


@pytest.mark.parametrize(
    ("data", "image_format", "sentence"),
    [
        (b"", "jpeg", "0 bytes with format 'jpeg' are no JPEG or PNG picture"),
        (b"not a picture", "bgr8; jpeg compressed bgr8", "are no JPEG or PNG picture"),
        (png(depth_mm(0))[:200], "16UC1; png compressed ", "are no JPEG or PNG picture"),
        (b"\0" * 40, "16UC1; compressedDepth png", "does not hold a PNG, expected compressedDepth png or rvl"),
        (b"\0" * 4, "16UC1; compressedDepth png", "expected a header and a PNG"),
        (compressed_depth_png(color(0)), "16UC1; compressedDepth png", "expected one uint16 channel"),
        (compressed_depth_png(depth_mm(0)), "bgr8; compressedDepth png", "depth is 'bgr8', expected 16UC1 or 32FC1"),
        (png(np.dstack([depth_mm(0)] * 3)), "rgb16; png compressed", "3 channels of uint16"),
    ],
)
def test_what_cannot_be_decoded_is_said(data, image_format, sentence):
    with pytest.raises(SsmaError, match=sentence) as caught:
        decoded(data, image_format)
    assert str(caught.value).startswith("topic /topic: ")
