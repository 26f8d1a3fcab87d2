# SPDX-License-Identifier: Apache-2.0
"""What a step of the self-test is told and what it finds, both JSON-ready."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssma_ros.apart import Tell


@dataclass(frozen=True)
class Settings:
    """What all steps share.

    Attributes:
        width, height: of the networks' inputs, pixels.
        models: folder for graphs, engines and untrained networks; what is there already is used again.
        seconds: to go on with each measurement of a network.
        rounds: timed replays of each kernel, and frames of the whole chain.
    """

    width: int
    height: int
    models: str
    seconds: float = 2.0
    rounds: int = 200


@dataclass(frozen=True)
class Figure:
    """A time in milliseconds.

    Attributes:
        name: what took it.
        median_ms, p95_ms: of many rounds.
        target_ms: what was hoped for, or None.
    """

    name: str
    median_ms: float
    p95_ms: float
    target_ms: float | None = None


class Findings:
    """Filled in by a step; everything is told as it is found, so that a later crash does not take it.

    Attributes:
        facts: words by name.
        checks: by name whether it came out right, and in words how.
        figures: times.
        measurements: of networks, as :class:`ssma_ros.inference.benchmark.Measurement`.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self.facts: dict[str, str] = {}
        self.checks: list[dict[str, Any]] = []
        self.figures: list[Figure] = []
        self.measurements: list[Mapping[str, Any]] = []

    def fact(self, name: str, value: object) -> None:
        """Something to know."""
        self.facts[name] = str(value)
        self._tell(self.document())

    def check(self, name: str, passed: bool, words: object) -> None:
        """Something that must be so."""
        self.checks.append({"name": name, "passed": bool(passed), "words": str(words)})
        self._tell(self.document())

    def figure(self, name: str, median_ms: float, p95_ms: float, target_ms: float | None = None) -> None:
        """How long something took."""
        self.figures.append(Figure(name, median_ms, p95_ms, target_ms))
        self._tell(self.document())

    def measurement(self, found: Mapping[str, Any]) -> None:
        """A network that was measured."""
        self.measurements.append(found)
        self._tell(self.document())

    def document(self) -> dict[str, Any]:
        """All of it, JSON-ready."""
        return {
            "facts": self.facts, "checks": self.checks, "figures": [asdict(figure) for figure in self.figures],
            "measurements": self.measurements,
        }
