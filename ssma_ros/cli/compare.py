# SPDX-License-Identifier: Apache-2.0
"""``ssma compare``: train several networks under one protocol and several seeds, and print one table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

NAME = "compare"
HELP = "train several networks under one protocol and several seeds, and print a table of their scores"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ssma compare``."""
    parser.add_argument("config", metavar="CONFIG", help="YAML file of a comparison, see docs/training.md")
    parser.add_argument("-o", "--output", metavar="DIR", help="folder of the runs (default: runs/<name>)")
    parser.add_argument("--data", default="", metavar="DIR",
                        help="root of the data set, instead of the configuration's")
    parser.add_argument("--cache", default="", metavar="DIR",
                        help="folder for encoded inputs, instead of the configuration's")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", help="only these, instead of the configuration's")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(args: argparse.Namespace) -> int:
    """Train what is not trained yet, score it, print and keep the table."""
    # Before OpenMP starts: spinning threads stall each other on a machine that does other work as well.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from dataclasses import replace

    from ssma_ros.files import write_atomically
    from ssma_ros.training.trained_comparison import TABLE, load_comparison, table_lines, train_and_compare

    comparison = load_comparison(args.config)
    if args.seeds:
        comparison = replace(comparison, seeds=tuple(args.seeds))
    output = Path(args.output) if args.output else Path("runs") / comparison.name
    results = train_and_compare(comparison, output, data=args.data, cache=args.cache, progress=not args.quiet)
    table = "\n".join(table_lines(comparison, results))
    write_atomically(output / TABLE, (table + "\n").encode())
    print(table)
    return 0
