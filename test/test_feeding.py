# SPDX-License-Identifier: Apache-2.0
"""Preprocessing beside the network, end to end: Frame in, Segmentation out.

Driver, pycuda and TensorRT are stand-ins that do their work late and in any order that streams and events allow; the
CUDA kernels are the real ones, compiled for the host. What the stand-in of an engine answers shows its inputs.
"""

from __future__ import annotations

import gc
import logging
import shutil
from functools import partial

import numpy as np
import pytest
from inference.fake_gpu import Order, pretend_machine
from inference.toy_network import smooth_image, toy_contract, toy_network
from preprocessing import cuda_host

from ssma_ros.encodings.base import EncoderOptions
from ssma_ros.errors import SsmaError
from ssma_ros.frame import Frame
from ssma_ros.inference.runtime.gpu import probe_gpu
from ssma_ros.inference.tensorrt.backend import TensorRtBackend
from ssma_ros.inference.tensorrt.builder import build_engine
from ssma_ros.segmenter import OUTPUTS, Segmenter, blank_frame

OPTIONS = EncoderOptions(gravity_guard=True, gravity_smoothing=0.5)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    from ssma_ros.inference.build.export import export_onnx

    folder = tmp_path_factory.mktemp("toy")
    export_onnx(toy_network(), toy_contract(), folder / "model.onnx")
    return folder


@pytest.fixture
def machine(request, monkeypatch):
    order = Order(getattr(request, "param", 0))
    return pretend_machine(monkeypatch, order, partial(cuda_host.run_kernel, cuda_host.libraries()))


@pytest.fixture
def engine(machine, graph, tmp_path):
    for file in graph.iterdir():
        shutil.copy(file, tmp_path)
    build_engine(tmp_path / "model.onnx", tmp_path / "model.engine", gpu=probe_gpu(), tensorrt=machine.trt)
    return tmp_path / "model.engine"


def drive(count: int = 5, size=(100, 60)) -> list[Frame]:
    """Frames of a camera of another size than the network's."""
    frames = []
    random = np.random.default_rng(3)
    for index in range(count):
        frame = blank_frame(*size)
        frame.stamp_ns = index * 100_000_000
        frame.color = smooth_image(random, 128, 64)[: size[1], : size[0]].copy()
        frame.depth[10 : 20 + index, 5:40] = 3.0
        frame.depth[40:44, :] = 0.0
        frames.append(frame)
    if count > 3:
        frames[2].depth = None
        frames[3].color = None
    return frames


def check_same(on_gpu, on_cpu, wanted) -> None:
    assert (on_gpu.present, on_gpu.missing, on_gpu.intrinsics) == (on_cpu.present, on_cpu.missing, on_cpu.intrinsics)
    for name in ("mask", "confidence"):
        assert np.abs(getattr(on_gpu, name).astype(int) - getattr(on_cpu, name)).max() <= 1
    for name in ("probabilities", "depth"):
        got, expected = getattr(on_gpu, name), getattr(on_cpu, name)
        assert (got is None) == (expected is None)
        if got is not None:
            np.testing.assert_allclose(got.astype(float), expected, atol=1e-4 if name == "depth" else 1)
    for field in ("inputs", "gates"):
        got, expected = getattr(on_gpu, field), getattr(on_cpu, field)
        assert set(got) == set(expected), field
        for name, image in expected.items():
            assert np.abs(got[name].astype(float) - image).max() <= 1
    assert bool(on_gpu.inputs) == ("inputs" in wanted)


@pytest.mark.parametrize("machine", [None, 0, 1, 2], indirect=True, ids=["at once", "order 0", "order 1", "order 2"])
@pytest.mark.parametrize("wanted", [("mask", "confidence"), OUTPUTS, ("mask", "depth")], ids=str)
def test_both_ways_give_the_same(machine, engine, wanted):
    on_gpu = Segmenter(TensorRtBackend(engine), encoder_options=OPTIONS)
    on_cpu = Segmenter(TensorRtBackend(engine), encoder_options=OPTIONS, preprocessing="cpu")
    assert (on_gpu.preprocessing, on_cpu.preprocessing) == ("gpu", "cpu")
    for segmenter in (on_gpu, on_cpu):
        segmenter.warm_up()
    for frame in drive():
        result = on_gpu(frame, wanted)
        check_same(result, on_cpu(frame, wanted), wanted)
        assert {"preprocessing", "preprocessing_gpu", "inference", "delivery", "total"} <= set(result.timings_ms)
    on_gpu.close()
    on_cpu.close()


