# SPDX-License-Identifier: Apache-2.0
"""What became of every message that was read from a recording."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNUSED, _USED, _REFUSED = range(3)


@dataclass
class Reasons:
    """Reasons in words, counted by kind: two that differ in their numbers alone are of one kind."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, sentence: str, when: str = "") -> None:
        """Count one; of each kind the first is kept as it was, with the time at which it was met."""
        kind = re.sub(r"-?\d[\d.,]*", "#", sentence)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.first.setdefault(kind, f"{sentence} (at {when})" if when else sentence)

    def lines(self) -> list[str]:
        """``N: the first of its kind``, most frequent first."""
        kinds = sorted(self.counts, key=lambda kind: -self.counts[kind])
        return [f"{self.counts[kind]}: {self.first[kind]}" for kind in kinds]


@dataclass
class TopicAccount:
    """Messages of one topic.

    Attributes:
        role: what it was read for.
        name: of the topic.
        refusals: why messages could not be used.
    """

    role: str
    name: str
    states: NDArray[np.uint8]
    refusals: Reasons = field(default_factory=Reasons)

    @property
    def read(self) -> int:
        """Messages in the recording."""
        return len(self.states)

    @property
    def used(self) -> int:
        """Messages that are in some frame."""
        return int(np.count_nonzero(self.states == _USED))

    @property
    def refused(self) -> int:
        """Messages that could not be read, or contradict the driving image."""
        return int(np.count_nonzero(self.states == _REFUSED))

    @property
    def unused(self) -> int:
        """Messages that are no frame's nearest."""
        return self.read - self.used - self.refused

    def note_used(self, index: int) -> None:
        """A message went into a frame; what was refused in another frame stays refused."""
        if self.states[index] == _UNUSED:
            self.states[index] = _USED

    def note_refused(self, index: int, sentence: str, when: str) -> None:
        """A message was refused; it counts once however many frames wanted it."""
        if self.states[index] != _REFUSED:
            self.states[index] = _REFUSED
            self.refusals.add(sentence, when)

    def line(self) -> str:
        """In one line: role, topic and what became of its messages."""
        parts = [f"{self.read} read", f"{self.used} used"]
        parts += [f"{self.refused} refused"] * bool(self.refused) + [f"{self.unused} unused"] * bool(self.unused)
        return f"{self.role} {self.name}: {', '.join(parts)}"


@dataclass
class Account:
    """What became of a recording.

    Attributes:
        topics: by role.
        notes: in words, what else was not as a recorder and a driver should leave it.
        suspicions: by sensor, what looks wrong about its values.
    """

    topics: dict[str, TopicAccount] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    suspicions: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Everything, a line each, indented by what it belongs to."""
        lines = []
        for topic in self.topics.values():
            lines.append(topic.line())
            lines += [f"  refused {reason}" for reason in topic.refusals.lines()]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"suspicious: {sentence}" for sentence in self.suspicions.values()]
        return lines

    def warnings(self) -> list[str]:
        """What whoever reads only the frames should hear of."""
        refused = [f"refused {reason}" for topic in self.topics.values() for reason in topic.refusals.lines()]
        return [*refused, *self.notes, *self.suspicions.values()]


def new_topic(role: str, name: str, count: int) -> TopicAccount:
    """Of a topic with ``count`` messages, none of them used yet."""
    return TopicAccount(role, name, np.zeros(count, np.uint8))
