# SPDX-License-Identifier: Apache-2.0
"""``ssma evaluate``: score a network on labelled data, with every sensor and with each one missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ssma_ros.cli._evaluation_source import EvaluationSource
    from ssma_ros.training.evaluate.calibration import CalibrationFit
    from ssma_ros.training.evaluate.networks import TrainedNetwork
    from ssma_ros.training.evaluate.observers import Against
    from ssma_ros.training.evaluate.run import EvaluationRun
    from ssma_ros.training.evaluate.score import CaseResult

NAME = "evaluate"
HELP = "score a network on a labelled data set or recording and write a report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ssma evaluate``."""
    from ssma_ros.cli._evaluation_source import add_source_arguments
    from ssma_ros.cli._spread import add_spread_arguments

    parser.add_argument("model", metavar="MODEL",
                        help="training run, model folder, .safetensors file or name of a shipped model")
    add_source_arguments(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="DIR",
                        help="write a report with pictures into this folder")
    parser.add_argument("--against", metavar="MODEL",
                        help="also map what MODEL, for example a unimodal one, gets right and this network wrong, and "
                             "the reverse")
    parser.add_argument("--msf", action="store_true", help="also with flips and several scales (slow)")
    parser.add_argument("--calibrate", nargs="?", const="temperature", choices=("temperature", "vector"),
                        metavar="KIND", help="fit a calibration on this data and store it in the model's contract: "
                        "temperature (default; keeps the mask) or vector (by class; may change the mask)")
    add_spread_arguments(parser, "parts of the samples")
    parser.add_argument("--pictures", type=int, default=4, metavar="N", help="in the report (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Evaluate, print a table, write the report."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from ssma_ros.cli._evaluation_parts import run_in_parts
    from ssma_ros.cli._evaluation_source import EvaluationSource, set_threads
    from ssma_ros.errors import SsmaError
    from ssma_ros.files import check_writable
    from ssma_ros.folders import WholeFolder
    from ssma_ros.inference import locate_model
    from ssma_ros.training.evaluate.networks import TrainedNetwork
    from ssma_ros.training.evaluate.observers import Against, SamplePictures
    from ssma_ros.training.evaluate.render import JSON_NAME, write_report
    from ssma_ros.training.evaluate.report import evaluation_report
    from ssma_ros.training.evaluate.run import EvaluationRun
    from ssma_ros.training.evaluate.score import ALL_SENSORS, cases_of

    set_threads(args)
    side_by_side = bool(args.ray) or args.processes != 1
    if side_by_side and args.against is not None:
        raise SsmaError("processes: two networks are compared picture by picture, expected no --processes and no --ray "
                        "with --against")
    networks = [TrainedNetwork(locate_model(name)) for name in (args.model, args.against) if name is not None]
    # Before the long work: the place of the report is free, and holds neither a model nor the data.
    output = None if args.output is None else WholeFolder(
        args.output, what="report", replace_if=JSON_NAME, source=[args.source, *(n.path for n in networks)]
    )
    if args.calibrate is not None:
        check_writable(networks[0].weights.parent, "calibration: the contract in")
    source = EvaluationSource(args, networks)
    fit = None if args.calibrate is None else _calibrate(args, networks[0], source)
    cases = [cases_of(networks[0].contract, multi_scale=args.msf), *([ALL_SENSORS] for _ in networks[1:])]
    evaluation = EvaluationRun(networks, source.open, cases=cases, limit=args.limit)
    pictures = SamplePictures(networks[0], evaluation.spread(0 if output is None else args.pictures))
    against = Against(networks, pictures) if len(networks) > 1 else None
    if side_by_side:
        run_in_parts(evaluation, args)
        evaluation.show(pictures.shown, [pictures])
    else:
        evaluation.run("" if args.quiet else "evaluation", [pictures] if against is None else [pictures, against])
    _print_scores(evaluation, against, args.against)
    if output is not None:
        facts = {"model": args.model, **({} if args.against is None else {"against": args.against}), **source.facts()}
        report = evaluation_report(evaluation, facts, fit=fit, against=against, pictures=pictures.drawn)
        with output as folder:
            write_report(folder, report)
        print(f"report: {args.output}")
    return 0


def _calibrate(args: argparse.Namespace, network: TrainedNetwork, source: EvaluationSource) -> CalibrationFit:
    """Fit, store in the contract beside the weights, say what it does."""
    from ssma_ros.contract import contract_path_for, save_contract
    from ssma_ros.training.evaluate.calibration import fit_calibration

    contract = network.contract
    fit = fit_calibration(args.calibrate, network.network, contract, source.open(contract), limit=args.limit,
                          progress="" if args.quiet else "calibration")
    save_contract(fit.contract, contract_path_for(network.weights))
    network.use_contract(fit.contract)
    print(f"{args.calibrate} scaling stored: ECE {100 * fit.before.ece:.1f} -> {100 * fit.after.ece:.1f} %"
          + ("" if fit.held_out is None else f" ({100 * fit.held_out.ece:.1f} % held out)")
          + f", mIoU {100 * fit.before.miou:.1f} -> {100 * fit.after.miou:.1f} %, "
          f"{100 * fit.changed:.2f} % of the pixels change class")
    if fit.at_bound:
        print(fit.remark())
    print("export the network again: a graph made before holds the old calibration")
    return fit


def _print_scores(evaluation: EvaluationRun, against: Against | None, other: str) -> None:
    from ssma_ros.training.evaluate.render import table_lines
    from ssma_ros.training.evaluate.tables import group_tables

    results = evaluation.results(evaluation.networks[0])
    for result in results.values():
        print(_line(result))
    for remark in evaluation.remarks():
        print(remark)
    for table in group_tables(results):
        print("\n".join(["", *table_lines(table), ""]))
    if against is not None:
        found = against.improvement.to_document()
        print(f"against {other}: mIoU {100 * (found['miou_difference'] or 0):+.1f}, "
              f"gained {100 * (found['all']['gained'] or 0):.1f} % of the pixels, "
              f"lost {100 * (found['all']['lost'] or 0):.1f} %")


def _line(result: CaseResult) -> str:
    """One case in percent; – where there is nothing to score, which is not a score of 0."""
    from ssma_ros.training.evaluate.render import percent

    classes = "  ".join(f"{name} {percent(value)}" for name, value in result.scores["iou"].items())
    return f"{result.name:18} mIoU {percent(result.scores['miou'])}  ECE {percent(result.ece)}  ({classes})"
