# SPDX-License-Identifier: Apache-2.0
"""The real node with a thermal camera: subscribed by the table, decoded, encoded, published, and missed."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from rclpy.lifecycle import TransitionCallbackReturn
from ros import messages
from ros.in_process import node_in_process
from ros.stub_network import StubBackend

from ssma_ros.contract import Contract, Stream
from ssma_ros.labels import load_label_set

SUCCESS = TransitionCallbackReturn.SUCCESS
WIDTH, HEIGHT = 96, 64


def test_a_thermal_stream_is_segmented_and_missed(domain: int) -> None:
    streams = (Stream("rgb", "rgb"), Stream("warm", "thermal"))
    contract = Contract(WIDTH, HEIGHT, streams, load_label_set("synthetic_forest"))
    with node_in_process(domain, lambda _: StubBackend(contract), autostart="false") as node:
        assert node.trigger_configure() == SUCCESS, node.log.said
        assert node.trigger_activate() == SUCCESS
        session = node._session
        assert session is not None
        assert session.inputs.inputs["thermal"].topic == "/thermal/image_rect"
        assert "depth" not in session.inputs.inputs
        published = node.pretend_subscriber("warm")
        color = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        warm = np.full((HEIGHT, WIDTH), 29315, np.uint16)
        moment = {"color": messages.image(color, "bgr8"), "thermal": messages.image(warm, "16UC1")}
        node.segment({"camera_info": messages.camera_info(WIDTH, HEIGHT, 60.0), **moment})
        deadline = time.monotonic() + 20
        while not published and time.monotonic() < deadline:
            time.sleep(0.01)
        result, frame = published[0]
        np.testing.assert_allclose(frame.thermal, 293.15, rtol=1e-6)
        assert result.present == {"rgb": True, "warm": True}
        assert set(np.unique(result.inputs["warm"])) == {153}
        wrong = {**moment, "thermal": messages.image(color, "bgr8")}
        for message in wrong.values():
            message.header = messages.header(2_000_000_000)
        node.segment(wrong)
        while len(published) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        result, _ = published[1]
        assert result.present == {"rgb": True, "warm": False}
        assert "encoding is 'bgr8', expected one of 16UC1" in result.missing["warm"]
