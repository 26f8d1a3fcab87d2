# SPDX-License-Identifier: Apache-2.0
"""Freeze a fusion network into one ONNX graph that does everything between uint8 images and small uint8 answers."""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ssma_ros.errors import SsmaError
from ssma_ros.inference.build.conversion import PRECISIONS, convert, store_weights_as_float16, strip_traces, write_model
from ssma_ros.inference.runtime.protocol import OUTPUTS, PRESENT
from ssma_ros.models.backbones import find_backbones
from ssma_ros.models.segmentation_graph import SegmentationGraph

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import onnx_ir
    from numpy.typing import NDArray
    from torch import nn

    from ssma_ros.contract import Contract

__all__ = ["OPSET", "PRECISIONS", "export_onnx", "trace"]

#: Opset of exported graphs: the lowest that torch's exporter writes natively, so the widest range of runtimes reads it.
OPSET = 18


def export_onnx(
    network: nn.Module,
    contract: Contract,
    path: str | Path,
    *,
    precision: str = "fp32",
    calibration: Sequence[Mapping[str, NDArray]] = (),
    compress_weights: bool = False,
    keep: Collection[str] = (),
) -> Path:
    """Write ``network`` with its pre- and postprocessing as one static-shape ONNX graph.

    Inputs: one H×W×3 uint8 image per stream (named as the stream, channel order as the encoder delivers it) and
    ``present`` float32 [M]. Outputs: :data:`ssma_ros.inference.runtime.protocol.OUTPUTS`. BatchNorm is folded into the
    convolutions. The contract is written beside the graph (``<stem>.contract.json``) unless the folder's
    ``contract.json`` says the same already.

    Args:
        network: see :class:`ssma_ros.models.segmentation_graph.SegmentationGraph`; a copy in eval mode is exported.
        contract: input contract, gives sizes, normalisation and class names.
        path: of the ``.onnx`` file; written whole or not at all.
        precision: one of :data:`ssma_ros.inference.build.conversion.PRECISIONS`.
        calibration: inputs of some real frames for the int8 precisions, ``present`` included.
        compress_weights: store float32 weights as float16 (half the file); runtimes compute in float32 all the same.

        keep: layers that stay float in the int8 precisions, by module path.

    Returns:
        ``path``.

    Raises:
        SsmaError: the precision is unknown, int8 has no calibration frames, the folder is missing, or the network
            does not fit the contract.
    """
    path = Path(path)
    if precision not in PRECISIONS:
        raise SsmaError(f"export: precision is '{precision}', expected one of {', '.join(PRECISIONS)}")
    if not path.parent.is_dir():
        raise SsmaError(f"export: folder {path.parent} does not exist, expected an existing folder for {path.name}")
    model = trace(network, contract)
    convert(model, precision, calibration, keep=keep)
    if compress_weights:
        store_weights_as_float16(model)
    write_model(model, contract, path, precision)
    return path


def trace(network: nn.Module, contract: Contract) -> onnx_ir.Model:
    """The float32 graph of ``network`` as an ONNX IR model, not yet written.

    Raises:
        SsmaError: the network does not run on the contract's streams.
    """
    graph = SegmentationGraph(copy.deepcopy(network).cpu(), contract).eval()
    for backbone in find_backbones(graph):
        backbone.merge_branches()
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
    strip_traces(program.model)
    return program.model


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
