"""Malformed messages by the thousand: each is refused in words, the next good moment is segmented."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ros import messages
from ros.stub_network import StubBackend, stub_contract

from ssma_ros.pipeline import Pipeline
from ssma_ros.ros.assembly import DEFAULT_TOPICS
from ssma_ros.ros.conversion import COLOR_ENCODINGS
from ssma_ros.ros.outputs import OutputCatalog
from ssma_ros.ros.parameters import FusionParameters
from ssma_ros.ros.processing import FrameProcessor
from ssma_ros.synchronization import Matched

WIDTH, HEIGHT = 16, 16
SENSORS = ("color", "depth", "nir")
ENCODINGS = (*COLOR_ENCODINGS, "16UC1", "32FC1", "mono16", "yuv422_yuy2", "32FC3", "", "\0")


class Sink:
    """Stands in for the publishers: wants the mask, keeps what comes."""

    def __init__(self, catalog: OutputCatalog) -> None:
        self._mask = next(output for output in catalog.outputs if output.topic == "mask")
        self.results: list[Any] = []

    def wanted(self) -> tuple[Any, ...]:
        return (self._mask,)

    def publish(self, wanted: Any, result: Any, frame: Any) -> None:
        assert self._mask.fields(result, frame)["step"] == WIDTH
        self.results.append(result)


class Said:
    """Stands in for the log: only sentences are allowed."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, kind: str, sentence: str) -> None:
        assert "\n" not in sentence
        assert " is " in sentence or " makes no input " in sentence
        self.sentences.append(sentence)


class Bench:
    def __init__(self) -> None:
        contract = stub_contract(WIDTH, HEIGHT)
        self.sink, self.said = Sink(OutputCatalog(contract)), Said()
        self.info = SimpleNamespace(last=messages.camera_info(WIDTH, HEIGHT))
        names = dict.fromkeys(SENSORS, SimpleNamespace())
        inputs = SimpleNamespace(inputs={**names, "camera_info": self.info}, topics=lambda: dict(DEFAULT_TOPICS))
        sink: Any = self.sink
        said: Any = self.said
        subscriptions: Any = inputs
        self.processor = FrameProcessor(
            Pipeline(StubBackend(contract)), sink, subscriptions, lambda: FusionParameters(), said
        )
        self.processor.set_open(True)

    def handle(self, items: dict[str, Any]) -> None:
        missing = {sensor: f"no {sensor} message received yet" for sensor in SENSORS if sensor not in items}
        self.processor.handle(Matched("color", 0, 0, items, missing))

    def expect_good(self) -> None:
        self.info.last = messages.camera_info(WIDTH, HEIGHT)
        before = len(self.sink.results)
        self.handle(good())
        assert len(self.sink.results) == before + 1
        assert all(self.sink.results[-1].present.values())


def good() -> dict[str, Any]:
    return {
        "color": messages.image(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), "bgr8"),
        "depth": messages.image(np.full((HEIGHT, WIDTH), 2000, np.uint16), "16UC1"),
        "nir": messages.image(np.full((HEIGHT, WIDTH), 90, np.uint8), "mono8"),
    }


numbers = st.floats(width=32)
sides = st.one_of(st.just(WIDTH), st.integers(0, 33), st.integers(0, 2**32 - 1))
images = st.builds(
    lambda **fields: SimpleNamespace(header=messages.header(frame_id=fields.pop("frame_id")), **fields),
    frame_id=st.sampled_from(("camera", "", "other")),
    width=sides,
    height=sides,
    step=st.one_of(st.integers(0, 80), st.integers(0, 2**32 - 1)),
    encoding=st.sampled_from(ENCODINGS),
    is_bigendian=st.integers(0, 255),
    data=st.one_of(st.binary(max_size=64), st.sampled_from([bytes(1024), b"\xff" * 1024, b"\x00\x00\xc0\x7f" * 256])),
)
pictures = st.builds(
    lambda form, data: SimpleNamespace(header=messages.header(), format=form, data=data),
    st.sampled_from(("jpeg", "png", "16UC1; compressedDepth png", "32FC1; compressedDepth png", "", "bgr8; jpeg")),
    st.binary(max_size=64),
)
disparities = st.builds(
    lambda image, f, t, least: SimpleNamespace(
        header=image.header, image=image, f=f, t=t, min_disparity=least, max_disparity=0.0
    ),
    images, numbers, numbers, numbers,
)
infos = st.builds(
    lambda width, height, k, p: messages.camera_info(width=width, height=height, k=k, p=p),
    sides, sides, st.lists(numbers, min_size=9, max_size=9), st.lists(numbers, min_size=12, max_size=12),
)
moments = st.fixed_dictionaries(
    {},
    optional={
        "color": st.one_of(st.just(good()["color"]), images, pictures),
        "depth": st.one_of(images, pictures, disparities),
        "nir": st.one_of(images, pictures),
    },
)


def abuse(bench: Bench, items: dict[str, Any], info: Any) -> None:
    bench.info.last = info
    bench.handle(items)
    if "color" not in items:
        assert bench.said.sentences
    bench.expect_good()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(items=moments, info=st.one_of(st.none(), infos))
def test_malformed_messages(items: dict[str, Any], info: Any) -> None:
    abuse(Bench(), items, info)


complete_moments = st.fixed_dictionaries(
    {"color": images, "depth": st.one_of(images, disparities), "nir": images}
)


@pytest.mark.slow
def test_ten_thousand_malformed_messages_in_one_node() -> None:
    bench = Bench()
    count = 0

    @settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(items=complete_moments, info=infos)
    def stream(items: dict[str, Any], info: Any) -> None:
        nonlocal count
        count += len(items) + 1
        bench.said.sentences.clear()
        del bench.sink.results[:-1]
        abuse(bench, items, info)

    stream()
    assert count >= 10_000
    assert not bench.processor.progress.failures
