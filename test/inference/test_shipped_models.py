# SPDX-License-Identifier: Apache-2.0
"""The shipped models on a recorded drive: every processor backend against float32 PyTorch."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssma_ros.cli._frames import encoded_frames
from ssma_ros.inference import find_model, load_backend, shipped_models
from ssma_ros.inference.build.conversion import convert_file
from ssma_ros.inference.build.verify import threshold_for, verify
from ssma_ros.inference.runtime.torch_backend import TorchBackend

DRIVE = Path(__file__).parents[2] / "demo" / "forest_drive"
FRAMES = 3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shipped_models(), reason="no models in ssma_ros/weights"),
    pytest.mark.skipif(not DRIVE.exists(), reason="demo/forest_drive is not in this checkout"),
]


@pytest.fixture(scope="module", params=shipped_models())
def shipped(request):
    """Folder of a shipped model, frames of the drive, and float32 PyTorch's backend."""
    folder = find_model(request.param).parent
    if not (folder / "weights.safetensors").is_file():
        pytest.skip(f"{request.param} ships no weights.safetensors to compare with")
    reference = TorchBackend(folder / "weights.safetensors", precision="fp32", device="cpu")
    frames = encoded_frames(reference.contract, DRIVE, FRAMES)
    return folder, frames, reference


def agreement(backend, shipped):
    _, frames, reference = shipped
    found = verify(backend, reference, [(frame.inputs, frame.present) for frame in frames])
    identity = backend.identity
    backend.close()
    assert found.frames == FRAMES
    assert found.agreement >= threshold_for(identity), identity
    return found


@pytest.mark.parametrize(
    ("backend", "precision", "gates"),
    [("onnxruntime", "auto", 0.01), ("openvino", "fp32", 0.01), ("openvino", "auto", 0.05)],
)
def test_graph_is_the_trained_network(shipped, backend, precision, gates):
    found = agreement(load_backend(shipped[0], backend=backend, precision=precision), shipped)
    assert found.max_gate_difference <= gates


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_derived_graphs_pass_their_thresholds(shipped, tmp_path, precision):
    folder, _, reference = shipped
    # Calibrated on other frames of the same drive than those compared.
    others = encoded_frames(reference.contract, DRIVE, 2 * FRAMES + 1)[1::2]
    path = tmp_path / "model.onnx"
    convert_file(folder / "model.onnx", path, precision, [frame.feed(reference.contract) for frame in others])
    agreement(load_backend(path, backend="onnxruntime"), shipped)
    if precision == "int8":
        agreement(load_backend(path, backend="openvino"), shipped)


def test_blank_modalities_are_not_looked_at(shipped):
    folder, frames, _ = shipped
    backend = load_backend(folder, backend="onnxruntime")
    name = backend.contract.modalities[-1]
    frame = frames[0]
    present = {**frame.present, name: False}
    without = backend.infer({k: v for k, v in frame.inputs.items() if k != name}, present)
    assert (without.mask == backend.infer(frame.inputs, present).mask).all()
    assert (without.mask != backend.infer(frame.inputs, frame.present).mask).any()
