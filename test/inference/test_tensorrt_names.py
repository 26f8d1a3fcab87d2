# SPDX-License-Identifier: Apache-2.0
"""Every TensorRT name in the code is in the Python bindings of 10.3 (JetPack 6) and of 11.x alike.

``tensorrt_names.json`` lists the public names of the classes used, as ``dir()`` gave them for the wheels
tensorrt-cu12-bindings 10.3.0 and tensorrt-cu13-bindings 11.4.0.106.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import ssma_ros.inference.tensorrt

NAMES = json.loads((Path(__file__).parent / "tensorrt_names.json").read_text())
ROOM = Path(ssma_ros.inference.tensorrt.__file__).parent
#: Variables of the code and the class each holds.
VARIABLES = {
    "builder": "Builder",
    "config": "IBuilderConfig",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "cache": "ITimingCache",
    "engine": "ICudaEngine",
    "_engine": "ICudaEngine",
    "_runtime": "Runtime",
    "_execution": "IExecutionContext",
}


def used_names() -> set[tuple[str, str]]:
    """(class, name) for each use in the code; the class is empty for names of the module itself."""
    found = set()
    for path in (ROOM / name for name in ("backend.py", "builder.py", "slot.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Attribute) or node.attr.startswith("__"):
                continue
            owner = node.value
            if isinstance(owner, ast.Name) and owner.id == "trt":
                found.add(("", node.attr))
            elif isinstance(owner, ast.Name) and owner.id in VARIABLES:
                found.add((VARIABLES[owner.id], node.attr))
            elif isinstance(owner, ast.Attribute) and owner.attr in VARIABLES:
                found.add((VARIABLES[owner.attr], node.attr))
            elif isinstance(owner, ast.Attribute) and isinstance(owner.value, ast.Name) and owner.value.id == "trt":
                found.add((owner.attr, node.attr))
            elif isinstance(owner, ast.Call) and ast.unparse(owner).startswith("parser.get_error("):
                found.add(("ParserError", node.attr))
    return found


def test_search_sees_the_code():
    found = used_names()
    for name in (
        ("", "Builder"), ("NetworkDefinitionCreationFlag", "STRONGLY_TYPED"), ("IBuilderConfig", "progress_monitor"),
        ("IExecutionContext", "execute_async_v3"), ("ParserError", "desc"), ("ICudaEngine", "get_tensor_shape"),
        ("Runtime", "deserialize_cuda_engine"), ("ITimingCache", "serialize"),
    ):  # fmt: skip
        assert name in found


@pytest.mark.parametrize("version", NAMES)
def test_no_name_is_missing(version):
    names = NAMES[version]
    used = used_names()
    assert [f"{o}.{n}" for o, n in sorted(used) if n not in names[o]] == []


def test_lists_differ_where_the_versions_do():
    assert "EXPLICIT_BATCH" in NAMES["10.3.0"]["NetworkDefinitionCreationFlag"]
    assert "EXPLICIT_BATCH" not in NAMES["11.4.0.106"]["NetworkDefinitionCreationFlag"]
