# SPDX-License-Identifier: Apache-2.0
"""``ssma benchmark node``: rate, latency, losses and CPU of the live node, as ros2_benchmark reports them."""

from __future__ import annotations

import importlib.util
import os
import platform
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssma_ros.cli._size import parse_size
from ssma_ros.errors import SsmaError
from ssma_ros.files import check_file_writable, write_json
from ssma_ros.share import share_path

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from ssma_ros.demo.load_generator import RunReport

NAME = "node"
HELP = "rate, latency, missed frames and CPU of the live node at fixed rates, and its highest rate below 5 %% loss"

#: The name that stands for a network that answers at once.
NO_NETWORK = "none"
_START_TIMEOUT_S = 120.0
_LOSS = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--model", default=NO_NETWORK, metavar="MODEL",
        help="network; none = one that answers at once, which measures everything else (default)",
    )
    parser.add_argument(
        "--size", default="768x384", metavar="WxH", help="size of the camera images, default %(default)s"
    )
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[10.0, 30.0, 60.0], metavar="HZ", help="fixed rates, default 10 30 60"
    )
    parser.add_argument("--duration", type=float, default=5.0, metavar="S", help="seconds a run, default %(default)s")
    parser.add_argument(
        "--every-output", action="store_true",
        help="subscribe to all outputs (default: the mask alone, as the node makes what is subscribed to)",
    )
    parser.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="NAME:=VALUE",
        help="a parameter of the node, as ros2 run takes it; may be repeated",
    )
    parser.add_argument("--no-peak", action="store_true", help="do not search for the highest rate")
    parser.add_argument("--domain", type=int, default=97, help="ROS domain to use, default %(default)s")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the results as JSON")


def run(args: argparse.Namespace) -> int:
    """Measure and print a table."""
    from ssma_ros.inference import find_model

    width, height = parse_size(args.size, name="size")
    if args.output:
        check_file_writable(args.output)
    if args.model != NO_NETWORK:
        find_model(args.model)  # refused here, not by a node that does not answer
    if importlib.util.find_spec("rclpy") is None:
        raise SsmaError("rclpy is not installed, expected a sourced ROS 2 or: pip install 'ssma_ros[ros]'")
    _set_environment(share_path("config", "fastdds.xml"), args.domain)
    from ssma_ros.demo.load_generator import LoadGenerator

    with (
        _node(args.model, (width, height), args.parameter) as process,
        LoadGenerator(width, height, args.domain, lambda: cpu_seconds(process.pid), args.every_output) as load,
    ):
        load.wait_for_node(_START_TIMEOUT_S, lambda: process.poll() is None)
        runs = [load.run(rate, args.duration) for rate in args.rates]
        peak = None if args.no_peak else find_peak(lambda rate: load.run(rate, args.duration))
    print(table(runs if peak is None else [*runs, peak]))
    if peak is not None:
        print(f"peak: {peak.rate_hz:.1f} Hz with {100 * peak.loss:.1f} % loss")
    if args.output:
        write_json(args.output, document(args.model, args.size, runs, peak, args.parameter))
    return 0


def find_peak(measure: Callable[[float], RunReport], low_hz: float = 1.0, high_hz: float = 240.0) -> RunReport:
    """The highest rate with less than 5 % loss, by bisection to a twentieth.

    Args:
        measure: runs at a rate.
        low_hz, high_hz: where to search.
    """
    best = measure(low_hz)
    while high_hz / low_hz > 1.05:
        middle = (low_hz * high_hz) ** 0.5
        report = measure(middle)
        # A generator that cannot keep the rate itself has proved nothing about the node.
        kept = report.sent >= 0.95 * middle * report.duration_s
        if report.loss < _LOSS and kept:
            best, low_hz = report, middle
        else:
            high_hz = middle
    return best


def table(runs: list[RunReport]) -> str:
    """The runs as a table for people."""
    heads = (
        "Hz in", "Hz out", "sent", "missed", "mean ms", "p50 ms", "p95 ms", "max ms", "first ms", "last ms",
        "jitter ms", "CPU %",
    )
    rows = [
        (
            f"{r.rate_hz:.1f}", f"{r.output_rate_hz:.1f}", f"{r.sent}", f"{r.missed}", f"{r.latency_mean_ms:.1f}",
            f"{r.latency_p50_ms:.1f}", f"{r.latency_p95_ms:.1f}", f"{r.latency_max_ms:.1f}",
            f"{r.first_latency_ms:.1f}", f"{r.last_latency_ms:.1f}", f"{r.jitter_ms:.1f}", f"{r.cpu_percent:.0f}",
        )
        for r in runs
    ]
    lines = ["  ".join(f"{cell:>9}" for cell in row) for row in (heads, *rows)]
    stages = "; ".join(f"{name} {value}" for name, value in runs[-1].stages_ms.items())
    return "\n".join([*lines, f"stages p50 / p95 in ms: {stages}"])


def document(
    model: str, size: str, runs: list[RunReport], peak: RunReport | None, parameters: Sequence[str] = ()
) -> dict[str, Any]:
    """The results with the machine they were measured on, JSON-ready."""
    from ssma_ros.inference.benchmark import processor_name

    return {
        "model": model,
        "size": size,
        "parameters": list(parameters),
        "machine": {"processor": processor_name(), "cores": os.cpu_count(), "python": platform.python_version()},
        "runs": [report.to_document() for report in runs],
        "peak": None if peak is None else peak.to_document(),
    }


def cpu_seconds(pid: int) -> float:
    """CPU time a process has used, in seconds (Linux)."""
    # The command's name stands in brackets and may hold blanks: count behind it.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _set_environment(profile: Path | None, domain: int) -> None:
    """Of this process and the node's: loopback only, shared memory large enough for images."""
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_DOMAIN_ID"] = str(domain)
    if profile is not None:
        os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(profile))
        os.environ.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", str(profile))


@contextmanager
def _node(model: str, size: tuple[int, int], parameters: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """The node as a process of its own, ended whatever happens; its last words go into an error."""
    module = "ssma_ros.demo.immediate_node" if model == NO_NETWORK else "ssma_ros.ros.fusion_node"
    command = [sys.executable, "-m", module, "--ros-args", "-p", f"model:={model}"]
    command += [word for parameter in parameters for word in ("-p", parameter)]
    environment = {**os.environ, "SSMA_IMMEDIATE_SIZE": f"{size[0]}x{size[1]}"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            yield process
        except SsmaError as error:
            log.seek(0)
            words = log.read().decode(errors="replace").strip().splitlines()
            raise SsmaError(f"{error}; its last words: {words[-1] if words else 'none'}") from None
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
