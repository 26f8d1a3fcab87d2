# SPDX-License-Identifier: Apache-2.0
"""``ssma bundle``: the form in which a trained model ships."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

NAME = "bundle"
HELP = "make a folder to ship from a trained model: float16 weights, contract, ONNX graph"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ssma bundle``."""
    parser.add_argument("model", type=Path, metavar="MODEL",
                        help="training run, model folder or .safetensors file that ssma train wrote")
    parser.add_argument("output", type=Path, metavar="DIR", help="folder to fill")
    parser.add_argument("--description", default="", help="one sentence for the contract (default: the model's)")


def run(args: argparse.Namespace) -> int:
    """Write the folder and say how large it is."""
    from ssma_ros.inference import locate_model
    from ssma_ros.training.bundle import write_bundle

    write_bundle(locate_model(args.model), args.output, description=args.description)
    for path in sorted(args.output.iterdir()):
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    return 0
