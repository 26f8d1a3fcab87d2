# SPDX-License-Identifier: Apache-2.0
"""Child processes that speak one JSON object a line, watched together: what any of them says or its end is an event."""

from __future__ import annotations

import contextlib
import json
import queue
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from ssma_ros.apart import die_with_parent
from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

#: Seconds a process has after each of SIGINT and SIGTERM before the next, harder signal.
GRACE_S = 5.0
_LAST_LINES = 4
#: A line that a ROS node logged as its failure, and what it says.
_FAILURE = re.compile(r"\[(?:ERROR|FATAL)\] \[[\d.]+\] \[[^]]*\]: (.+)")


@dataclass(eq=False)
class Child:
    """One process of a group.

    Attributes:
        name: what to call it in messages.
        process: the process itself.
        log: file with its stderr (and stdout where it does not speak events).
        expected_to_end: its end is no failure any more.
        listener: thread that turns its output into events.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    expected_to_end: bool = False
    listener: threading.Thread | None = None

    def tell(self, line: str) -> None:
        """Write one line to its standard input; a process that has ended does not mind."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()

    def last_words(self) -> str:
        """Its reason where its log ends with one, else the last lines of the log, in one line."""
        written = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        lines = [line for line in map(str.strip, written) if line]
        if lines and (failure := _FAILURE.fullmatch(lines[-1])):
            return failure[1]
        return " | ".join(lines[-_LAST_LINES:]) or "it logged nothing"


@dataclass(frozen=True)
class Event:
    """Something a child said, or (``name`` "end") that it ended.

    Attributes:
        child: who.
        name: value of the object's ``event`` key.
        data: the whole object; of "end" the ``status``.
    """

    child: Child
    name: str
    data: Mapping[str, Any]


class ProcessGroup:
    """Children started together and reaped together, whatever happens; a context manager.

    Each child gets a session of its own, so that Ctrl-C reaches only this process, which then ends them in
    order; and on Linux the kernel ends them should this process be killed.

    Args:
        environment: of all children.
        logs: folder for their log files.
    """

    def __init__(self, environment: Mapping[str, str], logs: Path) -> None:
        self._environment = dict(environment)
        self._logs = logs
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.children: list[Child] = []

    def __enter__(self) -> ProcessGroup:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], *, speaks_events: bool = True) -> Child:
        """Start a process; with ``speaks_events`` its standard output is read as JSON lines."""
        log = self._logs / f"{name}.log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if speaks_events else stderr,
                stderr=stderr,
                env=self._environment,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        child = Child(name, process, log)
        self.children.append(child)
        thread = threading.Thread(target=self._listen, args=(child,), name=f"listen to {name}", daemon=True)
        thread.start()
        child.listener = thread
        return child

    def wait_for(
        self, wanted: Mapping[Child, str], timeout_s: float, on_event: Callable[[Event], None] | None = None
    ) -> dict[str, Mapping[str, Any]]:
        """Wait until each of ``wanted`` has said its event ("end": has ended well).

        Args:
            wanted: event name by child.
            timeout_s: seconds without any event at all before giving up.
            on_event: is shown every other event.

        Returns:
            The events' data by child name.

        Raises:
            SsmaError: a child ended unexpectedly or with an error, or nothing was heard in time.
        """
        heard: dict[str, Mapping[str, Any]] = {}
        missing = dict(wanted)
        while missing:
            try:
                event = self._events.get(timeout=timeout_s)
            except queue.Empty:
                raise self._silence(missing, timeout_s) from None
            if missing.get(event.child) == event.name and not (event.name == "end" and event.data["status"] != 0):
                heard[event.child.name] = event.data
                del missing[event.child]
            elif event.name == "error":
                raise SsmaError(str(event.data["message"]))
            elif event.name == "end" and not event.child.expected_to_end:
                ending = _status_words(event.data["status"])
                raise SsmaError(f"the {event.child.name} ended with {ending}: {event.child.last_words()}")
            elif on_event is not None:
                on_event(event)
        return heard

    def stop(self) -> None:
        """End all children: politely, then firmly. Idempotent."""
        running = [c for c in self.children if c.process.poll() is None]
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            for child in running:
                child.expected_to_end = True
                with contextlib.suppress(ProcessLookupError):
                    child.process.send_signal(number)
            running = _still_running(running, GRACE_S)
            if not running:
                break
        for child in self.children:
            if child.listener is not None:
                child.listener.join()
            for pipe in (child.process.stdin, child.process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def _silence(self, missing: Mapping[Child, str], timeout_s: float) -> SsmaError:
        waiting = "; ".join(f"the {child.name} for '{name}': {child.last_words()}" for child, name in missing.items())
        return SsmaError(f"nothing heard for {timeout_s:.0f} s while waiting on {waiting}")

    def _listen(self, child: Child) -> None:
        if child.process.stdout is not None:
            for data in _objects(child.process.stdout):
                self._events.put(Event(child, str(data.get("event", "")), data))
        self._events.put(Event(child, "end", {"status": child.process.wait()}))


def _objects(stream: IO[bytes]) -> Iterator[dict[str, Any]]:
    """JSON objects of a stream's lines; other lines are somebody's stray print and are passed over."""
    for line in stream:
        try:
            data = json.loads(line)
        except ValueError:
            continue
        if isinstance(data, dict):
            yield data


def _still_running(children: list[Child], within_s: float) -> list[Child]:
    """Those that have not ended ``within_s`` seconds from now."""
    deadline = time.monotonic() + within_s
    running = []
    for child in children:
        try:
            child.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            running.append(child)
    return running


def _status_words(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"
