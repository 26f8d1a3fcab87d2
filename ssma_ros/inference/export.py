"""Freeze a fusion network into one ONNX graph that does everything between uint8 images and small uint8 answers."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import ssma_ros
from ssma_ros.contract import FILE_NAME, load_contract, save_contract
from ssma_ros.errors import SsmaError
from ssma_ros.inference.fit import check_onnx
from ssma_ros.inference.graph import SegmentationGraph
from ssma_ros.inference.onnx_file import (
    META_CONTRACT,
    META_LABELS,
    META_PRECISION,
    META_VERSION,
    read_onnx_facts,
)
from ssma_ros.inference.protocol import OUTPUTS, PRESENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir
    from torch import nn

    from ssma_ros.contract import Contract

#: Opset of exported graphs: the lowest that torch's exporter writes natively, so the widest range of runtimes reads it.
OPSET = 18

#: Smaller tensors stay float32 when weights are stored as float16: biases are few bytes and carry the BN shifts.
_MIN_COMPRESSED_SIZE = 256


def export_onnx(
    network: nn.Module,
    contract: Contract,
    path: str | Path,
    *,
    precision: str = "fp32",
    compress_weights: bool = False,
) -> Path:
    """Write ``network`` with its pre- and postprocessing as one static-shape ONNX graph.

    Inputs: one H×W×3 uint8 image per stream (named as the stream, channel order as the encoder delivers it) and
    ``present`` float32 [M]. Outputs: :data:`ssma_ros.inference.protocol.OUTPUTS`. BatchNorm is folded into the
    convolutions. The contract is written beside the graph (``<stem>.contract.json``) unless the folder's
    ``contract.json`` says the same already.

    Args:
        network: see :class:`ssma_ros.inference.graph.SegmentationGraph`; a copy of it is exported in eval mode.
        contract: input contract, gives sizes, normalisation and class names.
        path: of the ``.onnx`` file; written whole or not at all.
        precision: ``fp32`` – every other precision is derived from this graph.
        compress_weights: store weights as float16 (half the file); runtimes compute in float32 all the same.

    Returns:
        ``path``.

    Raises:
        SsmaError: the precision is unknown, the folder is missing, or the network does not fit the contract.
    """
    if precision != "fp32":
        raise SsmaError(f"export: precision is '{precision}', expected fp32")
    path = Path(path)
    if not path.parent.is_dir():
        raise SsmaError(f"export: folder {path.parent} does not exist, expected an existing folder for {path.name}")
    model = trace(network, contract)
    _set_metadata(model, contract, precision)
    if compress_weights:
        store_weights_as_float16(model)
    write_model(model, contract, path)
    return path


def trace(network: nn.Module, contract: Contract) -> onnx_ir.Model:
    """The float32 graph of ``network`` as an ONNX IR model, not yet written.

    Raises:
        SsmaError: the network does not run on the contract's streams.
    """
    graph = SegmentationGraph(copy.deepcopy(network).cpu(), contract).eval()
    blank = torch.zeros(contract.height, contract.width, 3, dtype=torch.uint8)
    arguments = (*(blank.clone() for _ in contract.streams), torch.ones(len(contract.streams)))
    try:
        with torch.no_grad():
            graph(*arguments)
    except (RuntimeError, ValueError, TypeError) as error:
        raise SsmaError(
            f"export: the network does not run on {len(contract.streams)} streams of "
            f"{contract.width}x{contract.height} as the contract says ({error})"
        ) from error
    with _quiet_exporter():
        program = torch.onnx.export(
            graph,
            arguments,
            input_names=[*contract.modalities, PRESENT],
            output_names=list(OUTPUTS),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # torch returns None only when asked for a file by the legacy exporter
    _strip_traces(program.model)
    return program.model


def write_model(model: onnx_ir.Model, contract: Contract, path: Path) -> None:
    """Write graph and contract, each whole or not at all, after checking that they fit each other."""
    import onnx_ir

    partial = path.with_name(path.name + ".partial")
    try:
        onnx_ir.save(model, partial)
        check_onnx(read_onnx_facts(partial), contract, f"export {path}")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    common = path.with_name(FILE_NAME)
    if not (common.is_file() and load_contract(common).digest() == contract.digest()):
        save_contract(contract, path.with_name(path.stem + ".contract.json"))


def store_weights_as_float16(model: onnx_ir.Model) -> None:
    """Replace large float32 initialisers by float16 ones followed by a Cast, in place.

    Runtimes fold the Cast when they load the graph; computation stays float32 with rounded weights.
    """
    import numpy as np
    import onnx_ir as ir

    for name, value in list(model.graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size < _MIN_COMPRESSED_SIZE:
            continue
        half = ir.Value(
            name=f"{name}.fp16",
            shape=value.shape,
            type=ir.TensorType(ir.DataType.FLOAT16),
            const_value=ir.tensor(tensor.numpy().astype(np.float16), name=f"{name}.fp16"),
        )
        cast = ir.node("Cast", [half], attributes={"to": int(ir.DataType.FLOAT)}, name=f"{name}.decompress")
        cast.outputs[0].name = f"{name}.fp32"
        cast.outputs[0].shape = value.shape
        cast.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        value.replace_all_uses_with(cast.outputs[0])
        del model.graph.initializers[name]
        model.graph.register_initializer(half)
        model.graph.insert_before(model.graph[0], cast)


def _strip_traces(model: onnx_ir.Model) -> None:
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


def _set_metadata(model: onnx_ir.Model, contract: Contract, precision: str) -> None:
    model.metadata_props.update(
        {
            META_CONTRACT: contract.digest(),
            META_LABELS: json.dumps(list(contract.labels.names)),
            META_PRECISION: precision,
            META_VERSION: ssma_ros.__version__,
        }
    )
    model.graph.name = "ssma_ros"
    model.producer_name = "ssma_ros"
    model.producer_version = ssma_ros.__version__


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence the exporter's remarks about packages and deprecations that the user cannot act on."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
