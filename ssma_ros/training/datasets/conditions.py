# SPDX-License-Identifier: Apache-2.0
"""Conditions of a rendered split: which scene was taken in which season, light or weather."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssma_ros.documents import convert, load_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: In the split's folder, written by ``ssma synthesize``: {"0000017": "lens_dirt", ...}.
CONDITIONS_NAME = "conditions.json"


def read_conditions(split: Path) -> Mapping[str, str]:
    """Scene → condition from the split's conditions.json; empty where there is none.

    Raises:
        SsmaError: the file is something else.
    """
    path = split / CONDITIONS_NAME
    if not path.is_file():
        return {}
    document: Mapping[str, str] = convert(
        dict[str, str], load_json(path, "conditions"), f"conditions {path}", "the document"
    )
    return document


def scene_of(name: str) -> str:
    """What a sample's name begins with: all before the last underscore, or all of it."""
    return name.rpartition("_")[0] or name
