# SPDX-License-Identifier: Apache-2.0
"""Rewrite a float32 ONNX graph into a strongly typed float16 one with float32 islands.

TensorRT 11 computes exactly in the types the graph states, and TensorRT 10 does so for strongly typed networks, so
what may be rounded is decided here and nowhere else.

Float32 stays:
 - everything before the first convolution (0..255 images, means and scales);
 - every tensor whose height and width are 1: image-level pooling and attention, a handful of values where a
   rounding error reaches the whole image and half precision saves nothing;
 - means over the image, softmax, and all that follows the softmax.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ssma_ros.inference.build.onnx_graph import (
    CONVOLUTIONS,
    add_initializer,
    constant_of,
    decompress_weights,
    describe_output,
    drop_unused_initializers,
    is_pixel,
)

FLOAT = ir.DataType.FLOAT
HALF = ir.DataType.FLOAT16

#: Operators worth computing in float16.
_HALF_OPS = frozenset(
    (
        "Conv", "ConvTranspose", "Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish",
        "Add", "Sub", "Mul", "MaxPool", "AveragePool", "Resize", "Pad",
    )
)  # fmt: skip

#: Operators that move values without computing: they follow the type of what they move.
_LAYOUT_OPS = frozenset(
    ("Concat", "Split", "Slice", "Squeeze", "Unsqueeze", "Transpose", "Reshape", "Expand", "Identity", "Gather")
)


def to_float16(model: ir.Model) -> None:
    """Rewrite ``model`` in place as described in this module's head; inputs and outputs keep their types.

    Raises:
        ValueError: a weight does not fit into float16's range (65504).
    """
    decompress_weights(model)
    lower_batch_normalization(model)
    graph = model.graph
    half: set[ir.Value] = set()
    casts: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}
    outputs = set(graph.outputs)
    fed_by_conv = _downstream_of_convolutions(graph)
    for node in list(graph):
        is_half = _computes_in_half(node, half, fed_by_conv) and not outputs.intersection(node.outputs)
        target, other = (HALF, FLOAT) if is_half else (FLOAT, HALF)
        for index, value in enumerate(node.inputs):
            if value is None or _dtype(value, half) != other or not _is_data_input(node, index):
                continue
            node.replace_input_with(index, _converted(node, value, target, casts))
        if is_half:
            for value in node.outputs:
                value.type = ir.TensorType(HALF)
                half.add(value)
    drop_unused_initializers(graph)


def lower_batch_normalization(model: ir.Model) -> None:
    """Replace BatchNormalization nodes by x·a + b with per-channel constants, in place.

    What folding into convolutions leaves over (pre-activation units, the input's own normalisation) would
    otherwise mix types: ONNX lets its statistics differ in type from its data, strongly typed TensorRT does not.
    """
    graph = model.graph
    for node in list(graph):
        if node.op_type != "BatchNormalization":
            continue
        x, *parameters = node.inputs
        constants = [constant_of(v) for v in parameters]
        if x is None or any(c is None for c in constants):
            raise ValueError(f"node {node.name}: BatchNormalization with computed statistics, expected constants")
        gamma, beta, mean, variance = (np.asarray(c, np.float64) for c in constants)
        epsilon = node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else 1e-5
        a = gamma / np.sqrt(variance + epsilon)
        old = node.outputs[0]
        name = str(old.name)
        factor = add_initializer(graph, f"{name}.factor", a.reshape(1, -1, 1, 1).astype(np.float32))
        shift = add_initializer(graph, f"{name}.shift", (beta - mean * a).reshape(1, -1, 1, 1).astype(np.float32))
        product = ir.node("Mul", [x, factor], name=f"{name}.mul")
        total = ir.node("Add", [describe_output(product, f"{name}.scaled", old), shift], name=f"{name}.add")
        graph.insert_before(node, [product, total])
        old.replace_all_uses_with(total.outputs[0], replace_graph_outputs=True)
        graph.remove(node, safe=True)
        describe_output(total, name, old)
    drop_unused_initializers(graph)


def _computes_in_half(node: ir.Node, half: set[ir.Value], fed_by_conv: set[ir.Node]) -> bool:
    if node.op_type in _LAYOUT_OPS:
        return any(v in half for v in node.inputs if v is not None)
    if node.op_type not in _HALF_OPS or any(is_pixel(v) for v in node.outputs):
        return False
    return node.op_type in CONVOLUTIONS or node in fed_by_conv


def _downstream_of_convolutions(graph: ir.Graph) -> set[ir.Node]:
    """Nodes before the softmax that see the result of a convolution."""
    found: set[ir.Node] = set()
    for node in graph:
        producers = [v.producer() for v in node.inputs if v is not None]
        follows = any(p in found for p in producers if p is not None)
        if node.op_type in CONVOLUTIONS or (follows and node.op_type != "Softmax"):
            found.add(node)
    return found


def _is_data_input(node: ir.Node, index: int) -> bool:
    """False for inputs that are parameters of the operator and have a type of their own."""
    return not (node.op_type == "Resize" and index > 0)


def _dtype(value: ir.Value, half: set[ir.Value]) -> ir.DataType | None:
    return HALF if value in half else value.dtype


def _converted(
    reader: ir.Node, value: ir.Value, dtype: ir.DataType, casts: dict[tuple[ir.Value, ir.DataType], ir.Value]
) -> ir.Value:
    """``value`` in ``dtype``: a converted constant, or one shared Cast right before its first reader."""
    graph = reader.graph
    assert isinstance(graph, ir.Graph)  # export makes no functions and no subgraphs
    key = (value, dtype)
    if key in casts:
        return casts[key]
    suffix = "fp16" if dtype == HALF else "fp32"
    constant = constant_of(value)
    if constant is not None:
        with np.errstate(over="ignore"):  # told below, with the constant's name
            array = constant.astype(np.float16 if dtype == HALF else np.float32)
        if not np.isfinite(array).all():
            raise ValueError(
                f"constant {value.name}: largest magnitude is {np.abs(constant).max()}, beyond float16's range"
            )
        converted = add_initializer(graph, f"{value.name}.{suffix}", array)
    else:
        cast = ir.node("Cast", [value], attributes={"to": int(dtype)}, name=f"{value.name}.to_{suffix}")
        converted = describe_output(cast, f"{value.name}.{suffix}", value, dtype)
        graph.insert_before(reader, cast)
    casts[key] = converted
    return converted
