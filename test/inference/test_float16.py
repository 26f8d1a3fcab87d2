# SPDX-License-Identifier: Apache-2.0
"""What becomes float16 and what stays float32."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from inference.toy_network import example_frames
from onnx import TensorProto, helper, numpy_helper

from ssma_ros.inference.build.float16 import lower_batch_normalization, to_float16
from ssma_ros.inference.build.layer_check import compare_layers


@pytest.fixture(scope="module")
def half(toy_folder):
    return ir.load(toy_folder / "model.fp16.onnx")


def types_of(model, operator):
    return {(str(n.inputs[0].dtype), str(n.outputs[0].dtype)) for n in model.graph if n.op_type == operator}


def test_file_is_valid_and_strongly_typed(toy_folder):
    onnx.checker.check_model(onnx.load(toy_folder / "model.fp16.onnx"), full_check=True)


@pytest.mark.parametrize("operator", ["Softmax", "ReduceMean", "ReduceMax", "ReduceMin", "Div", "Round"])
def test_islands_are_float32(half, operator):
    assert types_of(half, operator) == {("FLOAT", "FLOAT")}


@pytest.mark.parametrize("operator", ["ConvTranspose", "Sigmoid"])
def test_large_maps_are_float16(half, operator):
    assert types_of(half, operator) == {("FLOAT16", "FLOAT16")}


def test_convolutions_of_one_pixel_are_float32(half):
    for node in half.graph:
        if node.op_type == "Conv":
            tiny = all(d == 1 for d in node.outputs[0].shape.dims[2:])
            assert node.outputs[0].dtype == (ir.DataType.FLOAT if tiny else ir.DataType.FLOAT16), node.name
            assert {v.dtype for v in node.inputs} == {node.outputs[0].dtype}


def test_images_are_normalised_in_float32(half):
    assert types_of(half, "Sub") == {("FLOAT", "FLOAT")}


def test_no_tensor_is_cast_twice(half):
    casts = [(n.inputs[0].name, int(n.attributes["to"].as_int())) for n in half.graph if n.op_type == "Cast"]
    uint8 = [c for c in casts if c[1] == int(ir.DataType.UINT8)]
    assert len(set(casts)) == len(casts)
    assert len(uint8) == 3


def test_inputs_and_outputs_keep_their_types(toy_folder, half):
    plain = ir.load(toy_folder / "model.onnx").graph
    ours = [(v.name, v.dtype) for v in (*half.graph.inputs, *half.graph.outputs)]
    assert ours == [(v.name, v.dtype) for v in (*plain.inputs, *plain.outputs)]


def test_every_layer_is_close_to_float32(toy_folder):
    layers = compare_layers(toy_folder / "model.onnx", toy_folder / "model.fp16.onnx", example_frames(1)[0])
    assert len(layers) > 15
    assert {"Conv", "ConvTranspose", "Softmax", "ReduceMean"} <= {layer.operator for layer in layers}
    # Untrained gates all lie near one half, so that float16's step there is much of their spread.
    gates = [layer for layer in layers if layer.operator in ("Sigmoid", "ReduceMean")]
    assert max(layer.relative_rms for layer in gates) < 1e-2
    assert max(layer.relative_rms for layer in layers if layer not in gates) < 1e-3
    assert max(layer.largest for layer in layers) < 65504


def test_layer_check_sees_a_wrong_layer(toy_folder, tmp_path):
    model = onnx.load(toy_folder / "model.fp16.onnx")
    weight = next(t for t in model.graph.initializer if list(t.dims) == [16, 32, 1, 1])
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float16(1.5), weight.name))
    onnx.save(model, tmp_path / "m.onnx")
    layers = compare_layers(toy_folder / "model.onnx", tmp_path / "m.onnx", example_frames(1)[0])
    first_wrong = next(layer for layer in layers if layer.relative_rms > 0.1)
    assert first_wrong.operator == "Conv"


def small_model(nodes, initializers):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 4, 4])
    tensors = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in initializers.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return ir.from_proto(onnx.shape_inference.infer_shapes(model))


def run(model, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options).run(["y"], {"x": x})[0]


def test_left_over_batch_normalisation_becomes_scale_and_shift():
    random = np.random.default_rng(0)
    statistics = {
        "gamma": random.uniform(0.5, 2, 3), "beta": random.normal(size=3),
        "mean": random.normal(size=3), "variance": random.uniform(0.5, 2, 3),
    }  # fmt: skip
    nodes = [helper.make_node("BatchNormalization", ["x", *statistics], ["y"], name="bn", epsilon=1e-3)]
    x = random.normal(size=(1, 3, 4, 4)).astype(np.float32)
    expected = run(small_model(nodes, statistics), x)
    model = small_model(nodes, statistics)
    lower_batch_normalization(model)
    assert [n.op_type for n in model.graph] == ["Mul", "Add"]
    assert set(model.graph.initializers) == {"y.factor", "y.shift"}
    np.testing.assert_allclose(run(model, x), expected, atol=1e-6)


def test_weight_beyond_float16_is_refused():
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], name="c"), helper.make_node("Abs", ["c"], ["y"], name="a")]
    model = small_model(nodes, {"w": np.full((3, 3, 1, 1), 1e5)})
    with pytest.raises(ValueError, match=r"constant w: largest magnitude is 100000\.0, beyond float16's range"):
        to_float16(model)
