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
    parser.add_argument("--samples", type=int, nargs="+", metavar="N",
                        help="only with these numbers of labelled images, 0 = all, instead of the configuration's")
    parser.add_argument("--held-out", type=int, default=0, metavar="N",
                        help="score N training images, which are then not trained on, instead of the validation split: "
                             "to choose by")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(args: argparse.Namespace) -> int:
    """Train what is not trained yet, score it, print and keep the table."""
    # Before OpenMP starts: spinning threads stall each other on a machine that does other work as well.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from dataclasses import replace

    from ssma_ros.errors import SsmaError
    from ssma_ros.files import write_atomically, write_picture
    from ssma_ros.training.trained_comparison import (
        CURVE,
        TABLE,
        checked_configs,
        curve,
        curve_lines,
        load_comparison,
        table_lines,
        train_and_compare,
    )

    comparison = load_comparison(args.config)
    counts = tuple(args.samples or comparison.samples)
    if args.held_out < 0 or min(counts) < 0:
        raise SsmaError(f"got --held-out {args.held_out} and --samples {counts}, expected numbers from 0 up")
    comparison = replace(
        comparison, seeds=tuple(args.seeds or comparison.seeds), samples=counts, held_out=args.held_out
    )
    output = Path(args.output) if args.output else Path("runs") / comparison.name
    parts = comparison.parts(output)
    for part, folder in parts.values():
        checked_configs(part, folder, data=args.data, cache=args.cache)
    results = {}
    lines = []
    for count, (part, folder) in parts.items():
        results[count] = train_and_compare(part, folder, data=args.data, cache=args.cache, progress=not args.quiet)
        table = table_lines(part, results[count])
        write_atomically(folder / TABLE, ("\n".join(table) + "\n").encode())
        lines = table
    if len(results) > 1:
        lines = curve_lines(comparison, results)
        write_atomically(output / TABLE, ("\n".join(lines) + "\n").encode())
        write_picture(output / CURVE, curve(comparison, results))
    print("\n".join(lines))
    return 0
