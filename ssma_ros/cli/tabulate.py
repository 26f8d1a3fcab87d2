# SPDX-License-Identifier: Apache-2.0
"""``ssma tabulate``: several networks on the same data, in one table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ssma_ros.training.evaluate.networks import TrainedNetwork

NAME = "tabulate"
HELP = "score several networks under every condition and with each sensor missing, in one table"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ssma tabulate``."""
    from ssma_ros.cli._evaluation_source import add_source_arguments

    parser.add_argument("models", nargs="+", metavar="[NAME=]MODEL",
                        help="model folders, .safetensors files or names of shipped models, each with a name for the "
                             "table where its own does not do")
    add_source_arguments(parser)
    parser.add_argument("--msf", action="append", default=[], metavar="NAME",
                        help="also with flips and several scales (slow); may be given again")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR",
                        help="folder of the report; started again with it, the command goes on where it was stopped "
                             "and scores only what is new")


def run(args: argparse.Namespace) -> int:
    """Score, write the report, print the first table."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from ssma_ros.cli._evaluation_source import EvaluationSource, set_threads
    from ssma_ros.folders import WholeFolder
    from ssma_ros.training.evaluate.ledger import LEDGER_NAME, Ledger
    from ssma_ros.training.evaluate.render import table_lines, write_report
    from ssma_ros.training.evaluate.report import comparison_report
    from ssma_ros.training.evaluate.run import EvaluationRun
    from ssma_ros.training.evaluate.score import cases_of

    set_threads(args)
    networks = _open_networks(args.models)
    _check_names(networks, args.msf)
    source = EvaluationSource(args, networks)
    # Refuses what is no earlier comparison, or what is to be read; it is filled in place, so that a run can go on.
    WholeFolder(args.output, what="report", replace_if=LEDGER_NAME, source=[args.source, *(n.path for n in networks)])
    evaluation = EvaluationRun(
        networks, source.open, cases=[cases_of(n.contract, multi_scale=n.name in args.msf) for n in networks],
        limit=args.limit, ledger=Ledger(args.output / LEDGER_NAME), data=source.digest(),
    )
    args.output.mkdir(parents=True, exist_ok=True)
    evaluation.run("" if args.quiet else "samples")
    report = comparison_report(evaluation, source.facts())
    write_report(args.output, report)
    print("\n".join(table_lines(report.tables[0])))
    for remark in evaluation.remarks():
        print(remark)
    print(f"report: {args.output}")
    return 0


def _open_networks(texts: list[str]) -> list[TrainedNetwork]:
    from ssma_ros.inference import locate_model
    from ssma_ros.training.evaluate.networks import TrainedNetwork

    networks = []
    for text in texts:
        name, separator, model = text.partition("=")
        if Path(text).exists() or not (separator and name):
            name, model = "", text
        networks.append(TrainedNetwork(locate_model(model), name))
    return networks


def _check_names(networks: list[TrainedNetwork], wanted: list[str]) -> None:
    from ssma_ros.errors import SsmaError

    names = [network.name for network in networks]
    for name in names:
        if names.count(name) > 1:
            raise SsmaError(f"tabulate: two networks are called '{name}', expected distinct names; give NAME=MODEL")
    for name in wanted:
        if name not in names:
            raise SsmaError(f"tabulate: --msf names '{name}', expected one of {', '.join(names)}")
