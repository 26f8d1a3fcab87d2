# SPDX-License-Identifier: Apache-2.0
"""The TensorRT runtime's logic on stand-ins for driver, pycuda and TensorRT. No test here has touched a GPU."""

from __future__ import annotations

import gc
import shutil
import sys
import threading

import numpy as np
import pytest
from inference.fake_gpu import FakeDriver, Order, engine_function, pretend_machine
from inference.toy_network import example_frames

from ssma_ros.errors import SsmaError
from ssma_ros.inference import OUTPUTS, load_backend
from ssma_ros.inference.runtime import gpu
from ssma_ros.inference.runtime.gpu import probe_gpu
from ssma_ros.inference.tensorrt.backend import TensorRtBackend
from ssma_ros.inference.tensorrt.builder import build_engine


@pytest.fixture
def machine(monkeypatch):
    """A machine with a GPU, as far as Python can tell."""
    return pretend_machine(monkeypatch)


@pytest.fixture
def engine(machine, toy_folder, tmp_path):
    shutil.copy(toy_folder / "model.onnx", tmp_path)
    shutil.copy(toy_folder / "contract.json", tmp_path)
    build_engine(tmp_path / "model.onnx", tmp_path / "model.engine", gpu=probe_gpu(), tensorrt=machine.trt)
    return tmp_path / "model.engine"


def split(frame):
    return {k: v for k, v in frame.items() if k != "present"}, {"color": True, "hha": True}


def expected(frame):
    return dict(zip(OUTPUTS, engine_function(**frame), strict=True))


@pytest.mark.parametrize("cuda_graph", [True, False])
def test_frames_go_through(machine, engine, cuda_graph):
    backend = TensorRtBackend(engine, cuda_graph=cuda_graph)
    before = machine.trt.executions
    for frame in example_frames(3):
        got = backend.infer(*split(frame), OUTPUTS)
        for name, array in expected(frame).items():
            assert np.array_equal(getattr(got, name), array)
        assert set(got.timings_ms) == {"upload", "inference", "download"}
    assert machine.trt.executions == before + 3
    assert machine.driver.launches == (3 if cuda_graph else 0)
    assert machine.cuda.depth == 0
    backend.close()


def test_identity_names_the_engine(machine, engine):
    identity = TensorRtBackend(engine).identity
    assert identity["device"] == "Orin (compute capability 8.7)"
    assert identity["precision"] == "fp16"
    assert identity["version"] == "10.3.0"


def test_memory_counts_weights_activations_and_buffers(machine, engine):
    backend = TensorRtBackend(engine)
    tensors = sum(array.nbytes for array in machine.cuda.memory.values())
    assert backend.memory_bytes == engine.stat().st_size + 5000 + tensors
    backend.close()
    assert backend.memory_bytes == 0


def test_first_execution_happens_before_the_capture(machine, engine):
    TensorRtBackend(engine)
    assert machine.trt.executions == 1
    assert machine.driver.calls.count("begin") == machine.driver.calls.count("end") == 1


def test_only_wanted_outputs_are_copied_back(machine, engine):
    backend = TensorRtBackend(engine)
    machine.cuda.copies.clear()
    result = backend.infer(*split(example_frames(1)[0]))
    assert result.probabilities is None
    assert result.gates is None
    assert sorted(machine.cuda.copies) == [("down", 2048), ("down", 2048), ("up", 8), ("up", 6144), ("up", 6144)]


def test_blank_stream_is_zeros_and_flagged(machine, engine):
    backend = TensorRtBackend(engine)
    frame = example_frames(1)[0]
    backend.infer(*split(frame))
    got = backend.infer({"color": frame["color"]}, {"color": True, "hha": False}, OUTPUTS)
    assert not got.confidence.any(), "the earlier frame's HHA was left in the buffer"
    assert got.gates[0].all()
    assert not got.gates[1].any()


def test_results_belong_to_the_caller(machine, engine):
    backend = TensorRtBackend(engine)
    first, second = example_frames(2)
    got = backend.infer(*split(first), OUTPUTS)
    backend.infer(*split(second), OUTPUTS)
    backend.close()
    assert np.array_equal(got.mask, expected(first)["mask"])
    assert np.array_equal(got.probabilities, expected(first)["probabilities"])


def test_images_on_the_device_are_not_uploaded(machine, engine):
    backend = TensorRtBackend(engine)
    frame = example_frames(1)[0]
    for name in ("color", "hha"):
        machine.cuda.memory[backend.input_address(name)][:] = frame[name].ravel()
    machine.cuda.copies.clear()
    got = backend.infer_resident({"color": True, "hha": True})
    assert np.array_equal(got.mask, expected(frame)["mask"])
    assert [c for c in machine.cuda.copies if c[0] == "up"] == [("up", 8)]


