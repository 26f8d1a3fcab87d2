# SPDX-License-Identifier: Apache-2.0
"""What the commands of ``ssma labels`` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    import argparse

    from ssma_ros.annotation.painting import Names
    from ssma_ros.labels import LabelSet


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


def network_names(args: argparse.Namespace, labels: LabelSet | None) -> Names:
    """What the classes of ``args.model`` are in a data set, looked at before the network is loaded.

    Args:
        args: with ``model``, ``map`` and ``min_confidence``; ``backend`` and ``precision`` where the command has them.
        labels: of the data set, None = those of the network.

    Raises:
        SsmaError: no such network, none of its classes fits, or an impossible confidence.
    """
    from ssma_ros.annotation.painting import Names
    from ssma_ros.annotation.prelabel import class_table
    from ssma_ros.contract import contract_path_for, load_contract
    from ssma_ros.inference import find_model

    if not 0.0 <= args.min_confidence <= 1.0:
        raise SsmaError(f"min-confidence is {args.min_confidence:g}, expected 0 to 1")
    how = {name: getattr(args, name) for name in ("backend", "precision") if hasattr(args, name)}
    network = load_contract(contract_path_for(find_model(args.model, **how))).labels
    names = Names(network if labels is None else labels, renamed(args.map))
    class_table(network, names)
    return names
