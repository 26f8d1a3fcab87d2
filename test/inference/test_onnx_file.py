# SPDX-License-Identifier: Apache-2.0
"""The reader of ONNX files that needs no onnx package."""

from __future__ import annotations

import contextlib

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssma_ros.errors import SsmaError
from ssma_ros.inference.runtime.onnx_file import TensorFacts, read_onnx_facts


def test_agrees_with_the_onnx_package(toy_folder):
    path = toy_folder / "model.onnx"
    facts = read_onnx_facts(path)
    model = onnx.load(path)
    assert list(facts.inputs) == [i.name for i in model.graph.input]
    assert list(facts.outputs) == [o.name for o in model.graph.output]
    for name, tensor in [(i.name, i.type.tensor_type) for i in (*model.graph.input, *model.graph.output)]:
        found = {**facts.inputs, **facts.outputs}[name]
        assert found.shape == tuple(d.dim_value for d in tensor.shape.dim)
        assert found.dtype == onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    assert facts.opset == model.opset_import[0].version
    assert facts.metadata == {p.key: p.value for p in model.metadata_props}


def test_symbolic_dimension_is_minus_one(tmp_path):
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 3])
    other = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 3])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [value], [other])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "m.onnx")
    assert read_onnx_facts(tmp_path / "m.onnx").inputs == {"x": TensorFacts("float32", (-1, 3))}


def test_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(SsmaError, match="no such file, expected an ONNX model"):
        read_onnx_facts(tmp_path / "m.onnx")


@pytest.mark.parametrize("content", [b"", b"hello, world", b"\x00" * 100, b"\xff" * 100, b"PK\x03\x04" + bytes(200)])
def test_foreign_bytes_are_refused(tmp_path, content):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(SsmaError, match="not a complete ONNX model"):
        read_onnx_facts(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_file_is_refused(toy_folder, tmp_path, share):
    data = (toy_folder / "model.onnx").read_bytes()
    path = tmp_path / "m.onnx"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SsmaError, match="not a complete ONNX model"):
        read_onnx_facts(path)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(content)
    with contextlib.suppress(SsmaError):  # any other exception would be a bug
        assert read_onnx_facts(path).outputs
