# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from ssma_ros.errors import SsmaError
from ssma_ros.synthetic import gl


def run_command(tmp_path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ssma_ros.cli.main", "synthesize", "--out", str(tmp_path / "set"), "--scenes", "1"]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, timeout=120)


def test_unknown_backend_ends_in_one_sentence(tmp_path):
    if importlib.util.find_spec("mujoco") is None:  # importing it wants OpenGL
        pytest.skip("needs mujoco: pip install 'ssma_ros[synthetic]'")
    done = run_command(tmp_path, MUJOCO_GL="none-such")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ssma: synthetic world: no off-screen OpenGL through MUJOCO_GL=none-such")
    assert "Traceback" not in done.stderr


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: int) -> None:
        raise ImportError("libOSMesa.so: cannot open shared object file")

    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setattr(gl, "load_mujoco", lambda: SimpleNamespace(GLContext=refuse))
    with pytest.raises(SsmaError, match=r"libOSMesa\.so.*apt install libosmesa6"):
        gl.create_context(8, 8)
