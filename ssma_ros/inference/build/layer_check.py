# SPDX-License-Identifier: Apache-2.0
"""Layer by layer: where does a graph of lower precision leave the float32 graph?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from ssma_ros.errors import SsmaError
from ssma_ros.inference.build.int8 import tensor_probe
from ssma_ros.inference.build.onnx_graph import CONVOLUTIONS, layer_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

#: Tensors fetched in one run; more need more memory, fewer more runs.
_CHUNK = 24


@dataclass(frozen=True)
class LayerDifference:
    """One tensor in both graphs.

    Attributes:
        name, operator: module path of a convolution, else the tensor's name; the node that makes it.
        relative_rms: root mean square of the difference, over the standard deviation of the float32 tensor.
        largest: largest magnitude in the float32 graph; float16 ends at 65504.
    """

    name: str
    operator: str
    relative_rms: float
    largest: float


def compare_layers(reference: Path, candidate: Path, frame: Mapping[str, NDArray]) -> list[LayerDifference]:
    """Differences of every convolution's output (and what follows it by elements), in graph order.

    Both graphs run on the CPU by ONNX Runtime, which keeps each tensor in the type the graph states.

    Args:
        reference: float32 ONNX file.
        candidate: ONNX file made from it by :mod:`ssma_ros.inference.build.conversion`; tensors keep their names.
        frame: the graph's inputs, ``present`` included.

    Raises:
        SsmaError: the graphs share no tensor.
    """
    expected_model, got_model = ir.load(reference), ir.load(candidate)
    shared = {str(v.name) for node in got_model.graph for v in node.outputs}
    wanted = [
        (str(v.name), node.op_type, layer_name(node))
        for node in expected_model.graph
        for v in node.outputs
        if v.name in shared and node.op_type in (*CONVOLUTIONS, "Add", "Mul", "Sigmoid", "ReduceMean", "Softmax")
    ]
    if not wanted:
        raise SsmaError(f"verify: {reference} and {candidate} share no tensor, expected one made from the other")
    found = []
    for start in range(0, len(wanted), _CHUNK):
        names = [name for name, _, _ in wanted[start : start + _CHUNK]]
        expected, got = tensor_probe(expected_model, names)(frame), tensor_probe(got_model, names)(frame)
        found += [
            _difference(layer, operator, expected[name], got[name])
            for name, operator, layer in wanted[start : start + _CHUNK]
        ]
    return found


def _difference(name: str, operator: str, expected: NDArray, got: NDArray) -> LayerDifference:
    reference = expected.astype(np.float64)
    difference = got.astype(np.float64) - reference
    # A constant tensor (a gate that is all ones) has no spread to compare with; its magnitude stands in.
    scale = max(float(reference.std()), 1e-3 * float(np.abs(reference).max()), 1e-12)
    return LayerDifference(
        name=name,
        operator=operator,
        relative_rms=float(np.sqrt(np.mean(difference**2))) / scale,
        largest=float(np.abs(reference).max()),
    )
