# SPDX-License-Identifier: Apache-2.0
"""The rules of the house: which room may import what, checked against the table in docs/architecture.md."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "ssma_ros"
ROS_PACKAGES = ("rclpy", "sensor_msgs", "std_msgs", "diagnostic_msgs", "vision_msgs", "cv_bridge", "tf2_ros", "launch")
#: Folders whose parts are rooms of their own.
DIVIDED = ("kernels", "inference", "training")
DOORS = ("ros", "recordings", "extraction", "demo", "doctor", "selftest", "cli")
#: What any room may import; the table does not repeat it.
GROUND = {"apart.py", "documents.py", "options.py", "errors.py", "files.py", "folders.py", "sensors.py", "version.py"}


@lru_cache(maxsize=1)
def modules() -> dict[str, Path]:
    """Dotted name of every module of the package."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PROJECT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> set[str]:
    """Every dotted module name that a file imports anywhere: at the top, in functions and for types."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                names.add(whole if whole in modules() else str(node.module))
    return names


@lru_cache(maxsize=1)
def file_graph() -> dict[str, set[str]]:
    return {name: imports(path) & modules().keys() for name, path in modules().items()}


def room(module: str) -> str:
    """``ssma_ros.kernels.numba.fill`` stands in ``kernels/numba/``, ``ssma_ros.frame`` in ``frame.py``."""
    parts = module.split(".")[1:]
    if not parts:
        return "__init__.py"
    if not (PACKAGE / parts[0]).is_dir():
        return f"{parts[0]}.py"
    if parts[0] in DIVIDED and len(parts) > 1 and (PACKAGE / parts[0] / parts[1]).is_dir():
        return f"{parts[0]}/{parts[1]}/"
    return f"{parts[0]}/"


def room_graph() -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {room(name): set() for name in modules()}
    for name, found in file_graph().items():
        graph[room(name)] |= {room(other) for other in found} - {room(name)}
    return graph


def table() -> dict[str, set[str]]:
    """The rooms of docs/architecture.md: what each may import."""
    text = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8").split("\n## ")[0]
    rows = {}
    for row in re.findall(r"^\| (`.*?) \|.*\| (.*?) \|$", text, flags=re.MULTILINE):
        allowed = set(re.findall(r"`([^`]+)`", row[1]))
        for name in re.findall(r"`([^`]+)`", row[0]):
            rows[name] = allowed
    return rows


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The nodes of one circle, or none."""
    done: set[str] = set()

    def walk(node: str, above: list[str]) -> list[str]:
        if node in above:
            return [*above[above.index(node):], node]
        if node in done:
            return []
        for other in sorted(graph.get(node, ())):
            found = walk(other, [*above, node])
            if found:
                return found
        done.add(node)
        return []

    for node in sorted(graph):
        found = walk(node, [])
        if found:
            return found
    return []


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_every_folder_of_modules_is_a_package():
    """Else an installed package goes without it."""
    assert [str(path.parent) for path in modules().values() if not (path.parent / "__init__.py").is_file()] == []


def test_no_files_in_a_circle():
    assert circle(file_graph()) == []


def test_no_rooms_in_a_circle():
    assert circle(room_graph()) == []


def test_every_room_is_in_the_table():
    assert table().keys() == room_graph().keys()


def test_every_place_that_the_map_names_is_there():
    text = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8").split("\n## Where to put")[1]
    named = re.findall(r"`([a-z_/]+(?:/|\.py|\.json|\.md))`", text)
    assert len(named) > 8
    assert [place for place in named if not any((root / place).exists() for root in (PACKAGE, PROJECT))] == []


@pytest.mark.parametrize("name", sorted(room_graph()))
def test_a_room_imports_what_the_table_allows(name: str):
    if name != "cli/":
        missing = room_graph()[name] - table()[name] - GROUND
        assert not missing, f"{name} imports rooms that docs/architecture.md does not allow it"


def test_only_the_node_and_the_demo_import_ros():
    """The demo's player, recorder and load generator are nodes too."""
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] not in ("ros", "demo"):
            found = {name for name in imports(path) if name.split(".")[0] in ROS_PACKAGES}
            assert not found, f"{path.relative_to(PACKAGE)} imports {sorted(found)}"


def test_messages_know_no_bag():
    for path in (PACKAGE / "messages").rglob("*.py"):
        assert not {n for n in imports(path) if n.split(".")[0] == "rosbags"}, path


@pytest.mark.parametrize("path", sorted(modules()))
def test_the_library_imports_no_door(path: str):
    if room(path).rstrip("/") in DOORS:
        return
    found = {name for name in file_graph()[path] if room(name).rstrip("/") in DOORS}
    assert not found


def test_the_node_never_imports_training():
    for name, found in file_graph().items():
        if room(name) == "ros/":
            assert not {n for n in found if n.startswith(("ssma_ros.training", "ssma_ros.models"))}, name


@pytest.mark.parametrize(
    "module",
    ["ssma_ros.segmenter", "ssma_ros.inference", "ssma_ros.recordings", "ssma_ros.messages.decode",
     "ssma_ros.cli.main"],
)
def test_inference_needs_no_torch(module: str):
    """Imported in a process in which torch cannot be imported."""
    code = f"import sys; sys.modules['torch'] = None; import importlib; importlib.import_module({module!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_timm_is_imported_only_when_asked_for():
    """Nothing imports it at the top of a file: robots and training without it go on."""
    for name, path in modules().items():
        top = [node for node in ast.parse(path.read_text(encoding="utf-8")).body
               if isinstance(node, (ast.Import, ast.ImportFrom))]
        found = {alias.name for node in top for alias in node.names} | {
            node.module for node in top if isinstance(node, ast.ImportFrom)}
        assert not {n for n in found if n and n.split(".")[0] in ("timm", "torchvision")}, name
