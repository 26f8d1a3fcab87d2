# SPDX-License-Identifier: Apache-2.0
"""``ssma verify``: a graph or an engine against float32, on real frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.cli._data import add_data_arguments
from ssma_ros.errors import SsmaError
from ssma_ros.options import add_options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ssma_ros.cli._frames import EncodedFrame
    from ssma_ros.contract import Contract
    from ssma_ros.inference.runtime.protocol import Backend

NAME = "verify"
HELP = "compare a graph or an engine with float32 on real frames; fails below a threshold"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    from ssma_ros.inference.loading import ModelOptions

    parser.add_argument("model",
                        help="engine, ONNX graph, weights, model folder, training run or shipped model to verify")
    parser.add_argument("--frames", type=Path, required=True, metavar="SOURCE",
                        help="recording, or data set split ROOT/SPLIT (then the mIoU of both is told, too)")
    add_data_arguments(parser)
    parser.add_argument("--count", type=int, default=16, help="frames at most (%(default)s)")
    parser.add_argument("--reference", type=Path,
                        help="training run, weights or fp32 ONNX graph (default: those beside the model)")
    add_options(parser, ModelOptions, "backend", "precision", "threads")
    parser.add_argument("--threshold", type=float,
                        help="least share of pixels of equal class (default: 0.9999 fp32, 0.999 fp16, 0.995 bf16, "
                             "0.99 int8)")
    parser.add_argument("--layers", action="store_true",
                        help="ONNX graphs only: also list the layers that differ most on the first frame")


def run(args: argparse.Namespace) -> int:
    """Compare and report.

    Raises:
        SsmaError: too few pixels agree, or something needed is missing.
    """
    from ssma_ros.cli._frames import checked_frames, require_source
    from ssma_ros.inference import find_model, load_backend
    from ssma_ros.inference.build.verify import threshold_for, verify

    path = find_model(args.model, backend=args.backend, precision=args.precision)
    reference_path = _reference_beside(path) if args.reference is None else args.reference
    reference_path = find_model(reference_path, backend="onnxruntime" if reference_path.suffix == ".onnx" else "torch")
    require_source(args.frames)
    if args.layers and (path.suffix != ".onnx" or reference_path.suffix != ".onnx"):
        raise SsmaError(f"verify: --layers compares ONNX graphs, got {path.name} and {reference_path.name}")
    candidate = load_backend(path, backend=args.backend, precision=args.precision, threads=args.threads)
    reference = _load_reference(reference_path, args.threads)
    frames = checked_frames(args, candidate.contract, args.frames, args.count)
    result = verify(candidate, reference, [(frame.inputs, frame.present) for frame in frames])
    threshold = threshold_for(candidate.identity) if args.threshold is None else args.threshold
    for role, backend in (("model", candidate), ("reference", reference)):
        identity = backend.identity
        print(f"{role + ':':10} {identity['model']} ({identity['backend']}, {identity['precision']})")
    print(f"frames:    {result.frames} from {args.frames}")
    worst = 100 * result.worst_frame[1]
    print(f"classes:   {100 * result.agreement:.3f} % of pixels agree, {worst:.3f} % in the worst frame")
    print(f"probable:  mean difference {result.mean_difference / 255:.5f}, largest {result.max_difference / 255:.3f}")
    print(f"gates:     largest difference {result.max_gate_difference:.4f}")
    _print_miou(candidate, reference, frames)
    if args.layers:
        _print_layers(reference_path, path, frames[0], candidate.contract)
    candidate.close()
    reference.close()
    if result.agreement < threshold:
        precision = candidate.identity["precision"]
        raise SsmaError(
            f"verify: {100 * result.agreement:.3f} % of pixels agree with float32, expected at least "
            f"{100 * threshold:.3f} % for {precision}{_next_steps(precision)}"
        )
    print(f"passed:    at least {100 * threshold:.3f} % expected")
    return 0


def _next_steps(precision: str) -> str:
    """What may help a graph that was made with 'ssma export' and agrees too little."""
    if precision == "bf16":
        return ("; 'ssma verify --precision fp32' shows whether the graph is right and bf16 alone costs this, as it "
                "does in a network that has learnt little")
    if not precision.startswith("int8"):
        return ""
    return (
        "; calibrate with more, more varied frames ('ssma export --calibration SOURCE --frames N'), leave the layers "
        "that differ most ('ssma verify --layers') in float ('ssma export --keep-float LAYER'), or use fp16 (GPUs) or "
        "the fp32 graph, which runs in bf16 where the processor has it"
    )


def _reference_beside(path: Path) -> Path:
    """The float32 graph or weights in the same folder or in the run's, by the names that export and training write."""
    own, run = path.with_suffix(".onnx"), path.with_name("model")
    weights = "weights.safetensors"
    places = dict.fromkeys((own, path.with_name("model.onnx"), path.with_name(weights), run / weights))
    places.pop(path, None)
    for candidate in places:
        if candidate.is_file():
            return candidate
    names = ", ".join(str(place.relative_to(path.parent)) for place in places)
    raise SsmaError(f"verify: no float32 graph or weights beside {path} (looked for {names}), expected --reference "
                    "with the training run, the weights or the fp32 .onnx that it was made from")


def _load_reference(path: Path, threads: int) -> Backend:
    from ssma_ros.inference import load_backend

    if path.suffix == ".onnx":
        backend = load_backend(path, backend="onnxruntime", threads=threads)
        if backend.identity["precision"] != "fp32":
            raise SsmaError(f"verify: reference {path} is a {backend.identity['precision']} graph, expected fp32")
        return backend
    return load_backend(path, backend="torch", precision="fp32", threads=threads)


def _print_miou(candidate: Backend, reference: Backend, frames: Sequence[EncodedFrame]) -> None:
    from ssma_ros.metrics import ConfusionMatrix

    labels = candidate.contract.labels
    values = []
    for backend in (candidate, reference):
        counts = ConfusionMatrix(labels.num_classes, labels.ignore_id, labels.void_class)
        for frame in frames:
            if frame.label is None:
                return
            counts.update(backend.infer(frame.inputs, frame.present).mask, frame.label)
        values.append(100 * counts.miou())
    print(f"mIoU:      {values[0]:.2f} against {values[1]:.2f} ({values[0] - values[1]:+.2f})")


def _print_layers(reference: Path, path: Path, frame: EncodedFrame, contract: Contract) -> None:
    from ssma_ros.inference.build.layer_check import compare_layers

    layers = compare_layers(reference, path, frame.feed(contract))
    print(f"layers:    {len(layers)} compared; the ten that differ most (RMS over the tensor's spread):")
    for layer in sorted(layers, key=lambda item: -item.relative_rms)[:10]:
        print(f"  {layer.relative_rms:9.2e}  largest value {layer.largest:9.3g}  {layer.operator:13} {layer.name}")
