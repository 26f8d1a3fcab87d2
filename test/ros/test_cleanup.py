# SPDX-License-Identifier: Apache-2.0
"""cleanup gives everything back, and a transition that goes wrong leaves a node that can be configured again."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from ros.in_process import LoggedNode, node_in_process
from ros.stub_network import StubBackend

from ssma_ros.inference.tensorrt.build_log import BuildLog
from ssma_ros.ros import fusion_node
from ssma_ros.ros.parameters import FusionParameters
from ssma_ros.ros.process_memory import give_back, resident_bytes
from ssma_ros.ros.transforms import ListenedTransforms
from ssma_ros.synchronization import Matched

SUCCESS, FAILURE, ERROR = (
    TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE, TransitionCallbackReturn.ERROR,
)
BALLAST_MB = 200


class HeavyBackend(StubBackend):
    """The stub network with weights of 200 MB in small pieces, which a lazy allocator would keep."""

    def __init__(self) -> None:
        super().__init__()
        self._weights = [np.ones(16_000, np.uint8) for _ in range(BALLAST_MB * 10**6 // 16_000)]

    def close(self) -> None:
        super().close()
        self._weights.clear()


def held() -> dict[str, int]:
    """Descriptors and threads of this process, less those that earlier tests have left to the garbage collector."""
    gc.collect()
    return {"descriptors": len(list(Path("/proc/self/fd").iterdir())), "threads": threading.active_count()}


def entities(node: LoggedNode) -> dict[str, int]:
    """What the node has in the graph."""
    return {name: len(list(getattr(node, name))) for name in ("publishers", "subscriptions", "timers", "services")}


def cycle(node: LoggedNode) -> None:
    """From unconfigured to active and back."""
    for trigger in (node.trigger_configure, node.trigger_activate, node.trigger_deactivate, node.trigger_cleanup):
        assert trigger() == SUCCESS, node.log.said


def test_cleanup_gives_back_memory_descriptors_threads_and_everything_in_the_graph(domain: int) -> None:
    backends: list[weakref.ref[StubBackend]] = []

    def load(_parameters: FusionParameters) -> StubBackend:
        backend = HeavyBackend()
        backends.append(weakref.ref(backend))
        return backend

    with node_in_process(domain, load) as node:
        cycle(node)  # what is made once stays: the first configure compiles kernels and opens devices
        before, graph, memory = held(), entities(node), resident_bytes()
        assert memory is not None
        for _ in range(4):
            assert node.trigger_configure() == SUCCESS
            parts = [weakref.ref(part) for part in (node._session, node._session.worker, node._session.publishers)]
            loaded = resident_bytes()
            assert loaded is not None
            assert loaded - memory > 0.9 * BALLAST_MB * 1e6
            assert node.trigger_cleanup() == SUCCESS
            after = resident_bytes()
            assert after is not None
            assert after - memory < 0.1 * BALLAST_MB * 1e6
            assert [part() for part in parts] == [None, None, None]
        assert [backend() for backend in backends] == [None] * 5
        assert held() == before
        assert entities(node) == graph


@pytest.mark.slow
def test_cleanup_gives_back_the_shipped_network(domain: int) -> None:
    pytest.importorskip("openvino", reason="needs OpenVINO (make test installs it)")
    with node_in_process(domain, threads=1, backend="openvino") as node:
        cycle(node)
        cycle(node)
        before, memory = held(), resident_bytes()
        for _ in range(4):
            cycle(node)
        after = resident_bytes()
        assert memory is not None
        assert after is not None
        assert after - memory < 10e6  # the network alone takes over 100 MB
        assert held() == before


def test_given_back_memory_leaves_the_process() -> None:
    pieces = [np.ones(16_000, np.uint8) for _ in range(6_000)]
    full = resident_bytes()
    pieces.clear()
    give_back()
    empty = resident_bytes()
    assert full is not None
    assert empty is not None
    assert full - empty > 80e6


@pytest.mark.parametrize("transition", ["activate", "deactivate", "cleanup"])
def test_an_error_in_any_transition_is_told_and_the_node_can_be_configured_again(
    domain: int, transition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with node_in_process(domain, lambda _: StubBackend()) as node:
        assert node.trigger_configure() == SUCCESS
        if transition != "activate":
            assert node.trigger_activate() == SUCCESS
        if transition == "cleanup":
            assert node.trigger_deactivate() == SUCCESS
        session = node._session

        def broken(*_arguments: Any) -> None:
            raise RuntimeError("device lost")

        with monkeypatch.context() as patch:
            patch.setattr(session, "close" if transition == "cleanup" else transition, broken)
            trigger = getattr(node, f"trigger_{transition}")
            assert trigger() == ERROR
        assert f"cannot {transition}:" in node.log.errors()[0]
        assert "RuntimeError: device lost" in node.log.errors()[0]
        assert node._session is None
        assert node._life_state == "unconfigured"
        cycle(node)


def test_the_node_hands_its_cache_and_the_progress_of_a_build_to_the_loader(
    domain: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def load_backend(model: str, **arguments: Any) -> StubBackend:
        given.update(arguments, model=model)
        progress = arguments["progress"]
        progress.start("Building engine", None, 4)
        for step in range(4):
            assert progress.step("Building engine", step)
        progress.finish("Building engine")
        return StubBackend()

    monkeypatch.setattr(fusion_node, "load_backend", load_backend)
    with node_in_process(domain, model="m.engine", cache_dir=tmp_path, rebuild_engine="true") as node:
        assert node.trigger_configure() == SUCCESS
        assert (given["model"], given["cache_dir"], given["rebuild_engine"]) == ("m.engine", str(tmp_path), True)
        assert isinstance(given["progress"], BuildLog)
        lines = [line.partition(" after")[0] for line in node.log.infos() if line.startswith("Building")]
        assert lines == ["Building engine, which can take minutes"] + [
            f"Building engine: {percent} %" for percent in (20, 50, 70, 100)
        ]


@pytest.mark.parametrize("kind", ["publisher", "subscription"])
def test_a_configure_that_fails_among_publishers_or_subscriptions_takes_back_those_that_were_made(
    domain: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with node_in_process(domain, lambda _: StubBackend()) as node:
        graph = entities(node)
        create = getattr(node, f"create_{kind}")
        made: list[Any] = []

        def third_fails(*arguments: Any, **named: Any) -> Any:
            if len(made) == 2:
                raise RuntimeError("the middleware has no room for more")
            made.append(create(*arguments, **named))
            return made[-1]

        with monkeypatch.context() as patch:
            patch.setattr(node, f"create_{kind}", third_fails)
            assert node.trigger_configure() == ERROR
        assert len(made) == 2
        assert entities(node) == graph
        cycle(node)


def test_what_subscribers_want_is_asked_while_no_publisher_goes(
    domain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with node_in_process(domain, lambda _: StubBackend()) as node:
        assert node.trigger_configure() == SUCCESS
        session = node._session
        assert session is not None
        locked: list[bool] = []
        lock = session.processor._publishing
        publishers = session.publishers
        wanted, close, use = publishers.wanted, publishers.close, publishers.set_catalog
        monkeypatch.setattr(publishers, "wanted", lambda: (locked.append(lock.locked()), wanted())[1])
        monkeypatch.setattr(publishers, "close", lambda: (locked.append(lock.locked()), close())[1])
        monkeypatch.setattr(publishers, "set_catalog", lambda c: (locked.append(lock.locked()), use(c))[1])
        session.processor.handle(Matched("color", 0, 0, {}, {}), session.processor.ticket())
        node.set_parameters([Parameter("points_semantic_fields", value=["*"])])
        assert node.trigger_cleanup() == SUCCESS
        assert locked == [True, True, True]


def test_nothing_of_a_failed_configure_stays(domain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[StubBackend] = []
    listening: list[str] = []
    geometry = SimpleNamespace(close=lambda: listening.append("closed"))
    monkeypatch.setattr(ListenedTransforms, "from_parameters", lambda *_: geometry)

    def load(_parameters: FusionParameters) -> StubBackend:
        made.append(StubBackend())
        return made[-1]

    with node_in_process(domain, load, points_semantic_fields="[lava]") as node:
        graph, before = entities(node), held()
        assert node.trigger_configure() == FAILURE
        assert "names lava, expected classes of the network" in node.log.errors()[0]
        assert made[0].closed
        assert listening == ["closed"]
        assert entities(node) == graph
        assert held() == before