def test_an_image_goes_up_once_and_only_what_is_wanted_comes_back(machine, engine):
    segmenter = Segmenter(TensorRtBackend(engine))
    frame = drive(1)[0]
    segmenter(frame)
    machine.cuda.copies.clear()
    segmenter(frame)
    up = sorted(size for way, size in machine.cuda.copies if way == "up")
    # Near infrared stays: no stream of this network is made from it.
    assert up == sorted([frame.color.nbytes, frame.depth.nbytes, 5 * 4, 2 * 4])
    # Mask, confidence, and five numbers that say where gravity came from.
    assert [size for way, size in machine.cuda.copies if way == "down"] == [64 * 32, 64 * 32, 5 * 4]
    segmenter.close()


def test_a_frame_of_known_layout_is_two_launches(machine, engine):
    segmenter = Segmenter(TensorRtBackend(engine))
    segmenter(drive(1)[0])
    captures, launches = machine.driver.calls.count("begin"), machine.driver.launches
    for frame in drive(2):
        segmenter(frame)
    assert machine.driver.calls.count("begin") == captures
    assert machine.driver.launches == launches + 4
    segmenter.close()


def test_everything_is_given_back(machine, engine):
    segmenter = Segmenter(TensorRtBackend(engine))
    for frame in drive():
        segmenter(frame, OUTPUTS)
    held = sum(array.nbytes for array in machine.cuda.memory.values())
    assert segmenter.memory_bytes == held + engine.stat().st_size + 5000
    segmenter.close()
    segmenter.close()
    gc.collect()
    assert machine.cuda.memory == {}
    assert (machine.cuda.depth, machine.cuda.attached, machine.cuda.modules) == (0, 0, 0)
    assert machine.driver.live_graphs == 0


def test_two_networks_in_one_process(machine, engine):
    one, two = (Segmenter(TensorRtBackend(engine)) for _ in range(2))
    alone = Segmenter(TensorRtBackend(engine), preprocessing="cpu")
    first, second = drive(2)
    results = one(first), two(second)
    one.close()
    again = two(first)
    for got, frame in ((results[0], first), (results[1], second), (again, first)):
        check_same(got, alone(frame), ())
    two.close()
    alone.close()
    assert machine.cuda.memory == {}


def test_a_refused_frame_leaves_the_segmenter_usable(machine, engine):
    segmenter = Segmenter(TensorRtBackend(engine))
    nothing, wrong, good = drive(3)
    nothing.color = nothing.intrinsics = None
    with pytest.raises(ValueError, match=r"no stream can be made from it \(color: no color image; hha: no camera"):
        segmenter(nothing)
    wrong.color = wrong.color.astype(np.float32)
    with pytest.raises(ValueError, match="color is float32"):
        segmenter(wrong)
    assert machine.cuda.depth == 0
    assert segmenter(good).present == {"color": True, "hha": True}
    segmenter.close()


def break_kernels(machine):
    machine.cuda.fail_to_load = True


def fill_memory(machine):
    machine.cuda.least_memory_left = 64 * 32 * 4  # enough for the engine's own buffers


@pytest.mark.parametrize(
    ("trouble", "words"),
    [(break_kernels, "does not load them .*no kernel image"), (fill_memory, "for preprocessing cannot be had")],
)
def test_where_the_gpu_cannot_preprocess_the_processor_does_and_the_log_says_why(
    machine, engine, caplog, trouble, words
):
    backend = TensorRtBackend(engine)
    before = set(machine.cuda.memory)
    trouble(machine)
    with pytest.raises(SsmaError, match=words):
        Segmenter(backend, preprocessing="gpu")
    with caplog.at_level(logging.WARNING):
        segmenter = Segmenter(backend)
    gc.collect()
    assert segmenter.preprocessing == "cpu"
    assert len(caplog.messages) == 1
    assert "preprocessing runs on the processor, not on the GPU: " in caplog.messages[0]
    assert (set(machine.cuda.memory), machine.cuda.modules) == (before, 0)
    assert segmenter(drive(1)[0]).present == {"color": True, "hha": True}
    segmenter.close()
    assert machine.cuda.memory == {}


def test_a_network_on_the_processor_cannot_be_fed_on_a_gpu(graph, caplog):
    from ssma_ros.inference import load_backend

    backend = load_backend(graph / "model.onnx", backend="onnxruntime", threads=1)
    with pytest.raises(SsmaError, match="'gpu' is asked for, but backend onnxruntime takes its inputs from the"):
        Segmenter(backend, preprocessing="gpu")
    with pytest.raises(SsmaError, match="got 'tpu', expected one of auto, cpu, gpu"):
        Segmenter(backend, preprocessing="tpu")
    segmenter = Segmenter(backend)
    assert (segmenter.preprocessing, segmenter.memory_bytes, caplog.messages) == ("cpu", None, [])
    segmenter.close()
