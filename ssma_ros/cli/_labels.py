# SPDX-License-Identifier: Apache-2.0
"""What the commands of ``ssma labels`` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    import argparse


def add_dataset_arguments(parser: argparse.ArgumentParser, flag: str = "") -> None:
    """The data set, its splits and its label set; ``flag`` where the data set is an option."""
    names = (flag, "--output") if flag == "-o" else (flag,)
    if flag:
        parser.add_argument(*names, dest="dataset", type=Path, required=True, metavar="DATASET",
                            help="folder with SPLIT/rgb/NAME.png")
    else:
        parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder with SPLIT/rgb/NAME.png")
    parser.add_argument("--split", action="append", default=[], metavar="NAME", help="only this split (all)")
    parser.add_argument("--labels", metavar="SET",
                        help="label set, by name or path (default: labels.json of the data set)")


def add_format_argument(parser: argparse.ArgumentParser) -> None:
    """``--format``."""
    from ssma_ros.annotation.table import FORMATS

    told = "; ".join(f"{name}: {form.title}" for name, form in FORMATS.items())
    parser.add_argument("--format", required=True, choices=tuple(FORMATS), help=told)


def renamed(entries: list[str]) -> dict[str, str]:
    """``NAME=CLASS`` entries of ``--map``.

    Raises:
        SsmaError: an entry has another form, or names a class twice.
    """
    found: dict[str, str] = {}
    for entry in entries:
        name, separator, target = entry.rpartition("=")
        if not separator or not name or not target:
            raise SsmaError(f"map '{entry}': expected NAME=CLASS")
        if name in found:
            raise SsmaError(f"map '{entry}': {name} is given twice")
        found[name] = target
    return found
