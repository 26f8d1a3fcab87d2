# SPDX-License-Identifier: Apache-2.0
"""Folders that are being filled: gone when their process ends, at the latest when the next one begins."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MARK = ".partial-"


@contextmanager
def scratch_folder(parent: Path, name: str) -> Iterator[Path]:
    """A new folder in ``parent`` that is removed at the end, by SIGTERM too, unless it was renamed.

    A killed process (SIGKILL, power) cannot remove its own: those that no process holds any more are removed first. A
    lock on the folder says who holds it, for process ids mean nothing between containers that share a folder.

    Args:
        parent: an existing folder.
        name: of what will be made.

    Raises:
        OSError: the disk refuses.
    """
    for left in parent.glob(f".*{_MARK}*"):
        _remove_if_left(left)
    path, lock = _held_folder(parent, name)
    try:
        with _termination_raises():
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _held_folder(parent: Path, name: str) -> tuple[Path, int]:
    """The folder, and the descriptor whose lock holds it."""
    while True:
        path = parent / f".{name}{_MARK}{secrets.token_hex(4)}"
        path.mkdir()
        lock = os.open(path, os.O_RDONLY)
        _lock(lock)
        if path.is_dir():
            return path, lock
        os.close(lock)  # another process took it for left over before it was locked


def _remove_if_left(path: Path) -> None:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return  # gone meanwhile, or somebody else's
    try:
        if _lock(lock):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)


def _lock(descriptor: int) -> bool:
    """Whether it is held now; False where another process holds it or the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def _termination_raises() -> Iterator[None]:
    """SIGTERM ends the process as an exit does, which cleans up; a handler that is there already stays."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
