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

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Iterable

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
            node.replace_input_with(index, _converted(graph, node, value, target, casts))
        if is_half:
            for value in node.outputs:
                value.type = ir.TensorType(HALF)
                half.add(value)
    _drop_unused_initializers(graph)


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
        constants = [_constant(v) for v in parameters]
        if x is None or any(c is None for c in constants):
            raise ValueError(f"node {node.name}: BatchNormalization with computed statistics, expected constants")
        gamma, beta, mean, variance = (np.asarray(c, np.float64) for c in constants)
        epsilon = node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else 1e-5
        a = gamma / np.sqrt(variance + epsilon)
        shape = (1, -1, *([1] * (len(x.shape) - 2))) if x.shape is not None else (1, -1, 1, 1)
        name = node.name or node.outputs[0].name
        factor = _initializer(graph, f"{name}.factor", a.reshape(shape).astype(np.float32))
        shift = _initializer(graph, f"{name}.shift", (beta - mean * a).reshape(shape).astype(np.float32))
        product = ir.node("Mul", [x, factor], name=f"{name}.mul")
        total = ir.node("Add", [product.outputs[0], shift], name=f"{name}.add")
        old = node.outputs[0]
        for value in (product.outputs[0], total.outputs[0]):
            value.type, value.shape = old.type, old.shape
        product.outputs[0].name = f"{old.name}.scaled"
        old_name = old.name
        graph.insert_before(node, [product, total])
        old.replace_all_uses_with(total.outputs[0])
        graph.remove(node, safe=True)
        total.outputs[0].name = old_name
    _drop_unused_initializers(graph)


def _computes_in_half(node: ir.Node, half: set[ir.Value], fed_by_conv: set[ir.Node]) -> bool:
    if node.op_type in _LAYOUT_OPS:
        return any(v in half for v in node.inputs if v is not None)
    if node.op_type not in _HALF_OPS or any(_is_tiny(v) for v in node.outputs):
        return False
    return node.op_type in ("Conv", "ConvTranspose") or node in fed_by_conv


def _is_tiny(value: ir.Value) -> bool:
    """True for N×C×1×1 maps (and for what has no image dimensions at all)."""
    if value.shape is None:
        return False
    dims = value.shape.dims
    return len(dims) < 3 or all(d == 1 for d in dims[2:])


def _downstream_of_convolutions(graph: ir.Graph) -> set[ir.Node]:
    """Nodes before the softmax that see the result of a convolution."""
    found: set[ir.Node] = set()
    for node in graph:
        producers = [v.producer() for v in node.inputs if v is not None]
        if node.op_type in ("Conv", "ConvTranspose"):
            found.add(node)
        elif node.op_type != "Softmax" and any(p in found for p in producers if p is not None):
            found.add(node)
    return found


def _is_data_input(node: ir.Node, index: int) -> bool:
    """False for inputs that are parameters of the operator and have a type of their own."""
    return not (node.op_type == "Resize" and index > 0)


def _dtype(value: ir.Value, half: set[ir.Value]) -> ir.DataType | None:
    return HALF if value in half else value.dtype


def _converted(
    graph: ir.Graph, node: ir.Node, value: ir.Value, dtype: ir.DataType, casts: dict[tuple[ir.Value, ir.DataType], ir.Value]
) -> ir.Value:
    """``value`` in ``dtype``: a converted constant, or one shared Cast right before its first reader."""
    key = (value, dtype)
    if key in casts:
        return casts[key]
    suffix = "fp16" if dtype == HALF else "fp32"
    constant = _constant(value)
    if constant is not None:
        array = constant.astype(np.float16 if dtype == HALF else np.float32)
        if not np.isfinite(array).all():
            raise ValueError(f"constant {value.name}: a value is beyond float16's range, largest is {abs(constant).max()}")
        converted = _initializer(graph, f"{value.name}.{suffix}", array)
    else:
        cast = ir.node("Cast", [value], attributes={"to": int(dtype)}, name=f"{value.name}.to_{suffix}")
        converted = cast.outputs[0]
        converted.name = f"{value.name}.{suffix}"
        converted.shape, converted.type = value.shape, ir.TensorType(dtype)
        graph.insert_before(node, cast)
    casts[key] = converted
    return converted


def _constant(value: ir.Value | None) -> np.ndarray | None:
    if value is None or value.const_value is None or value.producer() is not None:
        return None
    return value.const_value.numpy()


def _initializer(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    tensor = ir.tensor(array, name=name)
    value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def _drop_unused_initializers(graph: ir.Graph) -> None:
    unused: Iterable[str] = [n for n, v in graph.initializers.items() if not v.uses() and v not in graph.outputs]
    for name in list(unused):
        del graph.initializers[name]
