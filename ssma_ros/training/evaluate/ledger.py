# SPDX-License-Identifier: Apache-2.0
"""Scores on disk: an evaluation that was broken off goes on, and one that is repeated with one more network scores only
that one."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError
from ssma_ros.files import write_atomically
from ssma_ros.training.evaluate.score import Score

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ssma_ros.training.evaluate.networks import TrainedNetwork
    from ssma_ros.training.evaluate.score import Case

LEDGER_NAME = "tallies.json"
_FORMAT = {"format": "ssma-tallies", "version": 1}
_SECONDS_BETWEEN_WRITES = 5.0


@dataclass
class Row:
    """One network in one case.

    Attributes:
        network, case: which.
        score: so far.
        done: how many of the chosen samples were looked at.
    """

    network: TrainedNetwork
    case: Case
    score: Score = field(init=False)
    done: int = 0

    def __post_init__(self) -> None:
        self.score = Score(self.network.contract, self.case)


def row_key(row: Row, data: str, indices: Sequence[int], groups: Sequence[str | None] = ()) -> str:
    """SHA-256 of everything that decides what a row comes to.

    Args:
        row: gives network and case.
        data: digest of the data.
        indices: of the samples to score.
        groups: of these samples, by which scores are counted; all None is the same as none.
    """
    case = row.case
    facts: list[Any] = [row.network.digest(), list(case.missing), case.multi_scale, data, list(indices)]
    if any(groups):
        facts.append(list(groups))
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


class Ledger:
    """A file of scores. Those of rows that nobody asks for any more are kept.

    Args:
        path: of the file; made on the first write.

    Raises:
        SsmaError: the file is something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stored: dict[str, Any] = {}
        self._rows: dict[str, Row] = {}
        self._last_write = 0.0
        if path.is_file():
            try:
                document = json.loads(path.read_text(encoding="utf-8"))
                if {key: document[key] for key in _FORMAT} != _FORMAT:
                    raise ValueError("another format or version")
                self._stored = dict(document["entries"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise SsmaError(f"tallies {path}: cannot be read ({error}), expected those of an earlier run") from None

    def open(self, rows: Sequence[Row], data: str, indices: Sequence[int], groups: Sequence[str | None] = ()) -> None:
        """Keep these rows from now on, and bring those that are stored to where they were; see :func:`row_key`."""
        for row in rows:
            key = row_key(row, data, indices, groups)
            while key in self._rows:  # the same weights under another name: a row of their own
                key += " again"
            self._rows[key] = row
            if "there" in self._stored.get(key, {}).get("tally", {}):  # else of a version that did not count streams
                row.score.add_document(self._stored[key]["tally"])
                row.done = int(self._stored[key]["done"])

    def save(self, *, now: bool = True) -> None:
        """Write all rows, whole or not at all; unless ``now``, only if the last write is a while ago.

        Raises:
            SsmaError: the disk refuses.
        """
        if not now and time.monotonic() - self._last_write < _SECONDS_BETWEEN_WRITES:
            return
        for key, row in self._rows.items():
            self._stored[key] = {"case": row.case.name, "done": row.done, "tally": row.score.to_document()}
        write_atomically(self._path, (json.dumps({**_FORMAT, "entries": self._stored}) + "\n").encode())
        self._last_write = time.monotonic()
