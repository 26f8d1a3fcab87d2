# SPDX-License-Identifier: Apache-2.0
"""The node with a near-infrared camera of its own, whose place is a parameter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from rclpy.lifecycle import TransitionCallbackReturn
from ros import messages
from ros.in_process import node_in_process
from ros.live import wait_until
from ros.stub_network import StubBackend
from ros.test_documentation import diagnostics

SUCCESS = TransitionCallbackReturn.SUCCESS
WIDTH, HEIGHT, FOCAL = 96, 64, 80.0
PLACE = "[0.12, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]"


def moment(stamp_ns: int) -> dict[str, Any]:
    infrared = np.full((40, 64), 90, np.uint8)
    return {
        "camera_info": messages.camera_info(WIDTH, HEIGHT, FOCAL),
        "color": messages.image(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), "bgr8", stamp_ns=stamp_ns),
        "depth": messages.image(np.full((HEIGHT, WIDTH), 4000, np.uint16), "16UC1", stamp_ns=stamp_ns),
        "nir": messages.image(infrared, "mono8", stamp_ns=stamp_ns, frame_id="nir_optical"),
    }


def test_near_infrared_is_registered_by_its_camera_info_and_given_extrinsics(domain: int) -> None:
    with node_in_process(domain, lambda _: StubBackend(), register_nir="true", nir_extrinsics=PLACE) as node:
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        session, published = node._session, node.pretend_subscriber("mask")
        assert session is not None
        assert session.inputs.inputs["nir_camera_info"].topic == "/nir/camera_info"
        assert "depth_camera_info" not in session.inputs.inputs

        def segmented(number: int) -> tuple[Any, Any]:
            before = len(published)
            node.segment(moment(number * 10**9))
            wait_until(lambda: len(published) > before, f"a frame, said {node.log.said}")
            return published[-1]

        result, frame = segmented(1)
        assert "topic /nir/camera_info: message is absent" in frame.missing["nir"]
        assert not result.present["evi"]
        session.inputs.inputs["nir_camera_info"].last = messages.camera_info(64, 40, 50.0)
        result, frame = segmented(2)
        np.testing.assert_allclose(frame.cameras["nir"].translation, [0.12, 0.0, 0.0])
        assert result.present["evi"]
        assert result.timings_ms["registration"] > 0
        assert "registration" in diagnostics(node)
