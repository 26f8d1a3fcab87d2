# SPDX-License-Identifier: Apache-2.0
"""The exported graph is the PyTorch computation, whole and self-contained."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from inference.toy_network import ToyFusion, example_frames, toy_contract, toy_network

from ssma_ros.contract import Stream, VectorScaling
from ssma_ros.errors import SsmaError
from ssma_ros.inference import load_backend
from ssma_ros.inference.build.conversion import convert_file
from ssma_ros.inference.build.export import export_onnx
from ssma_ros.models.segmentation_graph import SegmentationGraph


def test_graph_is_plain_static_onnx(toy_folder):
    model = onnx.load(toy_folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    operators = {node.op_type for node in model.graph.node}
    assert "BatchNormalization" not in operators, "BN is to be folded into the convolutions"
    assert not operators & {"NonZero", "If", "Loop", "Shape", "ArgMax", "TopK"}
    assert all(d.dim_value > 0 for v in model.graph.output for d in v.type.tensor_type.shape.dim)
    assert 18 <= model.opset_import[0].version <= 20
    assert not model.functions


def test_file_tells_no_paths(toy_folder):
    content = (toy_folder / "model.onnx").read_bytes()
    assert b"graph.py" not in content
    assert b"stack_trace" not in content


def test_contract_is_written_beside_unless_the_folder_has_it(toy_folder, tmp_path):
    convert_file(toy_folder / "model.onnx", tmp_path / "model.fp16.onnx", "fp16")
    assert (tmp_path / "model.fp16.contract.json").is_file()
    assert not (toy_folder / "model.fp16.contract.json").exists()


def test_network_is_left_as_it_was(tmp_path):
    network = ToyFusion().train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    export_onnx(network, toy_contract(), tmp_path / "m.onnx", compress_weights=True)
    assert network.training
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    stored = {t.data_type for t in onnx.load(tmp_path / "m.onnx").graph.initializer if np.prod(t.dims) >= 256}
    assert stored == {onnx.TensorProto.FLOAT16}
    assert load_backend(tmp_path / "m.onnx", backend="onnxruntime", threads=1).identity["weights"] == "fp16"


def test_network_that_does_not_fit_leaves_nothing_behind(tmp_path):
    contract = replace(toy_contract(), streams=(*toy_contract().streams, Stream("evi", "evi")))
    with pytest.raises(SsmaError, match="does not run on 3 streams"):
        export_onnx(toy_network(), contract, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_too_few_classes_leave_nothing_behind(tmp_path):
    with pytest.raises(SsmaError, match=r"'probabilities' is uint8\[4,32,64\]"):
        export_onnx(toy_network(classes=4), toy_contract(), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("target", "precision", "words"),
    [
        ("m.onnx", "fp8", "precision is 'fp8', expected one of fp32, fp16, int8, int8-fp16"),
        ("m.onnx", "int8", "no calibration frames"),
        ("nowhere/m.onnx", "fp16", "does not exist"),
    ],
)
def test_bad_wishes_are_refused(toy_folder, tmp_path, target, precision, words):
    with pytest.raises(SsmaError, match=words):
        convert_file(toy_folder / "model.onnx", tmp_path / target, precision)
    assert list(tmp_path.iterdir()) == []


def test_converted_graph_cannot_be_converted_again(toy_folder, tmp_path):
    with pytest.raises(SsmaError, match="is a fp16 graph, expected an fp32 graph"):
        convert_file(toy_folder / "model.fp16.onnx", tmp_path / "m.onnx", "int8", example_frames(1))


def test_mask_is_the_first_largest_class_and_nan_is_unlabelled():
    graph = SegmentationGraph(toy_network(), toy_contract())
    logits = torch.zeros(1, 5, 2, 3)
    logits[0, 3, 0, 0] = 1.0
    logits[0, [1, 4], 0, 1] = 2.0
    logits[0, 2, 1, 1] = float("nan")
    assert graph.first_maximum(logits).tolist() == [[[3, 1, 0], [0, 255, 0]]]
    random = torch.randn(1, 5, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(graph.first_maximum(random), random.argmax(dim=1).float())


def test_confidence_is_the_winners_probability():
    graph = SegmentationGraph(toy_network(), toy_contract()).eval()
    frame = example_frames(1)[0]
    with torch.inference_mode():
        tensors = graph(*(torch.from_numpy(array) for array in frame.values()))
    mask, confidence, probabilities, gates = (tensor.numpy() for tensor in tensors)
    assert np.array_equal(np.take_along_axis(probabilities, mask[None], axis=0)[0], confidence)
    assert np.abs(probabilities.astype(int).sum(axis=0) - 255).max() <= 3
    assert gates.min() >= 0
    assert gates.max() <= 1


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_vector_scaling_decides_mask_and_probabilities(tmp_path, precision):
    scaling = VectorScaling((0.5, 1.0, 1.5, 2.0, 0.8), (1.0, -1.0, 0.5, 0.0, 0.25))
    contract = replace(toy_contract(), vector_scaling=scaling)
    network = toy_network()
    export_onnx(network, contract, tmp_path / "m.onnx", precision=precision)
    backend = load_backend(tmp_path / "m.onnx", backend="onnxruntime", threads=1)
    frame = example_frames(1)[0]
    found = backend.infer(frame, dict.fromkeys(contract.modalities, True), ("mask", "confidence", "probabilities"))
    graph = SegmentationGraph(network, contract)
    images = [torch.from_numpy(frame[name]) for name in contract.modalities]
    with torch.no_grad():
        logits, _ = graph.logits(images, torch.ones(2))
        scores = logits[0].numpy() / contract.temperature
    scores = scores * np.array(scaling.weights)[:, None, None] + np.array(scaling.bias)[:, None, None]
    odds = np.exp(scores - scores.max(axis=0))
    expected = odds / odds.sum(axis=0)
    assert (scores.argmax(axis=0) != logits[0].numpy().argmax(axis=0)).mean() > 0.05, "scaling must matter here"
    np.testing.assert_allclose(found.probabilities / 255.0, expected, atol=0.002 if precision == "fp32" else 0.01)
    assert (found.mask == scores.argmax(axis=0)).mean() > (0.9999 if precision == "fp32" else 0.99)
    np.testing.assert_array_equal(found.confidence, found.probabilities.max(axis=0))


def test_conversion_needs_no_torch(toy_folder, tmp_path):
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from ssma_ros.inference.build.conversion import convert_file\n"
        f"convert_file(Path({str(toy_folder / 'model.onnx')!r}), Path({str(tmp_path / 'm.onnx')!r}), 'fp16')\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert (tmp_path / "m.onnx").is_file()
