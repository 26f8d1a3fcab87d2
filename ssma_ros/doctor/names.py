# SPDX-License-Identifier: Apache-2.0
"""Topic names as rcl expands and remaps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Names:
    """How the node calls its topics in the graph.

    Attributes:
        node: its name.
        namespace: begins with a slash.
        remaps: (from, to), the first one that fits counts.
    """

    node: str = "ssma_fusion"
    namespace: str = "/"
    remaps: tuple[tuple[str, str], ...] = ()

    @property
    def full(self) -> str:
        """The node's full name."""
        return f"{self.namespace.rstrip('/')}/{self.node}"

    def expanded(self, name: str) -> str:
        """An absolute name: relative ones lie in the namespace, private ones (``~/``) below the node."""
        if name.startswith("/"):
            return name
        if name.startswith("~"):
            return f"{self.full}/{name.lstrip('~/')}"
        return f"{self.namespace.rstrip('/')}/{name}"

    def resolved(self, name: str) -> str:
        """What a topic is called after remapping."""
        full = self.expanded(name)
        return next((self.expanded(to) for start, to in self.remaps if self.expanded(start) == full), full)


def read_names(assignments: Sequence[str], namespace: str | None = None) -> Names:
    """Names by the remappings of a command line (``FROM:=TO``, ``__ns:=/N``, ``__node:=NAME``, or for one node alone
    ``NODE:FROM:=TO``, which counts if it is this one).

    Raises:
        SsmaError: one has no ``:=``, or nothing on a side of it.
    """
    node, rules = "ssma_fusion", []
    for assignment in assignments:
        start, separator, to = assignment.partition(":=")
        if not separator or not start or not to:
            raise SsmaError(f"remapping '{assignment}', expected FROM:=TO")
        rules.append((start, to))
    for start, to in rules:
        if start in ("__node", "__name"):
            node = to
        elif start == "__ns":
            namespace = to
    found = Names(node, f"/{(namespace or '').strip('/')}")
    own = [(start.rpartition(":")[2], to) for start, to in rules if start.partition(":")[0] == node or ":" not in start]
    return Names(node, found.namespace, tuple((start, to) for start, to in own if not start.startswith("__")))
