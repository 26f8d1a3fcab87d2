# SPDX-License-Identifier: Apache-2.0
"""``ssma prune``: make a trained network smaller, stage by stage."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

NAME = "prune"
HELP = "make a trained network smaller: take out the feature maps that it needs least, train on, in stages"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ssma prune``."""
    parser.add_argument("model", metavar="RUN", help="training run, model folder, or name of a shipped model")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder of the pruning")
    parser.add_argument("--stages", required=True, metavar="CONFIG",
                        help="YAML file, see config/pruning/ and docs/pruning.md")
    parser.add_argument("--data", metavar="DIR", help="root of the data set, instead of the training configuration's")
    parser.add_argument("--cache", metavar="DIR", help="folder for encoded inputs, instead of the configuration's")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(args: argparse.Namespace) -> int:
    """Prune; prints the table and where the result is."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from dataclasses import replace

    from ssma_ros.errors import SsmaError
    from ssma_ros.training.pruning.config import load_prune_config
    from ssma_ros.training.pruning.report import TABLE
    from ssma_ros.training.pruning.run import Pruning, training_of

    config = load_prune_config(args.stages)
    training = training_of(args.model, config)
    given = {key: value for key, value in (("root", args.data), ("cache", args.cache)) if value is not None}
    training = replace(training, data=replace(training.data, **given))
    if not training.data.root:
        raise SsmaError("prune: the training configuration's data.root is empty, expected a folder; give --data DIR")
    folder = Pruning(args.model, config, training, args.output, progress=not args.quiet).run()
    print((args.output / TABLE).read_text(encoding="utf-8"))
    print(f"weights and contract: {folder}")
    return 0
