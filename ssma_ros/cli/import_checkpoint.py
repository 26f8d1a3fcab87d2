# SPDX-License-Identifier: Apache-2.0
"""``ssma import-checkpoint``: the authors' TensorFlow checkpoints become safetensors with an input contract."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    import argparse

NAME = "import-checkpoint"
HELP = "turn a TensorFlow checkpoint of the SSMA authors into safetensors with an input contract"
_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("checkpoint", type=Path, help="prefix (model.ckpt-1000), folder or zip of a V2 checkpoint")
    parser.add_argument(
        "--labels",
        required=True,
        metavar="SET",
        help="label set it was trained on: a name, for example cityscapes11, or a .json file",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="MODEL.safetensors", help="weights file to write"
    )
    parser.add_argument(
        "--encodings",
        nargs="+",
        metavar="ENCODING",
        help="how each input is made, colour first (default: bgr, and hha for the second stream)",
    )
    parser.add_argument("--width", type=int, default=768, help="input width in pixels (default: %(default)s)")
    parser.add_argument("--height", type=int, default=384, help="input height in pixels (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Import, write, report."""
    from ssma_ros.files import check_writable
    from ssma_ros.labels import load_label_set
    from ssma_ros.models.tensorflow.import_checkpoint import import_checkpoint
    from ssma_ros.models.weights import save_model

    if args.output.suffix != ".safetensors":
        raise SsmaError(f"output {args.output}: expected a name that ends in .safetensors")
    check_writable(args.output.parent, "folder")
    if args.output.is_dir():
        raise SsmaError(f"output {args.output}: is a folder, expected the name of a file")
    labels = load_label_set(args.labels)
    imported = import_checkpoint(
        args.checkpoint, labels, encodings=args.encodings, width=args.width, height=args.height
    )
    try:
        save_model(imported.network, imported.contract, args.output)
    except OSError as error:
        raise SsmaError(f"output {args.output}: cannot be written ({error})") from None
    contract = args.output.with_name(args.output.stem + ".contract.json")
    streams = ", ".join(f"{s.name} ({s.encoding})" for s in imported.contract.streams)
    print(f"{imported.network.name} with inputs {streams} and {labels.num_classes} classes of '{labels.name}'")
    print(f"{imported.used} variables used, {imported.training_only} of the optimiser left out")
    if imported.unused:
        more = ", …" if len(imported.unused) > _SHOWN else ""
        print(f"{len(imported.unused)} variables not used: {', '.join(imported.unused[:_SHOWN])}{more}")
    print(f"wrote {args.output} and {contract}")
    return 0
