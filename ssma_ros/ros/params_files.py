# SPDX-License-Identifier: Apache-2.0
"""Parameter files that have nothing for this node: rcl reads them and passes over them in silence."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_OF_NODE = "ros__parameters"


def files_for_others(arguments: Sequence[str], name: str) -> list[str]:
    """One sentence for each parameter file among the arguments whose nodes are all others than this one.

    Args:
        arguments: of the process; ``--params-file FILE`` counts.
        name: fully qualified, of this node.
    """
    import yaml  # where there is ROS, it is there

    sentences = []
    files = [after for word, after in pairwise(arguments) if word == "--params-file"]
    for file in files:
        try:
            content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue  # rcl has said so, or can read what PyYAML cannot
        nodes = [node for node, _ in _nodes(content, "")]
        if nodes and not any(_fits(node, name) for node in nodes):
            sentences.append(
                f"params file {file}: it has parameters for {', '.join(nodes)}, of which none is this node, so all are "
                f"ignored, expected the key {name} or /**"
            )
    return sentences


def parameters_for(content: Any, name: str) -> dict[str, Any]:
    """The parameters that a node gets from the content of a parameter file: those of patterns, then those of its name.

    Args:
        content: of the YAML file.
        name: fully qualified, of the node.
    """
    fitting = {node: values for node, values in _nodes(content, "") if _fits(node, name) and isinstance(values, dict)}
    found: dict[str, Any] = {}
    for node in sorted(fitting, key=lambda node: "*" not in node):
        found |= fitting[node]
    return found


def _nodes(content: Any, above: str) -> Iterator[tuple[str, Any]]:
    """Nodes that a file has parameters for, as they are written, namespaces before them; with the parameters."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key == _OF_NODE:
                yield above or "/", value
            else:
                yield from _nodes(value, f"{above}/{str(key).strip('/')}")


def _fits(pattern: str, name: str) -> bool:
    """``*`` stands for one part of a name, ``**`` for any number of them."""
    words = {"**": r"(?:/[^/]+)*", "*": r"/[^/]+"}
    expression = "".join(words.get(part, f"/{re.escape(part)}") for part in pattern.strip("/").split("/"))
    return re.fullmatch(expression, name) is not None
