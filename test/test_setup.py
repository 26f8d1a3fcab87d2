# SPDX-License-Identifier: Apache-2.0
"""The build description, run the way colcon runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


def test_setup_reads_its_own_folder_through_a_link(tmp_path: Path) -> None:
    """`colcon build --symlink-install` runs a link to setup.py in a folder without README.md and launch files."""
    pytest.importorskip("setuptools")
    (tmp_path / "setup.py").symlink_to(PROJECT / "setup.py")
    (tmp_path / "ssma_ros").symlink_to(PROJECT / "ssma_ros")
    code = (
        "import setuptools, runpy\n"
        "said = {}\n"
        "setuptools.setup = lambda **arguments: said.update(arguments)\n"
        "runpy.run_path('setup.py', run_name='__main__')\n"
        "print(sorted(path for _, files in said['data_files'] for path in files))\n"
        "print(len(said['long_description']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    files, length = done.stdout.splitlines()
    for path in ("launch/fusion.launch.py", "config/fusion.yaml", "demo/forest_drive/forest_drive.mcap", "package.xml"):
        assert repr(path) in files
    assert int(length) == len((PROJECT / "README.md").read_text(encoding="utf-8"))
