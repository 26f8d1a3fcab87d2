# SPDX-License-Identifier: Apache-2.0
"""Nothing is left of half a cache, however its process ends, and nobody's work is taken for left over."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ssma_ros.training.datasets.scratch import scratch_folder

FILLS_FOR_EVER = """
import sys, threading
from pathlib import Path
from ssma_ros.training.datasets.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1]), "val") as folder:
    (folder / "rgb.npy").write_bytes(bytes(1000))
    print("begun", flush=True)
    while True:
        threading.Event().wait(0.05)
"""


def begin(folder: Path) -> subprocess.Popen[str]:
    """A process that has begun to fill a folder in ``folder``."""
    command = [sys.executable, "-c", FILLS_FOR_EVER, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def end(process: subprocess.Popen[str], number: int) -> int:
    process.send_signal(number)
    process.communicate(timeout=60)
    return process.returncode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_told_to_end_leaves_nothing(tmp_path: Path, number: int) -> None:
    process = begin(tmp_path)
    assert [p.name for p in tmp_path.glob(".val.partial-*/*")] == ["rgb.npy"]
    assert end(process, number) != 0
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_goes_when_the_next_begins_and_what_a_living_one_fills_stays(tmp_path: Path) -> None:
    living, killed = begin(tmp_path), begin(tmp_path)
    end(killed, signal.SIGKILL)
    assert len(list(tmp_path.iterdir())) == 2
    with scratch_folder(tmp_path, "train") as folder:
        assert sorted(p.name.split("-")[0] for p in tmp_path.iterdir()) == [".train.partial", ".val.partial"]
        with scratch_folder(tmp_path, "train") as second:
            assert folder.is_dir()
            assert second != folder
    assert [p.name for p in tmp_path.glob(".val.partial-*/*")] == ["rgb.npy"]
    end(living, signal.SIGTERM)
    assert not list(tmp_path.iterdir())


def test_a_handler_of_the_caller_stays(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with scratch_folder(tmp_path, "val"):
            assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)
