# SPDX-License-Identifier: Apache-2.0
"""What ``ssma`` says when an installation lacks a package that a command needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_RUN_WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from ssma_ros.cli.main import main
sys.exit(main({arguments!r}))
"""


def _run_without(package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = _RUN_WITHOUT.format(package=package, arguments=list(arguments))
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("package", ["torch", "safetensors"])
@pytest.mark.parametrize("command", ["inspect", "import-checkpoint"])
def test_missing_package_is_one_sentence(tmp_path: Path, command: str, package: str) -> None:
    model, output = tmp_path / "m.safetensors", tmp_path / "model.safetensors"
    model.write_bytes(b"")
    arguments = [command, str(model)]
    if package != "torch":
        pytest.importorskip("torch", reason="of two missing packages the first is named")
    if command == "import-checkpoint":
        arguments += ["--labels", "cityscapes11", "-o", str(output)]
    done = _run_without(package, *arguments)
    assert done.returncode == 1
    assert done.stderr == f"ssma: package {package} is not installed, try 'pip install ssma_ros[export]'\n"
    assert done.stdout == ""


def test_a_missing_dependency_of_every_installation_keeps_its_traceback(tmp_path: Path) -> None:
    model = tmp_path / "m.safetensors"
    model.write_bytes(b"")
    done = _run_without("numpy", "inspect", str(model))
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("lines", [1, 5000])
def test_a_reader_that_has_gone_is_no_traceback(lines: int) -> None:
    """Of much output it is met while printing, of little only at the end; ``| head`` in both."""
    program = (
        "import sys, types; from ssma_ros.cli import inspect, main\n"
        f"def run(args):\n    print(({'x' * 99!r} + chr(10)) * {lines})\n    return 0\n"
        "inspect.run = run\nsys.exit(main.main(['inspect', 'x']))"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait(60) == 141


def test_help_for_a_reader_that_has_gone_is_no_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ssma_ros.cli.main", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait(60) in (0, 141)  # argparse hides the error where output is not buffered


def test_another_broken_pipe_is_not_hidden(monkeypatch) -> None:
    from ssma_ros.cli import inspect
    from ssma_ros.cli.main import main

    def run(args) -> int:
        raise BrokenPipeError(32, "of a worker process")

    monkeypatch.setattr(inspect, "run", run)
    with pytest.raises(BrokenPipeError, match="of a worker"):
        main(["inspect", "x"])
