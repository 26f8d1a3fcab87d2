# SPDX-License-Identifier: Apache-2.0
"""One frame's way through the node: nothing is computed that nobody wants, nothing leaves a closed node."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ros import messages
from ros.stub_network import StubBackend, stub_contract

from ssma_ros.encodings.base import EncoderOptions
from ssma_ros.messages.assemble import DEFAULT_TOPICS
from ssma_ros.messages.catalogue import Output, OutputCatalog
from ssma_ros.ros.parameters import FusionParameters
from ssma_ros.ros.processing import FrameProcessor
from ssma_ros.ros.statistics import ThrottledLog
from ssma_ros.segmenter import Segmenter
from ssma_ros.synchronization import Matched

SIZE = (16, 16)
CONTRACT = stub_contract(*SIZE)


class Subscribed:
    """Stands in for the publishers: these topics have a subscriber; notes which fields were computed."""

    def __init__(self, *topics: str) -> None:
        self.topics = topics
        self.computed: list[str] = []
        self.published: list[tuple[str, int]] = []

    def wanted(self) -> tuple[Output, ...]:
        return tuple(output for output in OutputCatalog(CONTRACT).outputs if output.topic in self.topics)

    def publish(self, wanted: tuple[Output, ...], result: Any, frame: Any) -> None:
        for output in wanted:
            self.computed.append(output.topic)
            if output.fields(result, frame) is not None:
                self.published.append((output.topic, result.stamp_ns))


class Rig:
    def __init__(self, *topics: str, **parameters: Any) -> None:
        self.backend = StubBackend(CONTRACT)
        self.subscribed = Subscribed(*topics)
        self.said: list[str] = []
        info = self.info = SimpleNamespace(last=messages.camera_info(*SIZE))
        inputs: Any = SimpleNamespace(
            inputs={"color": None, "depth": None, "nir": None, "camera_info": info},
            topics=lambda: dict(DEFAULT_TOPICS), infos=dict,
        )
        self.inputs = inputs
        publishers: Any = self.subscribed
        self.segmenter = Segmenter(self.backend)
        self.processor = FrameProcessor(
            self.segmenter, publishers, inputs, lambda: FusionParameters(**parameters),
            ThrottledLog(self.said.append, lambda: 0),
        )
        self.processor.set_open(True)

    def handle(
        self, *sensors: str, driver: str = "color", new_beginning: bool = False, ticket: int | None = None, **items: Any
    ) -> None:
        shape = SIZE[::-1]
        good = {
            "color": messages.image(np.full((*shape, 3), 90, np.uint8), "bgr8"),
            "depth": messages.image(np.full(shape, 2000, np.uint16), "16UC1"),
            "nir": messages.image(np.full(shape, 90, np.uint8), "mono8"),
        }
        chosen = {s: m for s, m in good.items() if s in (sensors or tuple(good))} | items
        missing = {s: f"no {s} message for 2.0 s" for s in good if s not in chosen}
        matched = Matched(driver, 1_500_000_000, 0, chosen, missing, new_beginning)
        self.processor.handle(matched, self.processor.ticket() if ticket is None else ticket)


@pytest.mark.parametrize(
    ("topics", "asked"),
    [
        (("mask",), {"mask", "confidence"}),
        (("overlay", "color_mask"), {"mask", "confidence"}),
        (("points",), {"mask", "confidence"}),
        (("confidence/grass",), {"mask", "confidence", "probabilities"}),
        (("semantic_image", "traversability"), {"mask", "confidence", "probabilities"}),
        (("modality_weights/hha",), {"mask", "confidence", "gates"}),
        (("hha", "depth_completed"), {"mask", "confidence"}),
    ],
)
def test_the_network_is_asked_for_what_subscribers_need_and_no_more(topics: tuple[str, ...], asked: set[str]) -> None:
    rig = Rig(*topics)
    rig.handle()
    assert [set(call) for call in rig.backend.asked] == [asked]
    assert set(rig.subscribed.computed) == set(topics)
    assert {topic for topic, _ in rig.subscribed.published} == set(topics)


def test_without_a_subscriber_nothing_is_segmented_and_it_is_counted() -> None:
    rig = Rig()
    rig.handle()
    assert rig.backend.calls == 0
    assert rig.processor.progress.unwanted == 1


def test_a_stamp_jump_is_told_to_the_segmenter_even_with_no_subscriber(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    resets: list[int] = []
    monkeypatch.setattr(rig.segmenter, "reset", lambda: resets.append(1))
    rig.handle()
    rig.handle(new_beginning=True)
    assert len(resets) == 1


def test_nothing_is_published_once_closed() -> None:
    rig = Rig("mask")
    rig.processor.set_open(False)
    rig.handle()
    assert rig.backend.calls == 1  # as of a frame in work at the time
    assert rig.subscribed.published == []
    assert rig.processor.progress.published == 0


def test_refusals_are_counted_said_once_and_end_with_the_next_good_message() -> None:
    rig = Rig("mask")
    bad = messages.image(np.zeros((4, 4), np.uint16), "16UC1")
    for _ in range(3):
        rig.handle(depth=bad)
    record = rig.processor.progress.sensors["depth"]
    assert record.refused == 3
    assert record.reason.startswith("refused: topic depth/image_rect: size is 4x4")
    assert len(rig.said) == 1
    assert rig.processor.progress.degraded == 3
    rig.handle()
    assert rig.processor.progress.sensors["depth"].reason == ""


def test_a_refused_camera_info_is_counted_and_said_once_a_frame() -> None:
    rig = Rig("mask")
    rig.info.last = messages.camera_info(8, 8)
    for _ in range(2):
        rig.handle()
    assert rig.processor.progress.sensors["camera_info"].refused == 2
    assert len(rig.said) == 1


def test_depth_that_makes_no_stream_is_not_called_well() -> None:
    rig = Rig("mask")
    rig.info.last = messages.camera_info(8, 8)
    rig.handle()
    reason = rig.processor.progress.sensors["depth"].reason
    assert reason.startswith("not used: refused: topic camera/camera_info: size is 8x8")
    assert rig.processor.progress.sensors["nir"].reason == ""


def test_a_driver_that_makes_no_stream_is_said_and_costs_the_frame_alone() -> None:
    rig = Rig("mask")
    rig.handle("nir", driver="nir")
    assert rig.backend.calls == 0
    assert "nir alone makes no input of this network" in rig.said[0]
    rig.handle("depth", driver="depth")
    assert rig.subscribed.published == [("mask", 1_500_000_000)]


def test_stage_times_cover_the_way_from_arrival_to_publish() -> None:
    rig = Rig("mask")
    rig.handle()
    stages = rig.processor.progress.stages.percentiles(50)
    assert {"waiting", "assembly", "preprocessing", "inference", "publishing", "besides_inference", "latency"} <= set(
        stages
    )
    assert stages["latency"][0] >= stages["besides_inference"][0]


@pytest.mark.parametrize("opened_again", [False, True])
def test_a_frame_in_work_while_the_node_is_deactivated_stays_unpublished(
    monkeypatch: pytest.MonkeyPatch, opened_again: bool
) -> None:
    rig = Rig("mask")
    segment = Segmenter.__call__

    def slow(self: Segmenter, frame: Any, outputs: Any) -> Any:
        rig.processor.set_open(False)
        if opened_again:
            rig.processor.set_open(True)
        return segment(self, frame, outputs)

    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "__call__", slow)
        rig.handle()
    assert rig.backend.calls == 1
    assert rig.subscribed.published == []
    rig.processor.set_open(True)
    rig.handle()
    assert len(rig.subscribed.published) == 1


def test_a_frame_taken_just_before_the_node_was_deactivated_and_activated_stays_unpublished() -> None:
    rig = Rig("mask")
    ticket = rig.processor.ticket()
    rig.processor.set_open(False)
    rig.processor.set_open(True)
    rig.handle(ticket=ticket)
    assert rig.subscribed.published == []
    rig.handle()
    assert len(rig.subscribed.published) == 1


def test_gravity_that_is_guessed_is_told_with_what_to_do() -> None:
    """A camera on its side: the estimate is refused for ever, and the encoding takes the camera for level."""
    rig = Rig("mask")
    rig.processor._segmenter = Segmenter(rig.backend, encoder_options=EncoderOptions(gravity_guard=True))
    side = np.repeat(np.linspace(500, 9000, SIZE[0]).astype(np.uint16)[None], SIZE[1], axis=0)
    for _ in range(3):
        rig.handle(depth=messages.image(side, "16UC1"))
    words = rig.processor.progress.gravity.words
    assert words.endswith("the camera counts as level: set gravity_frame to a frame whose z axis points up, or "
                          "gravity_guard to false")
    on_its_side = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    rig.processor._transforms = SimpleNamespace(lookup=lambda *_: (on_its_side, np.zeros(3)))
    rig.processor._parameters = lambda: FusionParameters(gravity_frame="odom")
    rig.handle(depth=messages.image(side, "16UC1"))
    assert rig.processor.progress.gravity.words == ""


def test_a_gravity_frame_that_tf_does_not_know_is_told() -> None:
    rig = Rig("mask", gravity_frame="odom")


    def lookup(*_: str) -> Any:
        raise LookupError("no such frame")

    rig.processor._transforms = SimpleNamespace(lookup=lookup)
    rig.handle()
    assert rig.processor.progress.gravity.words == (
        "tf knows no transform from gravity_frame 'odom' to 'camera', gravity is estimated from depth instead, "
        "expected both frames in one tf tree"
    )


def test_gravity_from_tf_reaches_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig("mask", gravity_frame="odom")
    seen: list[Any] = []
    segment = Segmenter.__call__
    monkeypatch.setattr(
        Segmenter, "__call__", lambda self, frame, outputs: seen.append(frame) or segment(self, frame, outputs)
    )
    asked: list[tuple[str, str]] = []
    level = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
    rig.processor._transforms = SimpleNamespace(lookup=lambda *frames: (asked.append(frames), (level, np.zeros(3)))[1])
    rig.handle()
    np.testing.assert_array_equal(seen[0].gravity, [0.0, 1.0, 0.0])
    assert asked == [("camera", "odom")]


def test_near_infrared_that_is_registered_without_depth_is_told() -> None:
    rig = Rig("mask", register_nir=True, nir_extrinsics=(0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    rig.inputs.infos = lambda: {"nir": messages.camera_info(*SIZE)}
    rig.handle()
    assert rig.processor.progress.registration.words == ""
    rig.handle(depth=None)
    assert rig.processor.progress.registration.words == (
        "near infrared is registered without depth (no depth image): everything counts as infinitely far, so that what "
        "is near is displaced"
    )
    assert rig.processor.progress.gravity.words == ""
