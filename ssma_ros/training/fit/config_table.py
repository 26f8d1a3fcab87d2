# SPDX-License-Identifier: Apache-2.0
"""The tables of ``docs/training_configuration.md``, written from the dataclasses that a configuration is read into.

``python -m ssma_ros.training.fit.config_table > docs/training_configuration.md``; a test compares them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ssma_ros.documents import words
from ssma_ros.options import annotation_of, options_of
from ssma_ros.training.fit.config import AugmentationConfig, DataConfig, MoreData, StageConfig, TrainConfig

_HEAD = """\
# Keys of a training configuration

A run of `ssma train` is one YAML file; `config/training/` holds examples, and [training.md](training.md) says how to
use them. A key that is not here, or stands twice, is refused, and so is a value of another type or out of range. Paths
count from the working directory. The key `base` names another configuration, relative to this file: its sections are
laid under this file's key by key, and a null takes one of its keys away.

This page is written by `python -m ssma_ros.training.fit.config_table` from the dataclasses that read the file.
"""
_SECTIONS = (
    ("The whole run", TrainConfig),
    ("`data`", DataConfig),
    ("`data.more`, a list of these", MoreData),
    ("`stages`, a list of these", StageConfig),
    ("`augmentation`", AugmentationConfig),
)


def to_markdown() -> str:
    """The whole page."""
    parts = [_HEAD]
    for title, kind in _SECTIONS:
        parts.append(f"## {title}\n\n{kind.__doc__}\n\n{options_table(kind)}")
    return "\n".join(parts)


def options_table(kind: type[Any]) -> str:
    """The Markdown table of a dataclass's options, a line each."""
    lines = ["| key | default | type | meaning |", "|---|---|---|---|"]
    declared = options_of(kind)
    for item in dataclasses.fields(kind):
        option = declared[item.name]
        reach = "" if option.choices is not None or not option.range_words else f" Range: {option.range_words}."
        name, type_words = item.name, words(annotation_of(kind, item.name)).replace("|", "\\|")
        lines.append(f"| `{name}` | {_default(item)} | {type_words} | {option.text}{reach} |")
    return "\n".join(lines) + "\n"


def _default(item: dataclasses.Field[Any]) -> str:
    value = item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
    if value is dataclasses.MISSING:
        return "required"
    if dataclasses.is_dataclass(value):
        return "see below"
    if value is None or isinstance(value, bool):
        return {None: "`null`", True: "`true`", False: "`false`"}[value]
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`" if str(value) else '`""`'


if __name__ == "__main__":
    print(to_markdown(), end="")
