"""``ssma evaluate``: score a network on labelled data, with every sensor and with each one missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ssma_ros.contract import Contract
    from ssma_ros.training.cache import Samples
    from ssma_ros.training.report import CaseResult

NAME = "evaluate"
HELP = "score a network on a labelled data set or recording and write a report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ssma evaluate``."""
    parser.add_argument("model", metavar="MODEL", help="model folder, .safetensors file or name of a shipped model")
    parser.add_argument("source", type=Path, metavar="SOURCE",
                        help="root of a data set, or a rosbag2 recording with labels")
    parser.add_argument("--kind", default="folder", help="layout of the data set (%(default)s)")
    parser.add_argument("--split", default="val", help="split of the data set (%(default)s)")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR",
                        help="write a report with pictures into this folder")
    parser.add_argument("--limit", type=int, default=0, metavar="N",
                        help="score at most N samples, spread evenly (0 = all)")
    parser.add_argument("--msf", action="store_true", help="also with flips and several scales (slow)")
    parser.add_argument("--calibrate", action="store_true",
                        help="fit the temperature on this data and store it in the model's contract")
    parser.add_argument("--cache", default="", metavar="DIR", help="keep encoded inputs here")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(args: argparse.Namespace) -> int:
    """Evaluate, print a table, write the report."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from dataclasses import replace

    from ssma_ros.contract import contract_path_for, save_contract
    from ssma_ros.folders import WholeFolder
    from ssma_ros.inference import locate_model
    from ssma_ros.inference.loading import WEIGHTS_NAME
    from ssma_ros.models import load_model
    from ssma_ros.training.calibration import fit_temperature
    from ssma_ros.training.report import write_report
    from ssma_ros.training.run_log import versions
    from ssma_ros.training.scoring import sample_pictures, score_all_cases

    path = locate_model(args.model)
    network = load_model(path)
    contract = network.contract
    assert contract is not None  # load_model sets it
    samples = _open(args, contract)
    progress = not args.quiet
    if args.calibrate:
        temperature = fit_temperature(
            network, contract, samples, limit=args.limit, progress="calibration" if progress else ""
        )
        contract = replace(contract, temperature=round(temperature, 4))
        save_contract(contract, contract_path_for(path / WEIGHTS_NAME if path.is_dir() else path))
        print(f"temperature {contract.temperature} stored; export the network again, its graph holds the old one")
    results = score_all_cases(
        network, contract, samples, multi_scale=args.msf, limit=args.limit, progress=progress
    )
    for result in results:
        print(_line(result))
    if args.output is not None:
        facts = {"model": args.model, "data": str(args.source), "split": args.split,
                 "temperature": contract.temperature, **versions()}
        with WholeFolder(args.output, what="report", replace_if="report.json") as folder:
            write_report(folder, facts, results, sample_pictures(network, contract, samples))
        print(f"report: {args.output}")
    return 0


def _line(result: CaseResult) -> str:
    classes = "  ".join(f"{n} {100 * (v or 0):.1f}" for n, v in result.scores["iou"].items())
    miou = 100 * (result.scores["miou"] or 0)
    return f"{result.name:18} mIoU {miou:.1f}  ECE {100 * result.ece:.1f}  ({classes})"


def _open(args: argparse.Namespace, contract: Contract) -> Samples:
    source: Path = args.source
    if source.is_file() or (source / "metadata.yaml").is_file():
        from ssma_ros.cli._labelled_recording import RecordingSamples

        return RecordingSamples(source, contract)
    from ssma_ros.training.cache import open_samples
    from ssma_ros.training.datasets import open_dataset

    dataset = open_dataset(args.kind, source, args.split, contract.labels)
    return open_samples(dataset, contract, args.cache, progress=not args.quiet)
