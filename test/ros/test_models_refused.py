# SPDX-License-Identifier: Apache-2.0
"""A model that is damaged, foreign or for something else is refused at configure, and the node takes a good one after.

The GPU, its driver and TensorRT are stand-ins (test/inference/fake_gpu.py); ONNX files are read by the real runtime.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")
pytest.importorskip("torch", reason="needs PyTorch to export the toy network (make test installs it)")
pytest.importorskip("openvino", reason="needs OpenVINO (make test installs it)")

from inference.fake_gpu import pretend_machine
from inference.toy_network import toy_contract, toy_network
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from ros import messages
from ros.in_process import LoggedNode, node_in_process
from ros.live import wait_until

from ssma_ros.contract import save_contract
from ssma_ros.inference.build.export import export_onnx
from ssma_ros.inference.runtime.gpu import probe_gpu
from ssma_ros.inference.tensorrt.builder import build_engine
from ssma_ros.inference.tensorrt.fingerprint import sidecar_path

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the toy network's graph and contract."""
    folder = tmp_path_factory.mktemp("toy")
    export_onnx(toy_network(), toy_contract(), folder / "model.onnx")
    (folder / "model.contract.json").rename(folder / "contract.json")
    return folder


@pytest.fixture
def good(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "good"))


@pytest.fixture
def bad(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "bad"))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine with a GPU, as far as Python can tell; preprocessing kernels do nothing."""
    return pretend_machine(monkeypatch, run_kernel=lambda *_: None)


def build(folder: Path, machine: Any) -> Path:
    build_engine(folder / "model.onnx", folder / "model.engine", gpu=probe_gpu(), tensorrt=machine.trt)
    machine.trt.events.clear()
    return folder / "model.engine"


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def other_contract(folder: Path) -> None:
    save_contract(dataclasses.replace(toy_contract(), temperature=2.0), folder / "contract.json")


def segments(node: LoggedNode) -> bool:
    """Whether the active node makes a frame out of a colour image and depth."""
    published = node.pretend_subscriber("mask")
    color = messages.image(np.full((32, 64, 3), 90, np.uint8), "bgr8")
    depth = messages.image(np.full((32, 64), 2000, np.uint16), "16UC1")
    node.segment({"camera_info": messages.camera_info(64, 32, 50.0), "depth": depth, "color": color})
    wait_until(lambda: published, f"a frame, said {node.log.said}")
    return bool(published)


def expect_refused_then_good(node: LoggedNode, words: str, good_model: Path) -> None:
    assert node.trigger_configure() == FAILURE
    (error,) = node.log.errors()
    assert error.startswith("cannot configure: ")
    assert words in error
    assert "\n" not in error
    assert node._session is None
    assert node.set_parameters([Parameter("model", value=str(good_model))])[0].successful
    assert node.trigger_configure() == SUCCESS, node.log.errors()
    assert node.trigger_activate() == SUCCESS
    assert segments(node)


ENGINES: list[tuple[str, Callable[[Path], Any], str]] = [
    ("truncated", lambda f: cut(f / "model.engine", 0.5), "has 200 bytes, expected 400 (truncated or overwritten)"),
    ("altered", lambda f: (f / "model.engine").write_bytes(b"PLAN" * 100), "was altered since it was built"),
    ("foreign", lambda f: (f / "model.engine").write_text("these are not weights"), "has 21 bytes, expected 400"),
    ("absent", lambda f: (f / "model.engine").unlink(), "no such file"),
    ("nameless", lambda f: sidecar_path(f / "model.engine").unlink(), "no model.engine.json beside it"),
    ("other version", lambda f: edit(sidecar_path(f / "model.engine"), tensorrt_version="8.6.1"),
     "tensorrt version is '8.6.1', expected '10.3.0'"),
    ("other GPU", lambda f: edit(sidecar_path(f / "model.engine"), gpu_name="Xavier"),
     "gpu name is 'Xavier', expected 'Orin'"),
    ("other contract", other_contract, "contract digest is "),
    ("other graph", lambda f: (f / "model.onnx").write_bytes(b"newer"), "onnx sha256 is "),
]


@pytest.mark.parametrize(("damage", "words"), [e[1:] for e in ENGINES], ids=[e[0] for e in ENGINES])
def test_an_engine_that_does_not_fit_is_refused_before_tensorrt_sees_it(
    domain: int, machine: Any, good: Path, bad: Path, damage: Callable[[Path], Any], words: str
) -> None:
    engine, fitting = build(bad, machine), build(good, machine)
    damage(bad)
    with node_in_process(domain, model=engine) as node:
        configured = node.trigger_configure()
        assert configured == FAILURE
        assert machine.trt.events == []
        node.log.said.clear()
        expect_refused_then_good(node, words, fitting)
    gc.collect()
    assert machine.trt.live == {"runtime": 0, "engine": 0, "context": 0}
    assert not machine.cuda.memory
    assert machine.driver.live_graphs == 0


def test_an_engine_that_tensorrt_refuses_leaves_nothing_on_the_gpu(
    domain: int, machine: Any, good: Path, bad: Path
) -> None:
    engine, fitting = build(bad, machine), build(good, machine)
    machine.trt.refuse_plan = True
    with node_in_process(domain, model=engine) as node:
        assert node.trigger_configure() == FAILURE
        assert "TensorRT cannot load it (Version tag does not match)" in node.log.errors()[0]
        gc.collect()
        assert machine.trt.live == {"runtime": 0, "engine": 0, "context": 0}
        assert machine.cuda.attached == 0
        machine.trt.refuse_plan = False
        node.log.said.clear()
        assert node.set_parameters([Parameter("model", value=str(fitting))])[0].successful
        assert node.trigger_configure() == SUCCESS, node.log.errors()


def test_a_stale_engine_is_built_anew_where_allowed_and_the_log_says_how_far_it_is(
    domain: int, machine: Any, bad: Path
) -> None:
    engine = build(bad, machine)
    cut(engine, 0.5)
    with node_in_process(domain, model=engine, rebuild_engine="true") as node:
        assert node.trigger_configure() == SUCCESS, node.log.errors()
        lines = [line.partition(" after")[0] for line in node.log.infos() if line.startswith("Building")]
        assert lines == ["Building engine, which can take minutes", "Building engine: 50 %"]
        assert engine.stat().st_size == 400


def test_memory_of_the_gpu_is_in_the_diagnostics(domain: int, machine: Any, good: Path) -> None:
    with node_in_process(domain, model=build(good, machine)) as node:
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        sent: list[Any] = []
        node._reporter._publisher.publish = sent.append
        node._report()
        values = {v.key: v.value for status in sent[-1].status for v in status.values}
        assert int(values["GPU memory (MB)"]) >= 0
        assert values["backend"] == "tensorrt"
        assert int(values["process memory (MB)"]) > 10


GRAPHS: list[tuple[str, Callable[[Path], Any], str]] = [
    ("truncated", lambda f: cut(f / "model.onnx", 0.9), "not a complete ONNX model"),
    ("foreign", lambda f: (f / "model.onnx").write_text("these are not weights"), "not a complete ONNX model"),
    ("pointer", lambda f: (f / "model.onnx").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
     "not a complete ONNX model"),
    ("empty", lambda f: (f / "model.onnx").write_bytes(b""), "not a complete ONNX model"),
    ("absent", lambda f: (f / "model.onnx").unlink(), "no model.onnx in it"),
    ("other contract", other_contract, "was exported with contract"),
    ("no contract", lambda f: (f / "contract.json").unlink(), "no such file, expected contract.json beside the"),
    ("contract of another version", lambda f: edit(f / "contract.json", version=99), "version is 99, expected 1"),
    ("contract that is none", lambda f: (f / "contract.json").write_text("{"), "cannot be read as JSON"),
]


@pytest.mark.parametrize(("damage", "words"), [g[1:] for g in GRAPHS], ids=[g[0] for g in GRAPHS])
@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_graph_that_does_not_fit_is_refused(
    domain: int, good: Path, bad: Path, damage: Callable[[Path], Any], words: str, backend: str
) -> None:
    damage(bad)
    with node_in_process(domain, model=bad, backend=backend, threads=1) as node:
        expect_refused_then_good(node, words, good)


def test_weights_cut_short_are_refused(domain: int, good: Path, tmp_path: Path) -> None:
    shutil.copy(good / "contract.json", tmp_path / "w.contract.json")
    (tmp_path / "w.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{}")
    with node_in_process(domain, model=tmp_path / "w.safetensors", threads=1) as node:
        assert node.trigger_configure() == FAILURE
        assert "w.safetensors" in node.log.errors()[0]
        assert "\n" not in node.log.errors()[0]
        assert node.set_parameters([Parameter("model", value=str(good))])[0].successful
        assert node.trigger_configure() == SUCCESS, node.log.errors()
