# SPDX-License-Identifier: Apache-2.0
"""Symmetric per-channel quantisation and its calibration."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inference.toy_network import example_frames
from onnx import TensorProto, helper, numpy_helper

from ssma_ros.inference.build.int8 import calibrate, quantize_int8, tensor_probe
from ssma_ros.inference.build.onnx_graph import CONVOLUTIONS, constant_of


@pytest.fixture(scope="module")
def quantised(toy_folder):
    return ir.load(toy_folder / "model.int8.onnx")


def producer(value):
    return value.producer()


def test_file_is_valid(toy_folder):
    for name in ("model.int8.onnx", "model.int8-fp16.onnx"):
        onnx.checker.check_model(onnx.load(toy_folder / name), full_check=True)


def test_convolutions_that_gain_read_int8_and_no_others(toy_folder, quantised):
    graph = ir.load(toy_folder / "model.onnx").graph
    plain = {n.name: constant_of(n.inputs[1]).shape for n in graph if n.op_type in CONVOLUTIONS}
    seen = set()
    for node in quantised.graph:
        if node.op_type not in CONVOLUTIONS:
            continue
        pixel = all(d == 1 for d in node.outputs[0].shape.dims[2:])
        gains = min(plain[node.name][:2]) >= 16 and not pixel
        from_int8 = [producer(v) is not None and producer(v).op_type == "DequantizeLinear" for v in node.inputs[:2]]
        assert from_int8 == [gains, gains], node.name
        seen.add((node.op_type, gains))
    # Image-reading, pixel and class-making ones stay; both kinds of convolution are quantised somewhere.
    assert seen == {("Conv", True), ("Conv", False), ("ConvTranspose", True), ("ConvTranspose", False)}


def test_depthwise_convolutions_stay_float():
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 32, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 32, 4, 4])
    random = np.random.default_rng(0)
    weights = {"w": random.normal(size=(32, 1, 3, 3)), "v": random.normal(size=(32, 32, 1, 1))}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["d"], name="depthwise", group=32, pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["d", "v"], ["y"], name="pointwise"),
    ]
    tensors = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], tensors)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model = ir.from_proto(onnx.shape_inference.infer_shapes(proto))
    scales = quantize_int8(model, [{"x": random.normal(size=(1, 32, 4, 4)).astype(np.float32)}])
    assert list(scales) == ["d"]


def test_zero_points_are_zero_and_int8(quantised):
    found = 0
    for node in quantised.graph:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = constant_of(node.inputs[2])
            assert zero.dtype == np.int8
            assert not zero.any()
            found += 1
    assert found >= 12


def quantised_weights(model):
    for node in model.graph:
        if node.op_type in ("Conv", "ConvTranspose") and producer(node.inputs[1]) is not None:
            yield node, producer(node.inputs[1])


def magnitudes(node, values):
    """|weight| as output channels × the rest."""
    axis = 0 if node.op_type == "Conv" else 1
    return np.abs(np.moveaxis(values.astype(int), axis, 0)).reshape(values.shape[axis], -1)


@pytest.mark.parametrize("headroom", [True, False])
def test_weights_have_a_scale_for_each_output_channel(toy_folder, headroom):
    model = ir.load(toy_folder / "model.onnx")
    quantize_int8(model, example_frames(2), headroom=headroom)
    plain = {n.name: n for n in ir.load(toy_folder / "model.onnx").graph}
    found = 0
    for node, dequantize in quantised_weights(model):
        found += 1
        values, scales = constant_of(dequantize.inputs[0]), constant_of(dequantize.inputs[1])
        axis = dequantize.attributes["axis"].as_int()
        assert axis == (0 if node.op_type == "Conv" else 1)
        assert scales.shape == (values.shape[axis],)
        # GPUs get the whole range; for processors the two largest share it.
        first, second = np.sort(magnitudes(node, values), axis=1)[:, :-3:-1].T
        used = first + second if headroom else first
        assert ((used >= 126) & (used <= 128)).all() if headroom else (used == 127).all()
        shape = [1] * 4
        shape[axis] = -1
        restored = values * scales.reshape(shape)
        original = constant_of(plain[node.name].inputs[1])
        assert (np.abs(restored - original) <= scales.reshape(shape) * 0.5001).all()
    assert found >= 4


def saturates(weights, data):
    """Whether ``vpmaddubsw`` loses something: pairs of products added in 16 bits, neighbours along the last axis."""
    products = weights.astype(np.int64) * data
    sums = products[..., 0::2] + products[..., 1::2]
    return bool(((sums > 32767) | (sums < -32768)).any())


def test_no_pair_of_products_saturates_16_bits_in_any_order(toy_folder):
    """A property of the graph, so it holds on processors with and without VNNI alike."""
    channels = 0
    for node, dequantize in quantised_weights(ir.load(toy_folder / "model.int8.onnx")):
        values = constant_of(dequantize.inputs[0])
        axis = 0 if node.op_type == "Conv" else 1
        rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
        for row in rows:
            # The worst pairs: the largest of one sign side by side, under the largest activation.
            even = len(row) // 2 * 2
            assert not saturates(np.sort(row)[:even], 255)
            assert not saturates(np.sort(row)[::-1][:even], 255)
        assert np.sort(magnitudes(node, values), axis=1)[:, -2:].sum(axis=1).max() * 255 <= 32767
        channels += len(rows)
    assert channels >= 64


@given(st.integers(0, 2**32 - 1), st.tuples(st.sampled_from(["Conv", "ConvTranspose"]), st.sampled_from([1, 2])))
def test_headroom_is_what_the_two_largest_weights_need(seed, kind):
    operator, groups = kind
    random = np.random.default_rng(seed)
    # Heavy tails: from channels that one weight rules to channels of equals.
    shape = (32, 32 // groups, 2, 2)
    weights = np.sign(random.normal(size=shape)) * random.pareto(random.uniform(0.5, 20), shape)
    model = one_convolution(operator, weights.astype(np.float32), groups)
    quantize_int8(model, [{"x": random.normal(size=(1, 32, 4, 4)).astype(np.float32)}])
    node, dequantize = next(quantised_weights(model))
    two = np.sort(magnitudes(node, constant_of(dequantize.inputs[0])), axis=1)[:, -2:].sum(axis=1)
    assert two.max() <= 128
    if groups == 1 or operator == "Conv":
        assert two.min() >= 126


def one_convolution(operator, weights, groups):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 32, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node(operator, ["x", "w"], ["y"], name="c", group=groups)
    graph = helper.make_graph([node], "g", [x], [y], [numpy_helper.from_array(weights, "w")])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


def test_activations_share_one_pair_for_all_readers(quantised):
    sources = [n.inputs[0].name for n in quantised.graph if n.op_type == "QuantizeLinear"]
    assert len(sources) == len(set(sources))


def quantise_candidates(model):
    return [n for n in model.graph if n.op_type == "ConvTranspose" and min(constant_of(n.inputs[1]).shape[:2]) >= 16]


def test_kept_convolutions_stay_float32(toy_folder):
    model = ir.load(toy_folder / "model.onnx")
    name = next(n.name for n in quantise_candidates(model))
    quantize_int8(model, example_frames(2), keep=[name])
    node = next(n for n in model.graph if n.name == name)
    assert constant_of(node.inputs[1]) is not None


def test_scales_follow_the_data(toy_folder):
    model = ir.load(toy_folder / "model.onnx")
    names = ["relu", "cat"]
    scales = calibrate(model, example_frames(3), names)
    probe = tensor_probe(model, names)
    for name in names:
        largest = max(np.abs(probe(frame)[name]).max() for frame in example_frames(3))
        assert 0.2 * largest / 127 <= scales[name] <= largest / 127 * 1.0001


@given(st.floats(0.01, 100.0), st.integers(0, 2**32 - 1))
def test_chosen_scale_is_no_worse_than_the_full_range(spread, seed):
    from ssma_ros.inference.build.int8 import _BINS, _best_scale

    values = np.abs(np.random.default_rng(seed).laplace(scale=spread, size=5000))
    largest = float(values.max())
    histogram, _ = np.histogram(values, bins=_BINS, range=(0, largest))

    def error(scale):
        return float(np.mean((np.minimum(np.round(values / scale), 127) * scale - values) ** 2))

    # The histogram's bins are 1/16 of a step wide, hence the small allowance.
    assert error(_best_scale(histogram, largest)) <= error(largest / 127) * 1.05


def test_silent_tensor_gets_a_usable_scale():
    from ssma_ros.inference.build.int8 import _BINS, _best_scale

    assert _best_scale(np.zeros(_BINS), 0.0) > 0


def test_int8_file_is_smaller(toy_folder):
    sizes = {p: (toy_folder / f"model.{p}onnx").stat().st_size for p in ("", "int8.")}
    constants = [v.const_value for v in ir.load(toy_folder / "model.onnx").graph.initializers.values()]
    weights = sum(constant.size for constant in constants if constant.size > 100)
    # Three bytes a weight are saved; what the pairs add is a fixed amount a layer.
    assert sizes["int8."] < sizes[""] - 2.5 * weights + 40 * 600
