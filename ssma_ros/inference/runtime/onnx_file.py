# SPDX-License-Identifier: Apache-2.0
"""What an ONNX file says about itself, read without the onnx package and without loading the weights' values.

A robot that runs TensorRT or OpenVINO has no ``onnx`` installed, yet a file must be checked against its contract
before a runtime sees it: some runtimes crash on foreign bytes. Only the few protobuf fields needed are walked
(field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, stable since 2017).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError
from ssma_ros.protobuf import fields

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Keys of the metadata that export writes.
META_CONTRACT = "ssma.contract_digest"
META_LABELS = "ssma.labels"
META_PRECISION = "ssma.precision"
META_VERSION = "ssma.version"
#: Present, with value ``fp16``, where float32 weights were rounded to float16 for storage.
META_WEIGHTS = "ssma.weights"

_ELEMENT_TYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
}  # fmt: skip


@dataclass(frozen=True)
class TensorFacts:
    """Type and shape of a graph's input or output; a dimension that is not a number is -1."""

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join('?' if d < 0 else str(d) for d in self.shape)}]"


@dataclass(frozen=True)
class OnnxFacts:
    """Inputs and outputs by name in graph order, default opset, and the metadata of an ONNX file."""

    inputs: Mapping[str, TensorFacts]
    outputs: Mapping[str, TensorFacts]
    opset: int
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_onnx_facts(path: str | Path) -> OnnxFacts:
    """Read names, types, shapes and metadata of an ONNX file.

    Raises:
        SsmaError: the file is missing, unreadable, truncated, or not an ONNX model.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise SsmaError(f"model {path}: no such file, expected an ONNX model") from None
    except OSError as error:
        raise SsmaError(f"model {path}: cannot be read ({error.strerror})") from None
    try:
        return _parse_model(memoryview(data))
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise SsmaError(
            f"model {path}: not a complete ONNX model ({len(data)} bytes, {error}), expected a file written by "
            "'ssma export'"
        ) from None


def _parse_model(data: memoryview) -> OnnxFacts:
    graph: memoryview | None = None
    opset = 0
    metadata: dict[str, str] = {}
    for number, value in fields(data):
        if number == 7 and isinstance(value, memoryview):
            graph = value
        elif number == 8 and isinstance(value, memoryview):
            entry = dict(fields(value))
            if not bytes(_message(entry.get(1, memoryview(b"")))):
                opset = _integer(entry.get(2, 0))
        elif number == 14 and isinstance(value, memoryview):
            entry = dict(fields(value))
            metadata[_text(entry.get(1))] = _text(entry.get(2))
    if graph is None:
        raise ValueError("no graph in it")
    inputs: dict[str, TensorFacts] = {}
    outputs: dict[str, TensorFacts] = {}
    for number, value in fields(graph):
        if number in (11, 12):
            name, facts = _parse_value_info(_message(value))
            (inputs if number == 11 else outputs)[name] = facts
    if not outputs:
        raise ValueError("no outputs in its graph")
    return OnnxFacts(inputs, outputs, opset, metadata)


def _parse_value_info(data: memoryview) -> tuple[str, TensorFacts]:
    entry = dict(fields(data))
    tensor = dict(fields(_message(dict(fields(_message(entry.get(2, memoryview(b""))))).get(1, memoryview(b"")))))
    shape = []
    for number, value in fields(_message(tensor.get(2, memoryview(b"")))):
        if number == 1:
            dimension = dict(fields(_message(value)))
            shape.append(_integer(dimension[1]) if 1 in dimension else -1)
    dtype = _ELEMENT_TYPES.get(_integer(tensor.get(1, 0)), "unknown")
    return _text(entry.get(1)), TensorFacts(dtype, tuple(shape))


def _message(value: int | memoryview) -> memoryview:
    if not isinstance(value, memoryview):
        raise ValueError("a number where a message is expected")
    return value


def _integer(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise ValueError("a message where a number is expected")
    return value


def _text(value: int | memoryview | None) -> str:
    return "" if value is None else bytes(_message(value)).decode("utf-8")
