# SPDX-License-Identifier: Apache-2.0
"""A training configuration as YAML in which every key says what it means, in the words of its declaration."""

from __future__ import annotations

import dataclasses
import textwrap
from typing import TYPE_CHECKING, Any, get_args

from ssma_ros.options import annotation_of, options_of
from ssma_ros.training.fit.config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WIDTH = 110



def annotated(document: Mapping[str, Any], notes: Mapping[str, Sequence[str]], head: Sequence[str] = ()) -> str:
    """YAML text of a configuration.

    Args:
        document: keys of a training configuration, in the order to write them.
        notes: what else is to be said of a key, a line each, by its path (``contract.streams``).
        head: lines above everything.
    """
    lines = [f"# {line}" for line in head]
    for key, value in document.items():
        lines += ["", *_entry(TrainConfig, key, value, notes, "", key)]
    return "\n".join(lines) + "\n"


def _entry(kind: Any, key: str, value: Any, notes: Mapping[str, Sequence[str]], indent: str, path: str) -> list[str]:
    """The lines of one key."""
    text = options_of(kind)[key].text if kind is not None else ""
    lines = [*_comment(text.replace("`", ""), indent), *(f"{indent}#   {note}" for note in notes.get(path, ()))]
    inner = _kind_inside(kind, key)
    if isinstance(value, dict) and value and (inner is not None or kind is TrainConfig):
        lines.append(f"{indent}{key}:")
        for name, item in value.items():
            lines += _entry(inner, name, item, notes, f"{indent}  ", f"{path}.{name}")
        return lines
    if isinstance(value, list) and value and isinstance(value[0], dict):
        lines += _meanings(inner, value, indent)
        return [*lines, f"{indent}{key}:", *(f"{indent}  - {_flow(item)}" for item in value)]
    return [*lines, f"{indent}{key}: {_flow(value)}"]


def _meanings(kind: Any, items: Sequence[Mapping[str, Any]], indent: str) -> list[str]:
    """What the keys of a list's items mean, each once."""
    if kind is None:
        return []
    names = dict.fromkeys(name for item in items for name in item)
    return [line for name in names
            for line in _comment(f"{name}: {options_of(kind)[name].text}".replace("`", ""), indent, "  ")]


def _kind_inside(kind: Any, key: str) -> Any:
    """The dataclass that a key's value, or each of a list's, is read into, or None."""
    if kind is None:
        return None
    hint = annotation_of(kind, key)
    found = [each for each in (hint, *get_args(hint)) if dataclasses.is_dataclass(each)]
    return found[0] if found else None


def _comment(text: str, indent: str, hang: str = "") -> list[str]:
    width = _WIDTH - len(indent)
    return [f"{indent}# {line}" for line in textwrap.wrap(text, width, initial_indent=hang,
                                                          subsequent_indent=hang and f"{hang}  ")]


def _flow(value: Any) -> str:
    """A value in one line of YAML."""
    import yaml

    text = str(yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000)).strip()
    return text.removesuffix("\n...").strip()
