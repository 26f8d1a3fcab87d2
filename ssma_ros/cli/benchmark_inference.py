"""``ssma benchmark inference``: time, memory and size of networks × sizes × backends × precisions."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ssma_ros.inference.benchmark import Case, Measurement
    from ssma_ros.inference.gpu import Gpu

NAME = "inference"
HELP = "measure networks on the backends of this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("--networks", nargs="+", metavar="NAME", help="of the table's networks (default: all)")
    parser.add_argument("--sizes", nargs="+", metavar="WxH", default=["768x384", "1024x512", "384x192"],
                        help="of the input (%(default)s)")
    parser.add_argument("--backends", nargs="+", metavar="NAME", help="only these (default: all this machine has)")
    parser.add_argument("--threads", type=int, default=0, help="of CPU backends (default: all cores)")
    parser.add_argument("--seconds", type=float, default=5.0, help="to go on with each measurement (%(default)s)")
    parser.add_argument("--models", type=Path, default=Path("benchmark_models"), metavar="DIR",
                        help="where exported graphs are kept (%(default)s)")
    parser.add_argument("--json", type=Path, default=Path("benchmarks_inference.json"), help="results (%(default)s)")
    parser.add_argument("--note", default="", help="a sentence about the machine's state, kept with the results")


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, write the JSON."""
    from tqdm import tqdm

    from ssma_ros.inference.benchmark import machine_description, measure_apart
    from ssma_ros.inference.files import write_atomically
    from ssma_ros.inference.gpu import probe_gpu

    gpu: Gpu | None = None
    try:
        gpu = probe_gpu()
    except SsmaError as error:
        print(f"{error}; GPU columns stay empty")
    found: list[Measurement] = []
    for case in tqdm(_cases(args, gpu), unit="case", dynamic_ncols=True):
        found.append(measure_apart(case))
        # After each case: hours of measurements outlive an interruption.
        document = {
            "machine": machine_description(),
            "gpu": None if gpu is None else asdict(gpu),
            "note": args.note,
            "measurements": [asdict(m) for m in found],
        }
        write_atomically(args.json, (json.dumps(document, indent=1) + "\n").encode())
    print(markdown_table(found, gpu.name if gpu is not None else None))
    return 0


def _cases(args: argparse.Namespace, gpu: Gpu | None) -> list[Case]:
    from ssma_ros.inference.benchmark import CPU_CASES, GPU_CASES, NETWORKS, Case, prepare_model

    names = args.networks or list(NETWORKS)
    unknown = [n for n in names if n not in NETWORKS]
    if unknown:
        raise SsmaError(f"networks: got '{unknown[0]}', expected some of {', '.join(NETWORKS)}")
    kinds = [c for c in (*CPU_CASES, *(GPU_CASES if gpu else ())) if not args.backends or c[0] in args.backends]
    if not kinds:
        raise SsmaError(f"backends: got {', '.join(args.backends)}, none of which this machine can run")
    graphs = {file.split(".")[1] for _, _, file in kinds if file.count(".") == 2}
    cases = []
    for name in names:
        for width, height in map(_size, args.sizes):
            folder = prepare_model(name, width, height, args.models, sorted(graphs))
            cases += [
                Case(name, width, height, backend, precision, str(folder / file), args.threads, args.seconds)
                for backend, precision, file in kinds
            ]
    return cases


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()) or int(width) % 16 or int(height) % 16:
        raise SsmaError(f"sizes: got '{text}', expected WIDTHxHEIGHT, multiples of 16")
    return int(width), int(height)


def markdown_table(found: Sequence[Measurement], gpu: str | None) -> str:
    """The measurements as a Markdown table; without a GPU its column is there, labelled and empty."""
    gpu_title = f"GPU ({gpu}) ms" if gpu else "GPU ms (not run: no GPU at hand)"
    lines = [
        f"| network | size | backend | precision | CPU network ms (median / p95) | {gpu_title} "
        "| whole call ms (median / p95) | processor ms | memory MB | file MB | load s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for m in found:
        case = m.case
        head = f"| {case.network} | {case.width}×{case.height} | {case.backend} | {case.precision} "
        if m.error:
            lines.append(f"{head}| – | | {m.error} | | | | |")
            continue
        time_text = f"{m.device_ms:.1f} / {m.device_p95_ms:.1f}"
        on_gpu = ":" in case.backend or case.backend == "tensorrt"
        columns = f"| | {time_text} " if on_gpu else f"| {time_text} | "
        lines.append(
            f"{head}{columns}| {m.call_ms:.1f} / {m.call_p95_ms:.1f} | {m.processor_ms:.1f} | {m.memory_mb:.0f} "
            f"| {m.file_mb:.1f} | {m.load_s:.1f} |"
        )
    return "\n".join(lines)
