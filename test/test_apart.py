# SPDX-License-Identifier: Apache-2.0
"""A crash, a hang and an exception of work in a process of its own cost that process and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ssma_ros.apart import run_apart
from ssma_ros.errors import SsmaError

# What runs apart finds this file as any module on the path.
HERE = Path(__file__).parent


def add(argument, tell):
    print("this is not shown")
    return {"sum": argument["a"] + argument["b"]}


def refuse(argument, tell):
    raise SsmaError("this machine: has no such thing, expected one")


def fail(argument, tell):
    tell("half")
    raise ValueError("the first line\nand more")


def crash(argument, tell):
    tell({"done": 1})
    print("about to crash", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)


def leave(argument, tell):
    print("leaving", flush=True)
    os._exit(3)


def hang(argument, tell):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    tell({"child": child.pid})
    time.sleep(600)


def crash_while_leaving(argument, tell):
    import atexit

    atexit.register(os.abort)
    return "done"


@pytest.fixture
def call(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *filter(None, sys.path)]))
    return lambda function, limit_s=60.0: run_apart(f"test_apart:{function.__name__}", {"a": 1, "b": 2}, limit_s)


def test_a_result_comes_back(call, capfd):
    outcome = call(add)
    assert (outcome.result, outcome.error, outcome.kind) == ({"sum": 3}, "", "")
    assert outcome.seconds > 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("function", "told", "words", "kind"),
    [
        (refuse, None, "this machine: has no such thing, expected one", "SsmaError"),
        (fail, "half", "ValueError: the first line", "ValueError"),
        (crash, {"done": 1}, "crashed (SIGSEGV): about to crash", "crash"),
        (leave, None, "ended by itself with status 3: leaving", "crash"),
    ],
)
def test_what_goes_wrong_is_told(call, function, told, words, kind):
    outcome = call(function)
    assert (outcome.result, outcome.error, outcome.kind) == (told, words, kind)


def test_a_hang_is_ended_with_all_that_it_started(call):
    outcome = call(hang, limit_s=5.0)
    assert (outcome.error, outcome.kind) == ("took longer than 5 s and was ended", "timeout")
    child = outcome.result["child"]
    for _ in range(100):  # its new parent reaps it when it comes to it
        if not _alive(child):
            break
        time.sleep(0.1)
    assert not _alive(child)


def test_a_crash_after_the_work_does_not_undo_it(call):
    assert call(crash_while_leaving).result == "done"


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
