# SPDX-License-Identifier: Apache-2.0
"""Work in a process of its own, whose crash or hang costs only itself and what it had not told yet."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError
from ssma_ros.files import write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    #: What a function that runs apart tells of itself before it is over; each call replaces what was told before.
    Tell = Callable[[Any], None]

_PROGRAM = "import sys; from ssma_ros.apart import main; main(*sys.argv[1:])"


_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Outcome:
    """What became of a call.

    Attributes:
        result: what the function returned; of one that did not come to its end what it told last, or None.
        error: why it did not come to its end, in words, or "".
        kind: class of the exception that ended it; ``timeout`` or ``crash`` where none did; or "".
        seconds: that the process took.
    """

    result: Any
    error: str
    kind: str
    seconds: float


def run_apart(function: str, argument: Mapping[str, Any], limit_s: float) -> Outcome:
    """Call a function in a process of its own.

    The process has a session of its own: at the limit, at its end and at an interruption here all processes that it
    started end with it. What it prints is not shown; its last line tells of a crash.

    Args:
        function: ``package.module:name``, called as ``name(argument, tell)``; see :data:`Tell`. Argument and results
            are JSON-ready.
        argument: for it.
        limit_s: seconds after which it is killed.
    """
    with tempfile.TemporaryDirectory(prefix="ssma_apart_") as name:
        folder = Path(name)
        write_json(folder / "argument.json", dict(argument))
        start = time.monotonic()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, function, str(folder)], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True, preexec_fn=die_with_parent,
            )
            try:
                status = process.wait(limit_s)
                late = False
            except subprocess.TimeoutExpired:
                late = True
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                status = process.wait()
        seconds = time.monotonic() - start
        told = _read(folder / "told.json")
        ending = _read(folder / "ending.json")
        if late:
            return Outcome(told, f"took longer than {limit_s:.0f} s and was ended", "timeout", seconds)
        if ending is None:
            return Outcome(told, _crash(status, folder / "log"), "crash", seconds)
        return Outcome(ending.get("result", told), ending.get("error", ""), ending.get("kind", ""), seconds)


def die_with_parent() -> None:
    """In a child, before it becomes its program: have Linux kill it when its parent goes."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def main(function: str, folder: str) -> None:
    """What the process runs."""
    where = Path(folder)
    module, _, name = function.partition(":")
    argument = json.loads((where / "argument.json").read_text(encoding="utf-8"))
    try:
        work = getattr(importlib.import_module(module), name)
        ending = {"result": work(argument, lambda document: write_json(where / "told.json", document))}
    except SsmaError as error:
        ending = {"error": str(error), "kind": type(error).__name__}
    except Exception as error:
        traceback.print_exc()
        first = str(error).partition("\n")[0]
        ending = {"error": f"{type(error).__name__}: {first}", "kind": type(error).__name__}
    write_json(where / "ending.json", ending)
    # Whatever hangs or crashes while libraries are unloaded does not undo the work.
    sys.stdout.flush()
    os._exit(0)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _crash(status: int, log: Path) -> str:
    """The way a process ended that left no ending, with the last line of what it printed."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    words = f": {lines[-1]}" if lines else ""
    if status >= 0:
        return f"ended by itself with status {status}{words}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"crashed ({name}){words}"
