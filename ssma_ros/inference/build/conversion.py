# SPDX-License-Identifier: Apache-2.0
"""From the float32 graph to the graph that is shipped: precision, weight storage, metadata, the file. No torch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from ssma_ros.contract import FILE_NAME, load_contract, save_contract
from ssma_ros.errors import SsmaError
from ssma_ros.files import whole_path
from ssma_ros.inference.build.float16 import to_float16
from ssma_ros.inference.build.int8 import quantize_int8
from ssma_ros.inference.build.onnx_graph import describe_output
from ssma_ros.inference.runtime.fit import check_onnx, load_checked_contract
from ssma_ros.inference.runtime.onnx_file import (
    META_CONTRACT,
    META_LABELS,
    META_PRECISION,
    META_VERSION,
    META_WEIGHTS,
    read_onnx_facts,
)
from ssma_ros.version import __version__

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract

#: Precisions a graph can be written in. ``int8``: what is not quantised stays float32, for processors;
#: ``int8-fp16``: it becomes float16, for GPUs.
PRECISIONS = ("fp32", "fp16", "int8", "int8-fp16")

#: Smaller tensors stay float32 when weights are stored as float16: biases are few bytes and carry the BN shifts.
_MIN_COMPRESSED_SIZE = 256

#: QuantizeLinear takes float16 from this opset on.
_OPSET_OF_HALF_QUANTIZATION = 19


def convert(
    model: ir.Model, precision: str, calibration: Sequence[Mapping[str, NDArray]] = (), *, keep: Collection[str] = ()
) -> None:
    """Turn a float32 graph into one of :data:`PRECISIONS`, in place.

    Args:
        model: float32 graph.
        precision: wanted.
        calibration: the graph's inputs (``present`` included) of some real frames, for the int8 precisions.
        keep: convolutions that stay float in the int8 precisions, see :func:`quantize_int8`.

    Raises:
        SsmaError: unknown precision, or int8 without calibration frames.
    """
    if precision not in PRECISIONS:
        raise SsmaError(f"export: precision is '{precision}', expected one of {', '.join(PRECISIONS)}")
    if precision.startswith("int8"):
        quantize_int8(model, calibration, keep=keep, headroom=precision == "int8")
    if precision.endswith("fp16"):
        if precision != "fp16":
            model.opset_imports[""] = max(model.opset_imports[""], _OPSET_OF_HALF_QUANTIZATION)
        to_float16(model)


def convert_file(
    source: Path, target: Path, precision: str, calibration: Sequence[Mapping[str, NDArray]] = (),
    *, keep: Collection[str] = (),
) -> None:
    """Write an exported float32 ONNX file in another precision.

    Raises:
        SsmaError: the source is not a float32 graph of ours, or as :func:`convert`.
    """
    contract, facts = load_checked_contract(source)
    stored = facts.metadata.get(META_PRECISION, "fp32")
    if stored != "fp32":
        raise SsmaError(f"export: {source} is a {stored} graph, expected an fp32 graph to convert")
    model = ir.load(source)
    convert(model, precision, calibration, keep=keep)
    write_model(model, contract, target, precision)


def write_model(model: ir.Model, contract: Contract, path: Path, precision: str) -> None:
    """Write graph and contract, each whole or not at all, after checking that they fit each other.

    The contract goes to ``<stem>.contract.json`` unless the folder's ``contract.json`` says the same already.

    Raises:
        SsmaError: the folder is missing or cannot be written, or graph and contract do not fit.
    """
    if not path.parent.is_dir():
        raise SsmaError(f"export: folder {path.parent} does not exist, expected an existing folder for {path.name}")
    _set_metadata(model, contract, precision)
    with whole_path(path, "export") as partial:
        ir.save(model, partial)
        check_onnx(read_onnx_facts(partial), contract, f"export {path}")
    common = path.with_name(FILE_NAME)
    if not (common.is_file() and load_contract(common).digest() == contract.digest()):
        save_contract(contract, path.with_name(path.stem + ".contract.json"))


def store_weights_as_float16(model: ir.Model) -> None:
    """Replace large float32 initialisers by float16 ones followed by a Cast, in place.

    Runtimes fold the Cast when they load the graph; computation stays float32 with rounded weights.
    """
    graph = model.graph
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size < _MIN_COMPRESSED_SIZE:
            continue
        half = ir.Value(
            name=f"{name}.stored",
            shape=value.shape,
            type=ir.TensorType(ir.DataType.FLOAT16),
            const_value=ir.tensor(tensor.numpy().astype(np.float16), name=f"{name}.stored"),
        )
        cast = ir.node("Cast", [half], attributes={"to": int(ir.DataType.FLOAT)}, name=f"{name}.decompress")
        value.replace_all_uses_with(describe_output(cast, f"{name}.decompressed", value, ir.DataType.FLOAT))
        del graph.initializers[name]
        graph.register_initializer(half)
        graph.insert_before(graph[0], cast)
    model.metadata_props[META_WEIGHTS] = "fp16"


def strip_traces(model: ir.Model) -> None:
    """Remove the exporter's stack traces: they are large and tell the paths of the machine that exported."""
    for node in model.graph:
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.metadata_props.clear()


def _set_metadata(model: ir.Model, contract: Contract, precision: str) -> None:
    model.metadata_props.update(
        {
            META_CONTRACT: contract.digest(),
            META_LABELS: json.dumps(list(contract.labels.names)),
            META_PRECISION: precision,
            META_VERSION: __version__,
        }
    )
    model.graph.name = "ssma_ros"
    model.producer_name = "ssma_ros"
    model.producer_version = __version__
