# SPDX-License-Identifier: Apache-2.0
"""``ssma demo``: a recording played into a live ROS 2 graph and segmented by the real node."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError
from ssma_ros.options import add_options

if TYPE_CHECKING:
    import argparse

NAME = "demo"
HELP = "play a recording into a live ROS 2 graph, segment it with the real node, leave pictures and figures"
DEFAULT_RECORDING = ("demo", "forest_drive")
#: Stages of the node worth a line, in order of time; the summary has them all.
_STAGES = ("waiting", "preprocessing", "inference", "publishing")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from ssma_ros.cli._node_parameters import add_camera_arguments
    from ssma_ros.inference.loading import ModelOptions

    parser.add_argument("recording", nargs="?", help="rosbag2 folder or file (default: the one that ships)")
    parser.add_argument("-o", "--output", default="demo_output", help="folder for the results (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=1.0, help="speed of playing (default: %(default)s)")
    add_options(parser, ModelOptions, "model", "backend", "precision", "threads")
    add_camera_arguments(parser)
    parser.add_argument("--topic", action="append", default=[], metavar="ROLE:=/TOPIC[@TYPE]",
                        help="use this topic of the recording for color, camera_info, depth, disparity, nir or label")
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap", help="of the output recording")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    _require_ros()
    from ssma_ros.cameras import settings_of
    from ssma_ros.cli._node_parameters import topics_of
    from ssma_ros.demo.plan import NodeOptions
    from ssma_ros.demo.run import RECORDING, SHEET, SUMMARY, VIDEO, DemoOptions, run_demo
    from ssma_ros.demo.summary import closing_table
    from ssma_ros.ros.parameters import FusionParameters

    output = Path(args.output)
    _, of_camera = settings_of(args.camera, args.camera_prefix)
    topics = topics_of(args, FusionParameters.from_values(of_camera))
    options = DemoOptions(
        recording=_recording(args.recording),
        output=output,
        node=NodeOptions(args.model, args.backend, args.precision, args.threads, parameters=of_camera),
        rate=args.rate,
        topics=[f"{role}:={topic}" for role, topic in topics.items()],
        storage=args.storage,
    )
    # A terminated demo cleans up as an interrupted one does.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _Progress() as progress:
            summary = run_demo(options, progress)
    finally:
        signal.signal(signal.SIGTERM, previous)
    files = {
        str(output / VIDEO): f"camera and segmentation as a video, {summary['video_codec']}",
        str(output / SHEET): "everything the fusion sees and says, on one sheet",
        f"{output / RECORDING}/": "rosbag2 of the node's topics (Foxglove, rviz, ros2 bag play)",
        str(output / SUMMARY): "all figures",
    }
    print("\n" + closing_table(_rows(summary), files))
    return 0


def _require_ros() -> None:
    import importlib.util

    for module, distribution in (("rclpy", "ros"), ("PIL", "demo")):
        if importlib.util.find_spec(module) is None:
            raise SsmaError(
                f"demo: the Python package {module} is not installed, expected pip install 'ssma_ros[{distribution}]' "
                "or a sourced ROS 2 installation"
            )


def _recording(given: str | None) -> Path:
    from ssma_ros.share import share_path

    if given is not None:
        return Path(given)
    shipped = share_path(*DEFAULT_RECORDING)
    if shipped is None:
        raise SsmaError("demo: the shipped recording is not installed, expected the path of a rosbag2 RECORDING")
    return shipped


def _rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    frames, latency, accuracy = summary["frames"], summary["latency_ms"], summary["accuracy"]
    rows = [("network", f"{Path(summary['model']).name}, {summary['node']['identity'] or 'backend unknown'}")]
    if summary["rate_hz"] is not None:
        rows.append(("rate", f"{summary['rate_hz']:.2f} Hz (images came at {summary['input_rate_hz']:.2f} Hz)"))
    if latency is not None:
        rows.append(("latency", f"{latency['p50']:.0f} ms p50, {latency['p95']:.0f} ms p95, image out to mask in"))
    load, cores = summary["machine"]["load_before"], summary["machine"]["cores"]
    if load > cores:
        rows.append(("note", f"other programs were busy: load {load:g} on {cores} cores before the demo began"))
    rows.append(
        ("frames", f"{frames['published']} published, {frames['segmented']} segmented, {frames['dropped']} dropped, "
         f"{frames['degraded']} degraded")
    )
    for stage in _STAGES:
        times = summary["node"]["stages_ms"].get(stage)
        if times is not None:
            rows.append((f"  {stage}", f"{times['p50']:.0f} ms p50, {times['p95']:.0f} ms p95, in the node"))
    if accuracy is not None and accuracy["miou"] is not None:
        classes = ", ".join(f"{name} {value:.2f}" for name, value in accuracy["iou"].items() if value is not None)
        rows.append(("mIoU", f"{accuracy['miou']:.3f} over {accuracy['frames']} labelled frames ({classes})"))
    return rows


class _Progress:
    """Stages as lines, playing as a bar of the images published and the masks that came back."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._total = 0
        self._masks = 0

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def stage(self, words: str) -> None:
        self._close()
        print(f"{words} ...", flush=True)

    def playing(self, frames: int) -> None:
        self._total = frames

    def event(self, name: str) -> None:
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(total=self._total, unit="frame", desc="Playing", dynamic_ncols=True)
        if name == "frame":
            self._bar.update()
        elif name == "mask":
            self._masks += 1
            self._bar.set_postfix(segmented=self._masks)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
