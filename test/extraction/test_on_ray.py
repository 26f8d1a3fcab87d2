# SPDX-License-Identifier: Apache-2.0
"""Extraction and play on a Ray that the command starts itself give what they give in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from recordings.small_recording import write_small_recording

from ssma_ros.cli.main import main
from ssma_ros.parallel import LOCAL

pytestmark = pytest.mark.slow


def files_of(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_cluster_writes_the_same_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ray = pytest.importorskip("ray", reason="pip install ssma_ros[ray]")
    drives = [str(write_small_recording(tmp_path / name, frames=3, shift_ns=shift * 10**9))
              for shift, name in enumerate("ab")]
    for name, how in (("here", []), ("there", ["--ray", LOCAL])):
        assert main(["extract", *drives, "-o", str(tmp_path / name), "--every", "0", "--quiet", *how]) == 0
    assert not ray.is_initialized()
    assert files_of(tmp_path / "here") == files_of(tmp_path / "there")
    # What is refused on the cluster is the same sentence as here.
    assert main(["play", drives[0], "-o", str(tmp_path / "out"), "--topic", "color:=none", "--topic", "nir:=none",
                 "--topic", "depth:=none", "--ray", LOCAL]) == 1
    assert "no image topic left to segment" in capsys.readouterr().err
