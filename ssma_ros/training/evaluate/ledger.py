"""Tallies on disk: a comparison that was broken off goes on, and one that is repeated with one more network scores
only that one."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError
from ssma_ros.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ssma_ros.training.evaluate.contenders import Entry

_FORMAT = {"format": "ssma-tallies", "version": 1}
_SECONDS_BETWEEN_WRITES = 5.0


def entry_key(
    contender: str, entry: Entry, data: str, indices: Sequence[int], groups: Sequence[str | None] = ()
) -> str:
    """SHA-256 of everything that decides what a tally comes to.

    Args:
        contender: digest of weights and contract.
        entry: gives the case.
        data: digest of the data.
        indices: of the samples to score.
        groups: of these samples, by which a tally counts; all None is the same as none.
    """
    facts: list[Any] = [contender, list(entry.case.missing), entry.case.multi_scale, data, list(indices)]
    if any(groups):
        facts.append(list(groups))
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


class Ledger:
    """A file of tallies by key. Those of entries that nobody asks for any more are kept.

    Args:
        path: of the file; made on the first write.

    Raises:
        SsmaError: the file is something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stored: dict[str, Any] = {}
        self._last_write = 0.0
        if path.is_file():
            try:
                document = json.loads(path.read_text(encoding="utf-8"))
                if {key: document[key] for key in _FORMAT} != _FORMAT:
                    raise ValueError("another format or version")
                self._stored = dict(document["entries"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise SsmaError(f"tallies {path}: cannot be read ({error}), expected those of an earlier run") from None

    def restore(self, entries: Mapping[str, Entry]) -> None:
        """Bring every entry whose key is stored to where it was."""
        for key, entry in entries.items():
            if key in self._stored:
                entry.tally.add_document(self._stored[key]["tally"])
                entry.done = int(self._stored[key]["done"])

    def save(self, entries: Mapping[str, Entry], *, now: bool = True) -> None:
        """Write all entries, whole or not at all; unless ``now``, only if the last write is a while ago.

        Raises:
            SsmaError: the disk refuses.
        """
        if not now and time.monotonic() - self._last_write < _SECONDS_BETWEEN_WRITES:
            return
        for key, entry in entries.items():
            self._stored[key] = {"case": entry.case.name, "done": entry.done, "tally": entry.tally.to_document()}
        write_atomically(self._path, (json.dumps({**_FORMAT, "entries": self._stored}) + "\n").encode())
        self._last_write = time.monotonic()
