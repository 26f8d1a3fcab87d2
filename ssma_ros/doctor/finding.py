# SPDX-License-Identifier: Apache-2.0
"""One thing that is not as it should be: what was seen, what to do, and the lines that do it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    S = TypeVar("S")

#: ``error``: an input does not get into the network, gets there wrong, or nothing runs. ``warning``: it works, and
#: something is lost or doubtful. ``note``: good to know.
Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        severity: see :data:`Severity`.
        about: an input (``depth``), or the part of the installation or of the graph.
        seen: in words, with numbers.
        todo: in words, what mends it.
        parameters: of the node, as they go into its parameter file.
        remaps: topic names of the node before remapping, and what they are to be remapped to.
        shell: lines for a shell.
        part: ``installation``, ``model``, ``graph`` or ``recording``; filled in by :func:`run_checks`.
        check: name of the check that found it; filled in as well.
    """

    severity: Severity
    about: str
    seen: str
    todo: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    remaps: Mapping[str, str] = field(default_factory=dict)
    shell: tuple[str, ...] = ()
    part: str = ""
    check: str = ""


def run_checks(checks: Iterable[Callable[[S], Iterable[Finding]]], seen: S, part: str) -> list[Finding]:
    """Every finding of a table of checks about what was seen."""
    return [replace(found, part=part, check=check.__name__) for check in checks for found in check(seen)]


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first, of equals those about one thing together, else in their order."""
    findings = list(findings)
    things = list(dict.fromkeys(found.about for found in findings))
    return sorted(findings, key=lambda found: (SEVERITIES.index(found.severity), things.index(found.about)))