def late_and_odd(engine, seed, waits=True):
    """Whether a sequence comes out right on a GPU that does its work only when somebody waits for it.

    With ``waits`` off nobody does.
    """
    frames = example_frames(6)
    with pytest.MonkeyPatch.context() as patch:
        pretended = pretend_machine(patch, Order(seed))
        backend = TensorRtBackend(engine)
        if not waits:
            pretended.cuda.Event.synchronize = lambda event: None
            pretended.cuda.Event.time_since = lambda event, other: 1.0
        results = [backend.infer(*split(f), OUTPUTS) for f in frames]
        backend.close()
        assert pretended.cuda.memory == {}
        history = pretended.cuda.order.history
        assert history == sorted(history), "one stream, so one order"
    return all(
        np.array_equal(getattr(got, name), array)
        for frame, got in zip(frames, results, strict=True)
        for name, array in expected(frame).items()
    )


def test_stages_wait_for_what_they_need(engine):
    assert all(late_and_odd(engine, seed) for seed in range(12)), "a result was read before it was there"


def test_results_that_nobody_waits_for_are_seen(engine):
    """The stand-in is of no use if it cannot fail."""
    assert not late_and_odd(engine, 0, waits=False)


def test_buffers_and_graph_are_made_once(machine, engine):
    backend = TensorRtBackend(engine)
    assert (len(machine.cuda.memory), machine.driver.live_graphs) == (7, 1)
    for frame in example_frames(3):
        backend.infer(*split(frame))
    assert (len(machine.cuda.memory), machine.driver.live_graphs) == (7, 1)
    backend.close()


def test_everything_is_given_back_and_twice_is_fine(machine, engine):
    backend = TensorRtBackend(engine)
    backend.warm_up()
    backend.close()
    backend.close()
    gc.collect()
    assert machine.cuda.memory == {}
    assert machine.driver.live_graphs == 0
    assert machine.cuda.attached == 0
    assert machine.cuda.depth == 0
    assert machine.trt.live == {"runtime": 0, "engine": 0, "context": 0}
    assert machine.trt.released == ["context", "engine", "runtime"]


def test_several_backends_live_side_by_side(machine, engine):
    one, two = TensorRtBackend(engine), TensorRtBackend(engine)
    first, second = example_frames(2)
    got = one.infer(*split(first)), two.infer(*split(second))
    one.close()
    again = two.infer(*split(first))
    assert np.array_equal(got[0].mask, expected(first)["mask"])
    assert np.array_equal(got[1].mask, expected(second)["mask"])
    assert np.array_equal(again.mask, expected(first)["mask"])
    two.close()
    assert machine.cuda.memory == {}


def test_another_thread_may_infer(machine, engine):
    backend = TensorRtBackend(engine)
    frame = example_frames(1)[0]
    results = []
    thread = threading.Thread(target=lambda: results.append(backend.infer(*split(frame))))
    thread.start()
    thread.join()
    assert np.array_equal(results[0].mask, expected(frame)["mask"])


def test_refused_plan_is_one_sentence_and_leaves_nothing(machine, engine):
    machine.trt.refuse_plan = True
    with pytest.raises(SsmaError, match=r"TensorRT cannot load it \(Version tag does not match\)"):
        TensorRtBackend(engine)
    gc.collect()
    assert machine.cuda.depth == 0
    assert machine.cuda.attached == 0
    assert machine.trt.live["runtime"] == 0


def test_engine_with_other_tensors_is_refused(machine, engine):
    machine.trt.tensors["color"] = (np.uint8, (48, 64, 3))
    with pytest.raises(SsmaError, match=r"input 'color' is uint8\[48,64,3\], expected uint8\[32,64,3\]"):
        TensorRtBackend(engine)
    assert machine.cuda.memory == {}


def test_missing_pycuda_says_what_to_install(machine, engine, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    monkeypatch.setitem(sys.modules, "pycuda", None)
    with pytest.raises(SsmaError, match="package pycuda is not installed, try 'pip install pycuda'"):
        TensorRtBackend(engine)


def test_missing_tensorrt_says_so(machine, engine, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(SsmaError, match="its Python package is not installed"):
        TensorRtBackend(engine)


def test_bad_input_leaves_no_context_behind(machine, engine):
    backend = TensorRtBackend(engine)
    with pytest.raises(ValueError, match="stream 'hha'"):
        backend.infer({"color": example_frames(1)[0]["color"]}, {"color": True, "hha": True})
    assert machine.cuda.depth == 0


def test_load_backend_takes_the_engine_or_builds_it_and_says_so(machine, engine, caplog):
    assert load_backend(engine).identity["backend"] == "tensorrt"
    engine.unlink()
    with pytest.raises(SsmaError, match="no such file"):
        load_backend(engine.parent, backend="tensorrt")
    backend = load_backend(engine.parent, backend="tensorrt", rebuild_engine=True)
    assert backend.identity["precision"] == "fp16"
    assert engine.is_file()
    assert caplog.messages[0].endswith(", which can take minutes")


def test_without_a_gpu_nothing_of_tensorrt_is_touched(machine, engine, monkeypatch):
    machine.trt.events.clear()
    monkeypatch.setattr(gpu, "load_driver", lambda: FakeDriver(init_error=100))
    with pytest.raises(SsmaError, match="no CUDA-capable device"):
        load_backend(engine)
    assert machine.trt.events == []
