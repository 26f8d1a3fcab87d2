"""What a parameter means and may be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Constraint:
    """Declared beside the field it belongs to.

    Attributes:
        text: description for ``ros2 param describe``, with the unit.
        live: whether it may be changed while the node runs; others take effect at the next configure.
        low, high: inclusive range of a number, or None.
        choices: allowed strings, or None for any.
        element: type of a list's elements.
    """

    text: str
    live: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] | None = None
    element: type = str


def parameter(default: Any, text: str, **constraint: Any) -> Any:
    """A dataclass field that is a parameter of the node."""
    return field(default=default, metadata={"constraint": Constraint(text, **constraint)})
