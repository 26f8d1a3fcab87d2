# SPDX-License-Identifier: Apache-2.0
"""Graph capture against a pretended driver."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from inference.fake_gpu import FakeDriver

from ssma_ros.errors import SsmaError
from ssma_ros.kernels.cuda.graph import CapturedGraph

STREAM = SimpleNamespace(handle=4711)


class Driver:
    """Hands out handle 1 for the graph and 2 for its executable; fails where told to."""

    def __init__(self, fails: str = "") -> None:
        self.calls: list[str] = []
        self._fails = fails

    def __getattr__(self, name: str):
        def call(*arguments) -> int:
            self.calls.append(name)
            if name == self._fails:
                return 901
            if name == "cuStreamEndCapture":
                arguments[1]._obj.value = 1
            elif name == "cuGraphInstantiateWithFlags":
                arguments[0]._obj.value = 2
            elif name == "cuGraphLaunch":
                assert (arguments[0].value, arguments[1].value) == (2, 4711)
            return 0

        return call


def test_capture_and_replay():
    driver = Driver()
    graph = CapturedGraph(STREAM, lambda: driver.calls.append("kernels"), driver)
    graph.launch()
    graph.launch()
    graph.close()
    graph.close()
    assert driver.calls == [
        "cuStreamBeginCapture_v2", "kernels", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphDestroy",
        "cuGraphLaunch", "cuGraphLaunch", "cuGraphExecDestroy",
    ]


@pytest.mark.parametrize("call", ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags"])
def test_refusals_name_the_call(call):
    with pytest.raises(SsmaError, match=f"{call.removesuffix('_v2')} failed with error 901"):
        CapturedGraph(STREAM, lambda: None, Driver(call))


def test_an_error_while_capturing_ends_the_capture():
    driver = Driver()

    def enqueue() -> None:
        raise ValueError("no such blur")

    with pytest.raises(ValueError, match="no such blur"):
        CapturedGraph(STREAM, enqueue, driver)
    assert driver.calls == ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphDestroy"]


def test_the_driver_says_why_it_refuses():
    with pytest.raises(SsmaError, match=r"cuStreamBeginCapture failed with error 900 \(no CUDA-capable device"):
        CapturedGraph(STREAM, lambda: None, FakeDriver(capture_error=900))


def test_no_graph_is_left_over():
    driver = FakeDriver()
    graph = CapturedGraph(STREAM, lambda: None, driver)
    graph.launch()
    graph.launch()
    assert (driver.calls[:2], driver.launches, driver.live_graphs) == (["begin", "end"], 2, 1)
    graph.close()
    graph.close()
    assert driver.live_graphs == 0
