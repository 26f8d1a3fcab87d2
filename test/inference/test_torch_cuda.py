# SPDX-License-Identifier: Apache-2.0
"""PyTorch on CUDA fed on the GPU: the same answers as fed from the host, and no image goes through the host.

Where torch has no CUDA device stand-ins take its place and pycuda's; they say nothing about a real GPU. On a GPU the
tests marked so run with the real ones.
"""

from __future__ import annotations

import gc
import logging
import sys
from functools import partial

import numpy as np
import pytest
import torch
from inference.fake_gpu import Order, pretend_machine
from inference.fake_torch_cuda import pretend_cuda
from inference.toy_network import robot_weights
from preprocessing import cuda_host
from test_feeding import OPTIONS, check_same, drive

from ssma_ros.errors import SsmaError
from ssma_ros.inference import OUTPUTS
from ssma_ros.inference.runtime.protocol import ResidentBackend
from ssma_ros.inference.runtime.torch_backend import TorchBackend
from ssma_ros.inference.runtime.torch_cuda import TorchCudaBackend, open_torch
from ssma_ros.segmenter import Segmenter


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return robot_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def machine(request, monkeypatch):
    order = Order(getattr(request, "param", 0))
    found = pretend_machine(monkeypatch, order, partial(cuda_host.run_kernel, cuda_host.libraries()))
    found.torch = pretend_cuda(monkeypatch, found.cuda)
    with found.torch.mode:
        yield found


def opened(weights, mode="eager"):
    return TorchCudaBackend(weights, device="cuda", precision="fp32", mode=mode)


@pytest.mark.parametrize("machine", [None, 0, 1], indirect=True, ids=["at once", "order 0", "order 1"])
@pytest.mark.parametrize("mode", ["eager", "cuda_graph"])
def test_fed_on_the_gpu_it_gives_the_same(machine, weights, mode):
    on_gpu = Segmenter(opened(weights, mode), encoder_options=OPTIONS)
    on_cpu = Segmenter(opened(weights, mode), encoder_options=OPTIONS, preprocessing="cpu")
    assert (on_gpu.preprocessing, on_cpu.preprocessing) == ("gpu", "cpu")
    wanted = ("mask", "confidence", "probabilities", "inputs", "depth")
    for frame in drive(4):
        result, expected = on_gpu(frame, wanted), on_cpu(frame, wanted)
        # Untrained weights leave no margins: classes may flip where an input differs by a level.
        assert (result.mask == expected.mask).mean() > 0.99
        result.mask, expected.mask = expected.mask, expected.mask
        check_same(result, expected, wanted)
        assert {"preprocessing", "preprocessing_gpu", "inference"} <= set(result.timings_ms)
    on_gpu.close()
    on_cpu.close()


@pytest.mark.parametrize("mode", ["eager", "cuda_graph"])
def test_fed_in_place_the_answer_is_the_networks(machine, weights, mode):
    """Bytes written to the inputs' addresses give to the bit what the same bytes give through the host."""
    backend, reference = opened(weights, mode), TorchBackend(weights, device="cpu", precision="fp32")
    random = np.random.default_rng(0)
    for _ in range(2):
        images = {name: random.integers(0, 256, (32, 64, 3), np.uint8) for name in ("color", "hha")}

        def write(images=images):
            for name, image in images.items():
                machine.cuda.memcpy_htod_async(backend.input_address(name), image, backend.stream)

        backend.in_context(write)
        present = {"color": True, "hha": True}
        got, expected = backend.infer_resident(present, OUTPUTS), reference.infer(images, present, OUTPUTS)
        for name in OUTPUTS:
            np.testing.assert_array_equal(getattr(got, name), getattr(expected, name))
        assert set(got.timings_ms) == {"upload", "inference", "download"}
    assert [graph.replays for graph in machine.torch.graphs] == ([2] if mode == "cuda_graph" else [])
    backend.close()


def test_an_image_goes_up_once(machine, weights):
    segmenter = Segmenter(opened(weights))
    frame = drive(1)[0]
    segmenter(frame)
    machine.cuda.copies.clear()
    segmenter(frame)
    up, down = (sorted(size for which, size in machine.cuda.copies if which == way) for way in ("up", "down"))
    assert up == sorted([frame.color.nbytes, frame.depth.nbytes, 5 * 4])
    assert down == [5 * 4], "where gravity came from, and no image"
    segmenter.close()


def test_everything_is_given_back(machine, weights):
    segmenter = Segmenter(opened(weights))
    for frame in drive():
        segmenter(frame, OUTPUTS)
    assert segmenter.memory_bytes > 1000
    segmenter.close()
    segmenter.close()
    gc.collect()
    assert machine.cuda.memory == {}
    assert (machine.cuda.depth, machine.cuda.attached, machine.cuda.modules) == (0, 0, 0)
    assert machine.driver.live_graphs == 0


def test_without_pycuda_the_processor_preprocesses_and_the_log_says_why(machine, weights, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "pycuda", None)
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    with pytest.raises(SsmaError, match="backend torch, fed on the GPU: package pycuda is not installed"):
        Segmenter(opened(weights), preprocessing="gpu")
    with caplog.at_level(logging.WARNING):
        segmenter = Segmenter(opened(weights))
    assert segmenter.preprocessing == "cpu"
    assert "preprocessing runs on the processor, not on the GPU: backend torch" in caplog.messages[0]
    assert segmenter(drive(1)[0]).present == {"color": True, "hha": True}
    segmenter.close()


def test_on_the_processor_it_takes_its_inputs_there(weights):
    backend = open_torch(weights, device="cpu")
    assert type(backend) is TorchBackend
    assert not isinstance(backend, ResidentBackend)


def test_on_a_cuda_device_it_can_be_fed_there(machine, weights):
    for device in ("cuda", "auto"):
        backend = open_torch(weights, device=device, precision="fp32")
        assert isinstance(backend, ResidentBackend)
        assert backend.identity["device"] == "a card"
        backend.close()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device for torch")
@pytest.mark.parametrize("mode", ["eager", "cuda_graph"])
def test_on_a_gpu_both_ways_give_the_same(weights, mode):
    pytest.importorskip("pycuda.driver")
    on_gpu, on_cpu = (
        Segmenter(opened(weights, mode), encoder_options=OPTIONS, preprocessing=where) for where in ("gpu", "cpu")
    )
    for frame in drive():
        result, expected = on_gpu(frame, ("mask", "inputs")), on_cpu(frame, ("mask", "inputs"))
        assert (result.mask == expected.mask).mean() > 0.99
        for name, image in expected.inputs.items():
            assert np.abs(result.inputs[name].astype(int) - image).max() <= 1
    on_gpu.close()
    on_cpu.close()
