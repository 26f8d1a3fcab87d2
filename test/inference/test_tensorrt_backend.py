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
    backend = TensorRtBackend(engine, overlap=2)
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


@pytest.mark.parametrize("overlap", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_stream_keeps_order(machine, engine, overlap, count):
    backend = TensorRtBackend(engine, overlap=overlap)
    frames = example_frames(count)
    results = list(backend.infer_stream((split(f) for f in frames), OUTPUTS))
    assert len(results) == count
    for frame, got in zip(frames, results, strict=True):
        for name, array in expected(frame).items():
            assert np.array_equal(getattr(got, name), array)
    assert machine.cuda.depth == 0
    backend.close()


def overlapped(engine, overlap, seed, waits=True):
    """Whether a sequence comes out right, and whether its work was done in the order it was enqueued in.

    On a GPU that does everything as late and in as odd an order as streams and events allow; with ``waits`` off
    streams do not wait for each other.
    """
    frames = example_frames(6)
    with pytest.MonkeyPatch.context() as patch:
        pretended = pretend_machine(patch, Order(seed))
        if not waits:
            pretended.cuda.Stream.wait_for_event = lambda stream, event: None
            pretended.cuda.Event.time_since = lambda event, other: 1.0
        backend = TensorRtBackend(engine, overlap=overlap)
        results = list(backend.infer_stream((split(f) for f in frames), OUTPUTS))
        backend.close()
        assert pretended.cuda.memory == {}
        history = pretended.cuda.order.history
    right = [
        np.array_equal(getattr(got, name), array)
        for frame, got in zip(frames, results, strict=True)
        for name, array in expected(frame).items()
    ]
    return all(right), history == sorted(history)


@pytest.mark.parametrize("overlap", [1, 2, 3])
def test_stages_wait_for_what_they_need(engine, overlap):
    """With three slots the upload of a frame goes beside the network on the last one; with one all is one line."""
    found = [overlapped(engine, overlap, seed) for seed in range(12)]
    assert all(right for right, _ in found), "a stage ran before its input was there"
    assert all(in_line for _, in_line in found) == (overlap == 1)


def test_stages_that_do_not_wait_are_seen(engine):
    """The stand-in is of no use if it cannot fail."""
    assert not all(overlapped(engine, 3, seed, waits=False)[0] for seed in range(12))


def test_stream_left_early_leaves_the_backend_usable(machine, engine):
    backend = TensorRtBackend(engine, overlap=3)
    frames = example_frames(6)
    stream = backend.infer_stream(split(f) for f in frames)
    next(stream)
    stream.close()
    assert np.array_equal(backend.infer(*split(frames[5])).mask, expected(frames[5])["mask"])
    assert machine.cuda.depth == 0


def test_slots_have_their_own_buffers_and_graphs(machine, engine):
    backend = TensorRtBackend(engine, overlap=3)
    assert len(machine.cuda.memory) == 3 * 7
    assert machine.driver.live_graphs == 3
    backend.close()


def test_everything_is_given_back_and_twice_is_fine(machine, engine):
    backend = TensorRtBackend(engine, overlap=2)
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
