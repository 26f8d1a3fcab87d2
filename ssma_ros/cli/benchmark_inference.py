# SPDX-License-Identifier: Apache-2.0
"""``ssma benchmark inference``: time, memory and size of networks × sizes × backends × precisions."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    import argparse

    from ssma_ros.inference.benchmark import Case, Measurement
    from ssma_ros.inference.runtime.gpu import Gpu

NAME = "inference"
HELP = "measure networks on the backends of this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("--networks", nargs="+", metavar="NAME", help="of the table's networks (default: all)")
    parser.add_argument("--sizes", nargs="+", metavar="WxH", default=["768x384", "1024x512", "384x192"],
                        help="of the input (%(default)s)")
    parser.add_argument("--backends", nargs="+", metavar="NAME", help="only these (default: all this machine has)")
    parser.add_argument("--threads", type=int, nargs="+", default=[0], metavar="N",
                        help="of CPU backends, one measurement each (default: all cores)")
    parser.add_argument("--seconds", type=float, default=5.0, help="to go on with each measurement (%(default)s)")
    parser.add_argument("--frames", type=int, default=5, help="to measure at least (%(default)s)")
    parser.add_argument("--minutes", type=float, default=float("inf"),
                        help="begin no further measurement after so many; the rest is labelled (default: no limit)")
    parser.add_argument("--models", type=Path, default=Path("benchmark_models"), metavar="DIR",
                        help="where exported graphs are kept (%(default)s)")
    parser.add_argument("--json", type=Path, default=Path("benchmarks_inference.json"), help="results (%(default)s)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables as a page")
    parser.add_argument("--add", action="store_true", help="keep the other measurements that the results hold already")
    parser.add_argument("--note", default="", help="a sentence about the machine's state, kept with the results")


def run(args: argparse.Namespace) -> int:
    """Measure, print the tables, write the JSON and the page."""
    from tqdm import tqdm

    from ssma_ros.cli._inference_table import markdown_page, markdown_tables
    from ssma_ros.files import check_file_writable, check_writable, write_atomically, write_json
    from ssma_ros.inference.benchmark import Measurement, machine_description, measure_apart
    from ssma_ros.inference.runtime.gpu import probe_gpu

    for path in (args.json, args.markdown):
        if path is not None:
            check_file_writable(path)
    check_writable(args.models, "models")
    gpu: Gpu | None = None
    try:
        gpu = probe_gpu()
    except SsmaError as error:
        print(f"{error}; GPU columns stay empty")
    document: dict[str, Any] = {
        "machine": machine_description(), "gpu": None if gpu is None else asdict(gpu), "note": args.note,
    }
    found = _stored(args.json, document) if args.add else {}
    end = time.monotonic() + 60.0 * args.minutes
    for case in tqdm(_cases(args, gpu), unit="case", dynamic_ncols=True):
        late = time.monotonic() > end
        found[case.key] = Measurement(case, error="not run: time was up") if late else measure_apart(case)
        # After each case: hours of measurements outlive an interruption.
        document["measurements"] = [asdict(m) for m in found.values()]
        write_json(args.json, document, indent=1)
    name = gpu.name if gpu is not None else None
    print(markdown_tables(list(found.values()), name))
    if args.markdown is not None:
        page = markdown_page(list(found.values()), name, document["machine"], document["note"])
        write_atomically(args.markdown, page.encode())
    return 0


def _stored(path: Path, document: dict[str, Any]) -> dict[tuple, Measurement]:
    """The measurements that ``path`` holds, by case; none where there is no such file.

    The note of an earlier run goes over into ``document`` where this one has none.
    """
    from ssma_ros.inference.benchmark import Case, Measurement

    if not path.is_file():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        found = [Measurement(**{**entry, "case": Case(**entry["case"])}) for entry in stored["measurements"]]
        machines = [(d["machine"], (d["gpu"] or {}).get("name")) for d in (stored, document)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SsmaError(f"results {path}: cannot be added to ({error}), expected the file of an earlier run") from None
    if machines[0] != machines[1]:
        raise SsmaError(f"results {path}: were measured on {machines[0]}, expected this machine, {machines[1]}")
    document["note"] = document["note"] or stored.get("note", "")
    return {measurement.case.key: measurement for measurement in found}


def _cases(args: argparse.Namespace, gpu: Gpu | None) -> list[Case]:
    from ssma_ros.cli._size import parse_size
    from ssma_ros.inference.benchmark import CPU_CASES, GPU_CASES, NETWORKS, Case, prepare_model

    names = args.networks or list(NETWORKS)
    unknown = [n for n in names if n not in NETWORKS]
    if unknown:
        raise SsmaError(f"networks: got '{unknown[0]}', expected some of {', '.join(NETWORKS)}")
    if args.frames < 1 or min(args.threads) < 0:
        raise SsmaError(f"frames, threads: got {args.frames} and {min(args.threads)}, expected at least 1 and 0")
    kinds = [c for c in (*CPU_CASES, *(GPU_CASES if gpu else ())) if not args.backends or c[0] in args.backends]
    if not kinds:
        raise SsmaError(f"backends: got {', '.join(args.backends)}, none of which this machine can run")
    graphs = {file.split(".")[1] for _, _, file in kinds if file.count(".") == 2}
    cases: dict[tuple, Case] = {}
    sizes = [parse_size(text, 16) for text in args.sizes]
    for width, height in sizes:  # outermost: what there is no time for is all of one size
        for name in names:
            folder = prepare_model(name, width, height, args.models, sorted(graphs))
            for threads in args.threads:
                for backend, precision, file in kinds:
                    model = str(folder / file)
                    case = Case(name, width, height, backend, precision, model, threads, args.seconds, args.frames)
                    if case.on_gpu:
                        case = Case(name, width, height, backend, precision, model, 0, args.seconds, args.frames)
                    cases[case.key] = case
    return list(cases.values())
