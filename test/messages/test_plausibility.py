# SPDX-License-Identifier: Apache-2.0
"""Values of another unit are said to look like it."""

from __future__ import annotations

import numpy as np
import pytest

from ssma_ros.frame import Frame
from ssma_ros.messages.plausibility import Plausibility

SIZE = (96, 128)


def last(*frames: Frame) -> dict[str, str]:
    """What is said after the last of these, each seen five times."""
    plausibility, said = Plausibility(), {}
    for frame in frames:
        for _ in range(5):
            said = plausibility.look(frame)
    return said


def depth(metres: float) -> Frame:
    return Frame(0, "camera", depth=np.full(SIZE, metres, np.float32))


def nir(largest: int, full_scale: float, dtype: type = np.uint16) -> Frame:
    image = np.zeros(SIZE, dtype)
    image[10:60, 20:80] = largest
    return Frame(0, "camera", nir=image, nir_full_scale=full_scale)


@pytest.mark.parametrize("metres", [0.3, 2.0, 80.0])
def test_ordinary_depth_is_not_suspicious(metres: float) -> None:
    assert last(depth(metres)) == {}


@pytest.mark.parametrize(("metres", "words"), [(2000.0, "2,000 m"), (0.002, "0.002 m")])
def test_depth_of_another_unit_is_said_with_the_parameter_to_set(metres: float, words: str) -> None:
    sentence = last(depth(metres))["depth"]
    assert f"the median is {words}" in sentence
    assert "depth_scale" in sentence


@pytest.mark.parametrize(("largest", "guess"), [(4000, 4095), (1000, 1023)])
def test_a_sensor_of_fewer_bits_is_guessed(largest: int, guess: int) -> None:
    assert f"set nir_full_scale to {guess}" in last(nir(largest, 65535.0))["nir"]
    assert last(nir(largest, float(guess))) == {}
    assert last(nir(40000, 65535.0)) == {}
    assert last(nir(3, 255.0, np.uint8)) == {}, "eight bits have one full scale"


def test_what_is_empty_is_said() -> None:
    frame = Frame(
        0, "camera", color=np.zeros((*SIZE, 3), np.uint8), depth=np.zeros(SIZE, np.float32),
        nir=np.zeros(SIZE, np.uint8),
    )
    assert {name: words.split(",")[0] for name, words in last(frame).items()} == {
        "color": "colour: every image is black", "depth": "depth: every image has no reading in it",
        "nir": "near infrared: every image is black",
    }


def test_one_odd_image_is_not_enough_and_one_good_one_ends_it() -> None:
    plausibility = Plausibility()
    assert not any(plausibility.look(depth(2000.0)) for _ in range(4))
    assert plausibility.look(depth(2000.0))
    said = [bool(plausibility.look(depth(2.0))) for _ in range(3)]
    assert said[-1] is False


def test_a_small_light_is_seen() -> None:
    """The sample misses it; a dark sensor in order is not called black."""
    image = np.zeros(SIZE, np.uint8)
    image[5, 5] = 200
    assert last(Frame(0, "camera", nir=image)) == {}
