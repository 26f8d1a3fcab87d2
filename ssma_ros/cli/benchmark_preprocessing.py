# SPDX-License-Identifier: Apache-2.0
"""``ssma benchmark preprocessing``: depth completion, HHA and registration beside the reference, the steps plainly."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.cli._size import parse_size
from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ssma_ros.frame import Intrinsics
    from ssma_ros.kernels.shared.measure import Timing

NAME = "preprocessing"
HELP = "measure depth completion and HHA on this machine, beside a plain reference"
FUNCTIONS = ("fill_fast", "fill_multiscale", "encode_hha")
#: Measured where it is asked for: of a near infrared image of 1280x800 from 12 cm beside.
REGISTRATION = "register_image"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("--functions", nargs="+", choices=(*FUNCTIONS, REGISTRATION), default=list(FUNCTIONS),
                        metavar="NAME", help=f"of %(choices)s (%(default)s); {REGISTRATION} has one thread")
    parser.add_argument("--sizes", nargs="+", metavar="WxH", default=["640x480", "768x384", "1242x375", "1280x720"],
                        help="of the depth image (%(default)s)")
    parser.add_argument("--inputs", nargs="+", choices=("stereo", "lidar", "dense"), default=["stereo", "lidar"],
                        metavar="KIND", help="of %(choices)s (%(default)s); HHA takes them completed")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N",
                        help="bands worked on at once (%(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="pairs of runs; a fifth of it for HHA (%(default)s)")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall",
                        help="cpu: the calling thread's own time, for one thread on a busy machine (%(default)s)")
    parser.add_argument("--gpu", action="store_true", help="the CUDA kernels instead, on this machine's GPU (pycuda)")
    parser.add_argument("--json", type=Path, default=Path("benchmarks_preprocessing.json"),
                        help="results (%(default)s)")
    parser.add_argument("--note", default="", help="a sentence about the machine's state, kept with the results")


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, write the JSON."""
    import cv2
    from tqdm import tqdm

    from ssma_ros.encodings.warm_up import warm_up
    from ssma_ros.files import check_file_writable, write_json
    from ssma_ros.inference.benchmark import machine_description
    from ssma_ros.kernels.backend import compiled_modules

    check_file_writable(args.json)
    sizes = [parse_size(text) for text in args.sizes]
    if args.gpu:
        return _run_on_gpu(args, sizes)
    if args.rounds < 1 or min(args.threads) < 1:
        raise SsmaError(f"rounds {args.rounds}, threads {args.threads}: expected whole numbers of at least 1")
    if args.clock == "cpu" and args.threads != [1]:
        raise SsmaError("clock cpu sees the calling thread alone: expected --threads 1")
    cv2.setNumThreads(1)  # the reference is compared on one thread
    first = warm_up(64, 48)
    found: list[Timing] = []
    cases = [(f, kind, size) for f in args.functions for kind in args.inputs for size in sizes]
    for function, kind, (width, height) in tqdm(cases, unit="case", dynamic_ncols=True):
        found += _measure(function, kind, width, height, args.threads, args.rounds, args.clock)
    document = {
        "machine": machine_description(),
        "implementation": "compiled" if compiled_modules() else "plain",
        "opencv": cv2.__version__,
        "clock": args.clock,
        "note": args.note,
        "warm_up_s": first,
        "measurements": [asdict(t) for t in found],
    }
    write_json(args.json, document, indent=1)
    print(f"first use: {first:.1f} s to compile or load the kernels")
    print(markdown_table(found))
    return 0


def _run_on_gpu(args: argparse.Namespace, sizes: Sequence[tuple[int, int]]) -> int:
    from ssma_ros.files import write_json
    from ssma_ros.inference.runtime.gpu import probe_gpu
    from ssma_ros.kernels.cuda.device import own_device
    from ssma_ros.kernels.cuda.measure import measure

    gpu = probe_gpu().name
    with own_device() as device:
        found = [timing for width, height in sizes for timing in measure(device, width, height, gpu)]
    document = {"note": args.note, "measurements": [asdict(t) for t in found]}
    write_json(args.json, document, indent=1)
    print("| function | size | GPU | median ms | p95 ms |\n|---|---|---|---|---|")
    for t in found:
        print(f"| {t.function} | {t.width}×{t.height} | {t.gpu} | {t.median_ms:.3f} | {t.p95_ms:.3f} |")
    return 0


