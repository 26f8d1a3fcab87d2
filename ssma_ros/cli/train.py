# SPDX-License-Identifier: Apache-2.0
"""``ssma train``: train a network as one configuration file says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

NAME = "train"
HELP = "train a network as a configuration file says; started again, it goes on where it was stopped"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ssma train``."""
    parser.add_argument("config", metavar="CONFIG", help="YAML file, see config/training/ and docs/training.md")
    parser.add_argument("-o", "--output", metavar="DIR", help="folder of the run (default: runs/<name>)")
    parser.add_argument("--data", metavar="DIR", help="root of the data set, instead of the configuration's")
    parser.add_argument("--cache", metavar="DIR", help="folder for encoded inputs, instead of the configuration's")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(args: argparse.Namespace) -> int:
    """Train; prints where the result is."""
    # Before OpenMP starts: spinning threads stall each other on a machine that does other work as well.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from dataclasses import replace

    from ssma_ros.errors import SsmaError
    from ssma_ros.training.fit.config import load_config
    from ssma_ros.training.fit.launch import distributed_processes, train

    config = load_config(args.config)
    data = replace(
        config.data,
        root=args.data if args.data is not None else config.data.root,
        cache=args.cache if args.cache is not None else config.data.cache,
    )
    if not data.root:
        raise SsmaError(f"training configuration {args.config}: data.root is empty, expected a folder; give --data DIR")
    output = Path(args.output) if args.output else Path("runs") / config.name
    with distributed_processes(config):
        folder = train(replace(config, data=data), output, progress=not args.quiet)
    print(f"weights and contract: {folder}")
    return 0
