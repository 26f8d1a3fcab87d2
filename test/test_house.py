# SPDX-License-Identifier: Apache-2.0
"""What keeps the house readable: sizes of functions and files."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "ssma_ros"
FILES = sorted(PACKAGE.rglob("*.py"))


def test_a_function_reads_in_one_screen() -> None:
    long = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > 60:
                    long.append(f"{path.relative_to(PACKAGE)}: {node.name} has {lines} lines")
    assert long == []


def test_a_file_has_one_subject() -> None:
    sizes = [len(path.read_text(encoding="utf-8").splitlines()) for path in FILES]
    assert statistics.median(sizes) < 125
    assert max(sizes) <= 500
