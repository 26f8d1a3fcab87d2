# SPDX-License-Identifier: Apache-2.0
"""A result folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError
from ssma_ros.files import check_writable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType


def refuse_replacing(path: Path, sources: Sequence[str | Path], what: str) -> None:
    """Refuse a result ``path`` that is one of its inputs or holds it.

    Raises:
        SsmaError: names the input; ``what`` is how to call the result.
    """
    for each in sources:
        origin, target = Path(each).resolve(), path.resolve()
        if target in (origin, *origin.parents):
            raise SsmaError(f"{what} {path}: is or holds the input {each} and would replace it, expected another place")


class WholeFolder:
    """A folder filled under a hidden name and moved to ``path`` at the end; a context manager.

    Entering gives the folder to fill. Leaving well moves it into place (replacing an older one, which is
    deleted only afterwards); leaving with any exception, Ctrl-C among them, removes it and whatever parent
    folders were made for it.

    Args:
        path: where the result shall be.
        what: how to call it in messages.
        replace_if: an existing non-empty folder is replaced only if it holds a file of this name, which
            says that it is an earlier result and not somebody's data; None = never.
        remedy: what else to do about an earlier result, for messages, such as ", or --overwrite".
        source: what the result is made from, one or several; a ``path`` that is it or holds it is refused, since
            replacing it would destroy the source.

    Raises:
        SsmaError: ``path`` exists and may not be replaced, holds a source, or may not be written to; or, later, the
            disk refuses.
    """

    def __init__(
        self, path: str | Path, *, what: str, replace_if: str | None = None, remedy: str = "",
        source: str | Path | Sequence[str | Path] | None = None,
    ) -> None:
        self.path = Path(path)
        self._what = what
        self._replace_if = replace_if
        self._remedy = remedy
        refuse_replacing(self.path, [source] if isinstance(source, (str, Path)) else source or (), what)
        self._scratch: Path | None = None
        self._made_parents: list[Path] = []
        self._check()
        check_writable(self.path.absolute().parent, what)

    def _check(self) -> None:
        if not (self.path.exists() or self.path.is_symlink()):
            return
        if self.path.is_dir() and not self.path.is_symlink():
            if not any(self.path.iterdir()):
                return
            if self._replace_if is not None and (self.path / self._replace_if).is_file():
                return
        hint = "" if self._replace_if is None else f" (only an earlier {self._what} is replaced)"
        raise SsmaError(f"{self._what} {self.path}: exists already, expected a new name{self._remedy}{hint}")

    def __enter__(self) -> Path:
        try:
            self._make_parents()
            parent = self.path.resolve().parent
            self._scratch = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.partial-", dir=parent))
            folder = self._scratch / self.path.name
            folder.mkdir()
        except BaseException as error:
            self._clean_up(done=False)
            if isinstance(error, OSError):
                raise SsmaError(f"{self._what} {self.path}: cannot be made ({error.strerror})") from error
            raise
        return folder

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        done = False
        try:
            if kind is None:
                self._move_into_place()
                done = True
        except OSError as problem:
            raise SsmaError(f"{self._what} {self.path}: cannot be put in place ({problem.strerror})") from problem
        finally:
            self._clean_up(done=done)

    def _make_parents(self) -> None:
        missing = [p for p in self.path.resolve().parents if not p.exists()]
        for parent in reversed(missing):
            parent.mkdir()
            self._made_parents.append(parent)

    def _move_into_place(self) -> None:
        assert self._scratch is not None
        self._check()  # somebody may have made the folder meanwhile
        older = self._scratch / "older"
        if self.path.exists():
            os.replace(self.path, older)
        try:
            os.replace(self._scratch / self.path.name, self.path)
        except BaseException:
            if older.exists():
                os.replace(older, self.path)
            raise

    def _clean_up(self, *, done: bool) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None
        if not done:
            for parent in reversed(self._made_parents):
                parent.rmdir()
        self._made_parents.clear()
