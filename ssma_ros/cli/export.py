# SPDX-License-Identifier: Apache-2.0
"""``ssma export``: a trained network, frozen into the ONNX graph that every backend runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssma_ros.cli._data import add_data_arguments
from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    import argparse

    from ssma_ros.contract import Contract

NAME = "export"
HELP = "freeze a network into an ONNX graph, or convert such a graph to another precision"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("model", type=Path,
                        help="weights (.safetensors), model folder, training run, or an fp32 .onnx to convert")
    parser.add_argument("-o", "--output", type=Path, required=True, help="ONNX file to write")
    parser.add_argument("--precision", default="fp32", metavar="P",
                        help="fp32, fp16, int8 (for processors) or int8-fp16 (for GPUs) (%(default)s)")
    parser.add_argument("--calibration", type=Path, metavar="SOURCE",
                        help="recording or data set split (ROOT/SPLIT) with real frames, needed for int8")
    parser.add_argument("--frames", type=int, default=32, help="calibration frames at most (%(default)s)")
    add_data_arguments(parser)
    parser.add_argument("--keep-float", nargs="+", default=[], metavar="LAYER",
                        help="int8 only: layers that stay float, by the names that 'ssma verify --layers' prints")
    parser.add_argument("--compress-weights", action="store_true",
                        help="store float32 weights as float16: half the file, computation unchanged")


def run(args: argparse.Namespace) -> int:
    """Export or convert, and say what came out."""
    from ssma_ros.cli._frames import require_source
    from ssma_ros.files import check_file_writable
    from ssma_ros.inference.runtime.onnx_file import META_PRECISION, read_onnx_facts

    if args.output.suffix != ".onnx":
        raise SsmaError(f"export: output is {args.output}, expected a name that ends in .onnx")
    if args.keep_float and not args.precision.startswith("int8"):
        raise SsmaError(f"export: --keep-float is for int8, got precision {args.precision}")
    if args.precision.startswith("int8") and args.calibration is None:
        raise SsmaError(f"export: precision {args.precision} needs real frames, expected --calibration SOURCE")
    check_file_writable(args.output)
    if args.calibration is not None:
        require_source(args.calibration)
    if args.model.suffix == ".onnx":
        _convert(args)
    else:
        _export(args)
    facts = read_onnx_facts(args.output)
    size = args.output.stat().st_size / 1e6
    print(f"{args.output}: {size:.1f} MB, opset {facts.opset}, {facts.metadata[META_PRECISION]}")
    for name, tensor in {**facts.inputs, **facts.outputs}.items():
        print(f"  {'input ' if name in facts.inputs else 'output'} {name} {tensor}")
    return 0


def _export(args: argparse.Namespace) -> None:
    try:
        from ssma_ros.inference import locate_model
        from ssma_ros.inference.build.export import export_onnx
        from ssma_ros.models import load_model
    except ImportError as error:
        raise SsmaError(f"export: package {error.name} is not installed, try 'pip install ssma_ros[train]'") from None
    network = load_model(locate_model(args.model))
    assert network.contract is not None  # load_model sets it
    export_onnx(
        network,
        network.contract,
        args.output,
        precision=args.precision,
        calibration=_calibration(args, network.contract),
        compress_weights=args.compress_weights,
        keep=args.keep_float,
    )


def _convert(args: argparse.Namespace) -> None:
    from ssma_ros.inference.runtime.fit import load_checked_contract

    contract, _ = load_checked_contract(args.model)
    try:
        from ssma_ros.inference.build.conversion import convert_file
    except ImportError as error:
        raise SsmaError(f"export: package {error.name} is not installed, try 'pip install onnx-ir onnx'") from None
    convert_file(args.model, args.output, args.precision, _calibration(args, contract), keep=args.keep_float)


def _calibration(args: argparse.Namespace, contract: Contract) -> list[dict[str, Any]]:
    if args.calibration is None:
        return []
    from ssma_ros.cli._frames import checked_frames

    return [frame.feed(contract) for frame in checked_frames(args, contract, args.calibration, args.frames)]
