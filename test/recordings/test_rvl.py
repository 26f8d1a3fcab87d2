# SPDX-License-Identifier: Apache-2.0
"""The RVL decoder against an encoder written down from the paper."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from recordings.small_recording import FRAME_ID, START_NS, depth_mm

from ssma_ros.errors import SsmaError
from ssma_ros.messages.rvl import decode_rvl
from ssma_ros.messages.transports import decompress
from ssma_ros.recordings.records import compressed_image


def encode_rvl(pixels: np.ndarray) -> bytes:
    nibbles: list[int] = []

    def put(number: int) -> None:
        while True:
            number, low = number >> 3, number & 7
            nibbles.append(low | (8 if number else 0))
            if not number:
                return

    values, at, previous = pixels.reshape(-1).tolist(), 0, 0
    while at < len(values):
        start = at
        while at < len(values) and values[at] == 0:
            at += 1
        put(at - start)
        start = at
        while at < len(values) and values[at] != 0:
            at += 1
        put(at - start)
        for value in values[start:at]:
            difference = value - previous
            put((difference << 1) ^ (difference >> 31))
            previous = value
    nibbles += [0] * (-len(nibbles) % 8)
    words = [int("".join(f"{n:x}" for n in nibbles[i : i + 8]), 16) for i in range(0, len(nibbles), 8)]
    return struct.pack(f"<{len(words)}I", *words)


def test_a_code_worked_out_by_hand() -> None:
    """Two zeros, then 5 and 4: 2, 2, +5 folded to 10 = 0b001_010, -1 folded to 1."""
    words = np.array([0x22A11000], "<u4")
    np.testing.assert_array_equal(decode_rvl(words.view(np.uint8), 4), [0, 0, 5, 4])
    assert encode_rvl(np.array([0, 0, 5, 4])) == words.tobytes()


@settings(max_examples=200, deadline=None)
@given(arrays.arrays(np.uint16, st.integers(1, 200), elements=st.one_of(st.just(0), st.integers(0, 65535))))
def test_what_is_encoded_comes_back(pixels: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_rvl(np.frombuffer(encode_rvl(pixels), np.uint8), pixels.size), pixels)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200), count=st.integers(1, 300))
def test_any_bytes_are_decoded_or_refused(data: bytes, count: int) -> None:
    with contextlib.suppress(ValueError):  # any other exception would be a bug
        assert decode_rvl(np.frombuffer(data, np.uint8), count).shape == (count,)


@pytest.mark.parametrize(
    ("words", "pixel"),
    [
        ([], 0),  # nothing
        ([0x90000000], 1),  # runs of (1, 0) and (0, 0)
        ([0x70000000], 0),  # more zeros than pixels
        ([0x07000000], 0),  # more others than pixels
        ([0x02188888], 1),  # the second difference does not end
        ([0xFFFFFFFF, 0xFFFFFFF0], 0),  # a number of 48 bits
        ([0xFFFFFFFF], 0),  # a number without an end
    ],
)
def test_a_code_that_is_none_is_refused(words: list[int], pixel: int) -> None:
    with pytest.raises(ValueError, match=f"at pixel {pixel} of 4"):
        decode_rvl(np.array(words, "<u4").view(np.uint8), 4)


def compressed_depth(pixels: np.ndarray, quant_a: float = 0.0, quant_b: float = 0.0) -> bytes:
    height, width = pixels.shape
    return struct.pack("<iff", 0, quant_a, quant_b) + struct.pack("<II", width, height) + encode_rvl(pixels)


def decoded(data: bytes, image_format: str):
    return decompress(compressed_image(data, image_format, START_NS, FRAME_ID), "/topic")


def test_compressed_depth_in_millimetres() -> None:
    image = decoded(compressed_depth(depth_mm(0)), "16UC1; compressedDepth rvl")
    assert image.encoding == "16UC1"
    np.testing.assert_array_equal(image.data.view(np.uint16).reshape(image.height, image.width), depth_mm(0))


def test_compressed_depth_in_metres_is_quantised_as_in_png() -> None:
    stored = np.array([[0, 100], [200, 400]], np.uint16)
    image = decoded(compressed_depth(stored, 1000.0, 0.0), "32FC1; compressedDepth rvl")
    np.testing.assert_allclose(image.data.view(np.float32), [np.nan, 10.0, 5.0, 2.5])


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\0" * 12, "expected a header and an RVL image"),
        (b"\0" * 40, "RVL image is 0x0, expected 1 to 16384 pixels a side"),
        (struct.pack("<iffII", 0, 0, 0, 2**31, 1), "RVL image is 2147483648x1, expected 1 to 16384"),
        (compressed_depth(depth_mm(0))[:-40], "RVL image of 96x48 is damaged"),
    ],
)
def test_what_is_no_rvl_image_is_refused_in_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(SsmaError, match=sentence):
        decoded(data, "16UC1; compressedDepth rvl")
