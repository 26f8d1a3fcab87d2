# SPDX-License-Identifier: Apache-2.0
"""Small helpers for rewriting ONNX graphs in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: Operators with weights.
CONVOLUTIONS = ("Conv", "ConvTranspose")


def add_initializer(graph: ir.Graph, name: str, array: ArrayLike) -> ir.Value:
    """The constant ``name`` of ``graph``, created from ``array`` unless it is there already."""
    if name in graph.initializers:
        return graph.initializers[name]
    array = np.asarray(array)
    tensor = ir.tensor(array, name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def constant_of(value: ir.Value | None) -> NDArray[Any] | None:
    """The array behind a constant, or None for what is computed or fed in."""
    if value is None or value.const_value is None or value.producer() is not None:
        return None
    return value.const_value.numpy()


def layer_name(node: ir.Node) -> str:
    """Module path of a node with weights, ``encoders.0.skips.1.conv`` say; the name of its output for any other."""
    value = node.inputs[1] if node.op_type in CONVOLUTIONS else None
    if value is not None and (maker := value.producer()) is not None:
        value = maker.inputs[0]  # stored as int8 or float16
    path, mark, _ = str(value.name if value is not None else "").partition(".weight")
    return path.removeprefix("network.") if mark else str(node.outputs[0].name)


def describe_output(node: ir.Node, name: str, like: ir.Value, dtype: ir.DataType | None = None) -> ir.Value:
    """Name a new node's only output and give it the shape of ``like`` and its type, or ``dtype``."""
    value = node.outputs[0]
    value.name = name
    value.shape = like.shape
    value.type = like.type if dtype is None else ir.TensorType(dtype)
    return value


def is_pixel(value: ir.Value) -> bool:
    """True for N×C×1×1 maps and for what has no image dimensions at all; False where the shape is unknown."""
    if value.shape is None:
        return False
    dims = value.shape.dims
    return len(dims) < 3 or all(d == 1 for d in dims[2:])


def drop_unused_initializers(graph: ir.Graph) -> None:
    """Remove constants that no node reads any more."""
    for name, value in list(graph.initializers.items()):
        if not value.uses() and value not in graph.outputs:
            del graph.initializers[name]


def decompress_weights(model: ir.Model) -> None:
    """Fold Casts of float16 constants into float32 constants, in place: undoes how weights are stored in files."""
    graph = model.graph
    for node in list(graph):
        if node.op_type != "Cast" or node.attributes["to"].as_int() != int(ir.DataType.FLOAT):
            continue
        stored = constant_of(node.inputs[0])
        if stored is None:
            continue
        old = node.outputs[0]
        old.replace_all_uses_with(add_initializer(graph, f"{old.name}.constant", stored.astype(np.float32)))
        graph.remove(node, safe=True)
    drop_unused_initializers(graph)
