# SPDX-License-Identifier: Apache-2.0
"""The PyTorch backend on the CPU: the reference that the others are compared with."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from inference.toy_network import example_frames, robot_weights, toy_contract

from ssma_ros.errors import SsmaError
from ssma_ros.inference import OUTPUTS, load_backend
from ssma_ros.inference.runtime.torch_backend import TorchBackend, _GpuStopwatch
from ssma_ros.models import load_model
from ssma_ros.models.segmentation_graph import SegmentationGraph


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with an untrained robot network for the toy contract's streams."""
    return robot_weights(tmp_path_factory.mktemp("weights"))


def split(frame):
    return {k: v for k, v in frame.items() if k != "present"}, {"color": True, "hha": True}


def test_it_is_the_network_in_its_contract(weights):
    backend = load_backend(weights)
    assert backend.identity["backend"] == "torch"
    assert backend.identity["precision"] == ("fp16" if torch.cuda.is_available() else "fp32")
    backend.close()
    backend = TorchBackend(weights, device="cpu")
    graph = SegmentationGraph(load_model(weights), toy_contract()).eval()
    for frame in example_frames(2):
        with torch.inference_mode():
            expected = graph(*(torch.from_numpy(array) for array in frame.values()))
        got = backend.infer(*split(frame), OUTPUTS)
        for name, tensor in zip(OUTPUTS, expected, strict=True):
            np.testing.assert_allclose(getattr(got, name).astype(float), tensor.double().numpy(), atol=1.0)
        assert (got.mask == expected[0].numpy()).mean() > 0.999


def test_folder_stands_for_its_weights(weights):
    assert load_backend(weights.parent, backend="torch", precision="fp32").identity["model"] == str(weights)


def test_bfloat16_runs_and_stays_close(weights):
    exact, rounded = (TorchBackend(weights, device="cpu", precision=p) for p in ("fp32", "bf16"))
    frame = split(example_frames(1)[0])
    a, b = exact.infer(*frame, OUTPUTS), rounded.infer(*frame, OUTPUTS)
    assert rounded.identity["precision"] == "bf16"
    # Untrained weights leave no margins: the pictures are compared as a whole, not level by level.
    assert np.corrcoef(a.probabilities.ravel(), b.probabilities.ravel())[0, 1] > 0.99
    assert b.gates.dtype == np.float32


def test_results_belong_to_the_caller(weights):
    backend = TorchBackend(weights, device="cpu")
    first, second = example_frames(2)
    got = backend.infer(*split(first), OUTPUTS)
    kept = got.probabilities.copy()
    backend.infer(*split(second), OUTPUTS)
    backend.close()
    backend.close()
    assert np.array_equal(got.probabilities, kept)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"device": "toaster"}, "device is 'toaster', expected auto, cpu or cuda"),
        ({"device": "cpu", "mode": "cuda_graph"}, "needs a CUDA device"),
        ({"device": "cpu", "mode": "jit"}, "mode is 'jit', expected one of auto, eager"),
        ({"device": "cpu", "precision": "int8"}, "precision is 'int8', expected auto, fp32"),
    ],
)
def test_bad_wishes_are_refused(weights, arguments, words):
    with pytest.raises(SsmaError, match=words):
        TorchBackend(weights, **arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_missing_cuda_is_one_sentence(weights):
    with pytest.raises(SsmaError, match="finds no CUDA device"):
        TorchBackend(weights, device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("mode", ["eager", "cuda_graph"])
def test_cuda_agrees_with_the_cpu(weights, mode):
    cpu = TorchBackend(weights, device="cpu")
    gpu = TorchBackend(weights, device="cuda", precision="fp32", mode=mode)
    for frame in example_frames(3):
        a, b = cpu.infer(*split(frame), OUTPUTS), gpu.infer(*split(frame), OUTPUTS)
        assert (a.mask == b.mask).mean() > 0.999
        assert np.abs(a.probabilities.astype(int) - b.probabilities).max() <= 2
    gpu.close()


def test_missing_torch_says_what_to_install(weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SsmaError, match="package torch is not installed, try 'pip install torch safetensors'"):
        load_backend(weights)


def test_laps_on_a_gpu_are_read_from_its_events():
    """Nothing waits between the stages; only the last event is waited for."""
    log = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing
            self.number = None

        def record(self, stream):
            self.number = len(log)
            log.append(stream)

        def synchronize(self):
            log.append("wait")

        def elapsed_time(self, later):
            return 10.0 * (later.number - self.number)

    cuda = SimpleNamespace(Event=Event, current_stream=lambda device: f"stream of {device}")
    watch = _GpuStopwatch(SimpleNamespace(cuda=cuda), "cuda:1")
    for name in ("upload", "inference", "download"):
        watch.lap(name)
    assert watch.laps_ms() == {"upload": 10.0, "inference": 10.0, "download": 10.0}
    assert log == ["stream of cuda:1"] * 4 + ["wait"]
