# SPDX-License-Identifier: Apache-2.0
"""Malformed messages by the thousand: each is refused in words, the next good moment is segmented."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from ros import messages
from ros.stub_network import StubBackend, stub_contract

from ssma_ros.messages.assemble import DEFAULT_TOPICS
from ssma_ros.messages.catalogue import OutputCatalog
from ssma_ros.messages.decode import stamp_ns
from ssma_ros.messages.layouts import COLOR
from ssma_ros.ros.parameters import FusionParameters
from ssma_ros.ros.processing import FrameProcessor
from ssma_ros.segmenter import Segmenter
from ssma_ros.synchronization import Matched, Synchronizer

WIDTH, HEIGHT = 16, 16
SENSORS = ("color", "depth", "nir")
#: Stamp of the first good moment.
NOW_NS = 1_700_000_000 * 10**9
ENCODINGS = (*COLOR, "16UC1", "32FC1", "mono16", "yuv422_yuy2", "32FC3", "", "\0")


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
        inputs = SimpleNamespace(
            inputs={**names, "camera_info": self.info}, topics=lambda: dict(DEFAULT_TOPICS), infos=dict
        )
        sink: Any = self.sink
        said: Any = self.said
        subscriptions: Any = inputs
        self.processor = FrameProcessor(
            Segmenter(StubBackend(contract)), sink, subscriptions, lambda: FusionParameters(), said
        )
        self.processor.set_open(True)

        self._good_ns = NOW_NS
        self._synchronizer: Synchronizer[Any] = Synchronizer()
        self._now_ns = 0

    def receive(self, items: dict[str, Any]) -> None:
        """Messages arrive; whatever frame comes of them, at the latest after the longest wait, is worked on."""
        for sensor in SENSORS:
            if sensor in items:
                self._now_ns += 1_000_000
                self._synchronizer.add(sensor, stamp_ns(items[sensor]), items[sensor], self._now_ns)
        self._now_ns += self._synchronizer.options.timeout_ns
        matched = self._synchronizer.take(self._now_ns)
        if matched is not None:
            self.processor.handle(matched, self.processor.ticket())

    def handle(self, items: dict[str, Any]) -> None:
        """These messages as one frame, whatever their stamps."""
        missing = {sensor: f"no {sensor} message received yet" for sensor in SENSORS if sensor not in items}
        self.processor.handle(Matched("color", 0, 0, items, missing), self.processor.ticket())

    def expect_good(self) -> None:
        """A good moment of now is segmented whole, under its own stamp."""
        self.info.last = messages.camera_info(WIDTH, HEIGHT)
        self._good_ns += 100_000_000
        self.receive(good(self._good_ns))
        assert self.sink.results[-1].stamp_ns == self._good_ns
        assert all(self.sink.results[-1].present.values())


def good(stamp_ns: int) -> dict[str, Any]:
    return {
        "color": messages.image(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), "bgr8", stamp_ns=stamp_ns),
        "depth": messages.image(np.full((HEIGHT, WIDTH), 2000, np.uint16), "16UC1", stamp_ns=stamp_ns),
        "nir": messages.image(np.full((HEIGHT, WIDTH), 90, np.uint8), "mono8", stamp_ns=stamp_ns),
    }


numbers = st.floats(width=32)
sides = st.one_of(st.just(WIDTH), st.integers(0, 33), st.integers(0, 2**32 - 1))
# Any stamp that fits into the message: zero, before 1970, nanoseconds that make seconds, the last one there is. Only
# the second after now is left out, in which a stamp is taken for a message that overtook the others.
stamps = st.one_of(
    st.tuples(st.just(0), st.just(0)),
    st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**32 - 1)),
    st.tuples(st.just(NOW_NS // 10**9 + 400), st.integers(0, 2**32 - 1)),
    st.just((NOW_NS // 10**9 - 5, 0)),
).filter(lambda stamp: not 0 < stamp[0] * 10**9 + stamp[1] - NOW_NS < 400 * 10**9)
headers = st.builds(
    lambda stamp, frame_id: SimpleNamespace(stamp=SimpleNamespace(sec=stamp[0], nanosec=stamp[1]), frame_id=frame_id),
    stamps,
    st.one_of(st.sampled_from(("camera", "", "other")), st.text(max_size=20)),
)
images = st.builds(
    lambda **fields: SimpleNamespace(**fields),
    header=headers,
    width=sides,
    height=sides,
    step=st.one_of(st.integers(0, 80), st.integers(0, 2**32 - 1)),
    encoding=st.sampled_from(ENCODINGS),
    is_bigendian=st.integers(0, 255),
    data=st.one_of(st.binary(max_size=64), st.sampled_from([bytes(1024), b"\xff" * 1024, b"\x00\x00\xc0\x7f" * 256])),
)
pictures = st.builds(
    lambda header, form, data: SimpleNamespace(header=header, format=form, data=data),
    headers,
    st.sampled_from(
        ("jpeg", "png", "16UC1; compressedDepth png", "32FC1; compressedDepth png", "16UC1; compressedDepth rvl", "",
         "bgr8; jpeg")
    ),
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
        "color": st.one_of(st.just(good(NOW_NS)["color"]), images, pictures),
        "depth": st.one_of(images, pictures, disparities),
        "nir": st.one_of(images, pictures),
    },
)


def abuse(bench: Bench, items: dict[str, Any], info: Any) -> None:
    bench.info.last = info
    bench.handle(items)
    if "color" not in items:
        assert bench.said.sentences
    bench.receive(items)
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


finite = st.sampled_from([0.0, -0.0, 1.5, -3.0, 2.0**-126, 2.0**127])
not_numbers = st.sampled_from([np.nan, np.inf, -np.inf, np.float32(np.frombuffer(b"\x01\x00\x80\xff", "<f4")[0])])
measured = arrays.arrays(np.float32, (HEIGHT, WIDTH), elements=st.one_of(finite, not_numbers))


@settings(max_examples=100, deadline=None)
@given(depth=measured, disparity=measured)
def test_no_value_of_depth_or_disparity_does_harm(depth: Any, disparity: Any) -> None:
    """The frame is segmented; what is no distance is no reading, and no NaN comes out."""
    bench = Bench()
    moment = good(NOW_NS)
    for message in (
        messages.image(depth, "32FC1", stamp_ns=NOW_NS), messages.disparity(disparity, stamp_ns=NOW_NS)
    ):
        bench.handle({**moment, "depth": message})
        result = bench.sink.results[-1]
        assert result.present["rgb"]
        assert np.isfinite(result.depth).all() if result.depth is not None else True
    bench.expect_good()
    assert not bench.processor.progress.failures
