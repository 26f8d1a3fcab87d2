"""The rules of the house: which room may import what (docs/architecture.md)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "ssma_ros"
DOORS = ("ros", "recordings", "cli", "demo")
LIBRARY = ("labels", "preprocessing", "models", "inference", "training", "synthetic")
ROS_PACKAGES = ("rclpy", "sensor_msgs", "std_msgs", "diagnostic_msgs", "vision_msgs", "cv_bridge", "tf2_ros", "launch")


def imports(path: Path) -> set[str]:
    """Every dotted module name that a file imports anywhere, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def modules(*rooms: str) -> list[Path]:
    return sorted(p for room in rooms for p in (PACKAGE / room).rglob("*.py"))


def top_level() -> list[Path]:
    return sorted(PACKAGE.glob("*.py"))


def test_only_the_ros_room_imports_ros():
    outside = [p for p in PACKAGE.rglob("*.py") if PACKAGE / "ros" not in p.parents]
    assert outside
    for path in outside:
        found = {name for name in imports(path) if name.split(".")[0] in ROS_PACKAGES}
        assert not found, f"{path.relative_to(PACKAGE)} imports {sorted(found)}"


@pytest.mark.parametrize("path", modules(*LIBRARY) + top_level(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_library_imports_no_door(path: Path):
    found = {name for name in imports(path) if name.startswith(tuple(f"ssma_ros.{door}" for door in DOORS))}
    assert not found


def test_the_node_never_imports_training():
    for path in modules("ros"):
        assert not {n for n in imports(path) if n.startswith(("ssma_ros.training", "ssma_ros.models"))}, path


@pytest.mark.parametrize(
    "module",
    ["ssma_ros.pipeline", "ssma_ros.inference", "ssma_ros.recordings", "ssma_ros.ros.conversion", "ssma_ros.cli.main"],
)
def test_inference_needs_no_torch(module: str):
    """Imported in a process in which torch cannot be imported."""
    code = f"import sys; sys.modules['torch'] = None; import importlib; importlib.import_module({module!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