def _measure(
    function: str, kind: str, width: int, height: int, threads: Sequence[int], rounds: int, clock: str,
) -> list[Timing]:
    import cv2
    import numpy as np

    from ssma_ros.encodings import depth_completion, hha
    from ssma_ros.kernels.reference import fill as plain_fill
    from ssma_ros.kernels.reference.hha import HHAPass
    from ssma_ros.kernels.shared.measure import compare, direct_window_sum, made_depth

    depth, k = made_depth(kind, width, height)
    if function == REGISTRATION:
        depth = depth_completion.keep_readings(depth_completion.fill_fast(depth))
        return [compare(*_registration(depth, k), None, rounds, clock, (function, kind, width, height, 1))]
    own: Callable[[int], NDArray]
    compared = None
    if function == "encode_hha":
        missing = depth == 0
        depth = depth_completion.fill_multiscale(depth, extrapolate=True) if kind != "dense" else depth
        readings = cv2.boxFilter((~missing).astype(np.float32), -1, (7, 7), normalize=False, borderType=0)
        compared = (readings < 0.5) | (readings > 7.5)  # with 1 to 7 readings a window carries no plane
        image = np.empty((height, width, 3), np.uint8)
        own = lambda n: hha.encode_hha(depth, k, missing=missing, threads=n, out=image)  # noqa: E731
        rounds = max(2, rounds // 5)
        plain_image = np.empty_like(image)

        def plain() -> NDArray:
            # With the sums of the public programs, where nearly all of their time goes.
            hha.encode_published(HHAPass(depth, missing, k, direct_window_sum), plain_image)
            return plain_image
    else:
        out = np.empty_like(depth)
        fill = getattr(depth_completion, function)
        own = lambda n: fill(depth, threads=n, out=out)  # noqa: E731
        plain_out = np.empty_like(depth)

        def plain() -> NDArray:
            getattr(plain_fill, function)(depth, 100.0, False, "bilateral", plain_out)
            return plain_out
    return [
        compare(
            lambda n=n: own(n),  # type: ignore[misc]
            plain, compared, rounds, clock, (function, kind, width, height, n),
        )
        for n in threads
    ]


def _registration(depth: NDArray, k: Intrinsics) -> tuple[Callable[[], NDArray], Callable[[], NDArray]]:
    """Registering a near infrared image through ``depth``, compiled and plain."""
    import numpy as np

    from ssma_ros.frame import Camera, Intrinsics
    from ssma_ros.kernels.reference import registration as plain
    from ssma_ros.kernels.shared.projection import view
    from ssma_ros.registration import INFINITY, register_image

    camera = Camera(Intrinsics(760.0, 760.0, 639.5, 399.5, 1280, 800), translation=(0.12, 0.0, 0.0))
    image = np.random.default_rng(0).integers(0, 256, (800, 1280), np.uint8)
    how = view(k, camera, INFINITY)
    buffer = np.zeros(how.buffer[::-1], np.float32)
    out, hole, reference, plain_hole = (np.empty(depth.shape, np.uint8) for _ in range(4))

    def own() -> NDArray:
        return register_image(image, camera, depth, k, assumed=INFINITY, out=out, hole=hole)[0]

    def plainly() -> NDArray:
        buffer.fill(0)
        plain.splat_view(depth, depth, how.numbers, buffer)
        plain.sample_view(image, depth, depth, how.numbers, False, how.hides, buffer, reference, plain_hole)
        return reference

    return own, plainly


def markdown_table(found: Sequence[Timing]) -> str:
    """The timings as a Markdown table."""
    lines = [
        "| function | size | input | threads | median ms | p95 ms | reference ms | ratio | greatest difference |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for t in found:
        if t.ratio is None or t.reference_ms is None or t.difference is None:
            tail = "– | – | –"
        else:
            unit = "levels" if t.function in ("encode_hha", REGISTRATION) else "m"
            tail = f"{t.reference_ms:.1f} | {t.ratio:.1f}× | {t.difference:.2g} {unit}"
        lines.append(
            f"| {t.function} | {t.width}×{t.height} | {t.input} | {t.threads} "
            f"| {t.median_ms:.2f} | {t.p95_ms:.2f} | {tail} |"
        )
    return "\n".join(lines)
