# SPDX-License-Identifier: Apache-2.0
"""``ssma build-engine``: a TensorRT engine for this machine's GPU."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    import argparse

NAME = "build-engine"
HELP = "build a TensorRT engine for this machine's GPU from an exported graph"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("onnx", type=Path, help="graph from 'ssma export'")
    parser.add_argument("-o", "--output", type=Path, help="engine to write (default: the graph's name with .engine)")
    parser.add_argument("--precision", default="auto", choices=("auto", "stored", "fp16", "fp32"),
                        help="auto turns an fp32 graph into fp16 and takes any other as it is (%(default)s)")
    parser.add_argument("--workspace-mb", type=int, default=1024, help="GPU memory for tactics (%(default)s)")
    parser.add_argument("--optimization-level", type=int, choices=range(6), metavar="0..5",
                        help="0 builds quickly, 5 runs fastest (default: TensorRT's)")
    parser.add_argument("--no-timing-cache", action="store_true", help="neither read nor write the timing cache")
    parser.add_argument("--device", type=int, default=0, help="index of the GPU (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Ask for the GPU, build, and say what was built."""
    from ssma_ros.files import check_file_writable
    from ssma_ros.inference.runtime.fit import load_checked_contract
    from ssma_ros.inference.runtime.gpu import probe_gpu
    from ssma_ros.inference.tensorrt.builder import build_engine

    output = args.output or args.onnx.with_suffix(".engine")
    if output.suffix != ".engine":
        raise SsmaError(f"build-engine: output is {output}, expected a name that ends in .engine")
    check_file_writable(output)
    load_checked_contract(args.onnx)
    gpu = probe_gpu(args.device)
    with ProgressBars() as bars:
        fingerprint = build_engine(
            args.onnx,
            output,
            precision=args.precision,
            workspace_mb=args.workspace_mb,
            optimization_level=args.optimization_level,
            timing_cache=not args.no_timing_cache,
            progress=bars,
            gpu=gpu,
        )
    print(
        f"{output}: {fingerprint.plan_bytes / 1e6:.1f} MB, {fingerprint.precision}, TensorRT "
        f"{fingerprint.tensorrt_version}, {fingerprint.gpu_name}, built in {fingerprint.build_seconds:.0f} s"
    )
    return 0


class ProgressBars:
    """A bar for each phase of a build that is under way; Ctrl-C stops the build at its next step.

    TensorRT calls from its own threads and holds the main one, so an interrupt is only seen here.
    """

    def __init__(self) -> None:
        self._bars: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._stopped = False

    def __enter__(self) -> ProgressBars:
        import signal

        self._previous = signal.signal(signal.SIGINT, self._stop)
        return self

    def __exit__(self, *exception: object) -> None:
        import signal

        signal.signal(signal.SIGINT, self._previous)
        for phase in list(self._bars):
            self.finish(phase)

    def start(self, phase: str, parent: str | None, steps: int) -> None:
        """A phase begins."""
        from tqdm import tqdm

        depth = len(self._bars)
        with self._lock:
            self._bars[phase] = tqdm(total=steps, desc="  " * depth + phase, leave=parent is None, dynamic_ncols=True)

    def step(self, phase: str, step: int) -> bool:
        """A step of a phase is done; False stops the build."""
        with self._lock:
            bar = self._bars.get(phase)
            if bar is not None:
                bar.update(step + 1 - bar.n)
        return not self._stopped

    def finish(self, phase: str) -> None:
        """A phase ends."""
        with self._lock:
            bar = self._bars.pop(phase, None)
            if bar is not None:
                bar.close()

    def _stop(self, number: int, frame: object) -> None:
        self._stopped = True
