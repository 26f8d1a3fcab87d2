# SPDX-License-Identifier: Apache-2.0
"""Frames for calibration and verification out of a recording."""

from __future__ import annotations

import numpy as np
import pytest
from inference.toy_network import toy_contract
from recordings.small_recording import write_small_recording

from ssma_ros.cli._frames import encoded_frames
from ssma_ros.errors import SsmaError


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drive") / "small"
    write_small_recording(folder)
    return folder


def test_frames_are_encoded_for_the_contract(drive):
    contract = toy_contract()
    frames = encoded_frames(contract, drive, 100)
    feed = frames[-1].feed(contract)
    assert list(feed) == ["color", "hha", "present"]
    assert feed["color"].shape == (32, 64, 3)
    assert frames[-1].present == {"color": True, "hha": True}
    assert frames[-1].label is None
    np.testing.assert_array_equal(feed["present"], [1, 1])


def test_fewer_frames_are_spread_over_the_recording(drive):
    contract = toy_contract()
    all_of_them = encoded_frames(contract, drive, 100)
    two = encoded_frames(contract, drive, 2)
    assert len(two) == 2
    step = len(all_of_them) // 2
    assert np.array_equal(two[1].inputs["color"], all_of_them[step].inputs["color"])


def test_source_that_is_none(tmp_path):
    with pytest.raises(SsmaError, match="no such file or folder"):
        encoded_frames(toy_contract(), tmp_path / "nothing", 4)


def test_real_recording(shared_data):
    found = sorted(p for p in (shared_data / "rosbag2_from_real_images").iterdir() if p.is_dir())
    assert found
    for recording in found:
        frames = encoded_frames(toy_contract(), recording, 4)
        assert all(frame.present["color"] for frame in frames)
