# SPDX-License-Identifier: Apache-2.0
"""What is computed for a message is computed in it."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
import pytest

from ssma_ros.messages.memory import MessageMemory, carrier


def test_one_array_for_each_use_until_its_shape_changes() -> None:
    memory = MessageMemory()
    first = memory.array("mask", (4, 6), np.uint8)
    first[...] = 3
    assert memory.array("mask", (4, 6), np.uint8) is first
    assert not np.shares_memory(memory.array("overlay", (4, 6), np.uint8), first)
    other = memory.array("mask", (4, 6), np.float32)
    assert other.shape == (4, 6)
    assert other.flags.c_contiguous
    assert memory.array("mask", (5, 6), np.float32).shape == (5, 6)


def test_the_carrier_is_the_array_that_a_view_is_all_of() -> None:
    pixels = MessageMemory().array("cloud", (3, 4, 6), np.float32)
    found = carrier(pixels.view(np.uint8).reshape(-1))
    assert isinstance(found, array.array)
    assert np.shares_memory(np.frombuffer(found, np.uint8), pixels)


@pytest.mark.parametrize(
    "data",
    [
        np.zeros(12, np.uint8),
        np.frombuffer(bytes(12), np.uint8),
        np.frombuffer(array.array("B", bytes(24)), np.uint8)[:12],
        np.frombuffer(array.array("B", bytes(24)), np.uint8)[::2],
        np.frombuffer(array.array("f", [0.0] * 3), np.uint8),
    ],
)
def test_anything_else_has_none(data: Any) -> None:
    assert carrier(data) is None


def test_a_message_takes_the_memory_as_it_is_and_a_copy_of_anything_else() -> None:
    pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")
    from sensor_msgs.msg import Image

    from ssma_ros.ros.publishers import fill, reusable_message

    message = reusable_message(Image)
    pixels = MessageMemory().array("picture", (3, 4, 3), np.uint8)
    pixels[...] = 7
    fill(message, {"height": 3, "data": pixels.reshape(-1)})
    assert np.shares_memory(np.frombuffer(message.data, np.uint8), pixels)
    view = np.arange(40, dtype=np.uint8)[:20]
    fill(message, {"data": view})
    assert message.data.tobytes() == view.tobytes()
    assert not np.shares_memory(np.frombuffer(message.data, np.uint8), view)
    before = message.data
    fill(message, {"data": view + 1})
    assert message.data is before
    assert message.data.tobytes() == (view + 1).tobytes()
    assert pixels.max() == 7
