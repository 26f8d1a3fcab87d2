"""``ssma play``: a recording through the same segmenter into a recording, without ROS."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.sensors import readings

if TYPE_CHECKING:
    import argparse

    from ssma_ros.recordings.play import PlayResult
    from ssma_ros.segmenter import Segmenter

NAME = "play"
HELP = "segment a rosbag2 recording into another one, without ROS"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("recording", help="rosbag2 folder, .mcap or .db3 file")
    parser.add_argument("-o", "--output", required=True, help="recording to make")
    parser.add_argument("--model", default="forest_rgb_hha_evi", help="shipped model, folder or file (%(default)s)")
    parser.add_argument("--backend", default="auto", help="what runs the network (%(default)s)")
    parser.add_argument("--precision", default="auto", help="arithmetic of the network (%(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of the network (default: all cores)")
    parser.add_argument("--topic", action="append", default=[], metavar="ROLE:=/TOPIC[@TYPE]",
                        help="use this topic for color, camera_info, depth, disparity or nir; ROLE:=none goes without")
    parser.add_argument("--outputs", default=None, metavar="NAMES",
                        help="comma-separated topics or patterns, for example mask,confidence/*; * is all")
    parser.add_argument("--namespace", default="/ssma_fusion", help="of the output topics (%(default)s)")
    parser.add_argument("--output-resolution", choices=("network", "camera"), default="network",
                        help="size of the output images (%(default)s)")
    parser.add_argument("--min-confidence", type=float, default=0.0,
                        help="pixels whose class is less probable (0..1) become 255, unlabelled (%(default)s)")
    parser.add_argument("--sync-slop", type=float, default=0.05,
                        help="largest stamp difference between colour and a partner, seconds (%(default)s)")
    parser.add_argument("--size-mismatch", choices=("refuse", "resize"), default="refuse",
                        help="depth or near infrared of another size than colour (%(default)s)")
    parser.add_argument("--any-frame-id", action="store_true",
                        help="take depth and near infrared whose frame_id differs from colour's")
    parser.add_argument("--nir-full-scale", type=float, default=65535.0,
                        help="value of a saturated 16-bit near-infrared pixel (%(default)s)")
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap", help="of the output (%(default)s)")
    parser.add_argument("--copy-inputs", action="store_true", help="write the used input messages too")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier recording of that name")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tqdm import tqdm

    from ssma_ros.errors import SsmaError
    from ssma_ros.messages.assemble import AssemblyOptions
    from ssma_ros.recordings.play import DEFAULT_OUTPUTS, PlayOptions, play
    from ssma_ros.recordings.topics import parse_mapping
    from ssma_ros.segmenter import load

    if not 0.0 <= args.sync_slop <= 10.0:
        raise SsmaError(f"sync-slop: got {args.sync_slop}, expected 0 to 10 seconds")
    if not 0.0 <= args.min_confidence <= 1.0:
        raise SsmaError(f"min-confidence: got {args.min_confidence}, expected 0 to 1")
    if not args.nir_full_scale > 0:
        raise SsmaError(f"nir-full-scale: got {args.nir_full_scale}, expected a positive number")
    if not re.fullmatch(r"(/[A-Za-z_]\w*)+/?|/", args.namespace, re.ASCII):
        raise SsmaError(f"namespace: got '{args.namespace}', expected a ROS name that begins with /, such as /front")
    options = PlayOptions(
        topics=parse_mapping(args.topic),
        outputs=DEFAULT_OUTPUTS if args.outputs is None else [name for name in args.outputs.split(",") if name],
        namespace=args.namespace,
        storage=args.storage,
        overwrite=args.overwrite,
        copy_inputs=args.copy_inputs,
        slop_ns=round(args.sync_slop * 1e9),
        assembly=AssemblyOptions(
            args.size_mismatch, not args.any_frame_id, readings({"nir_full_scale": args.nir_full_scale})
        ),
    )
    # A terminated run cleans up as an interrupted one does.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tqdm(unit="frame", desc=Path(args.recording).name, dynamic_ncols=True) as bar:

            def make_segmenter() -> Segmenter:
                bar.write("Loading the network (the first time compiles, about a minute) ...", file=sys.stderr)
                return load(
                    args.model, backend=args.backend, precision=args.precision, threads=args.threads,
                    output_resolution=args.output_resolution, min_confidence=args.min_confidence,
                )

            result = play(
                Path(args.recording), Path(args.output), make_segmenter, options,
                on_start=bar.reset, on_frame=bar.update,
            )  # fmt: skip
    finally:
        signal.signal(signal.SIGTERM, previous)
    print(summary_line(result, Path(args.recording), Path(args.output)))
    return 0


def summary_line(result: PlayResult, recording: Path, output: Path) -> str:
    """What was read, how much of it was complete, what was blank and why, where it went."""
    lines = [
        f"{recording.name}: {result.frames} frames segmented, {result.complete} with every sensor, "
        f"{result.frames - result.complete} degraded; {len(result.written)} topics in {output}",
        *(f"  {line}" for line in result.account.lines()),
    ]
    for stream, count in result.blank.items():
        kinds = result.reasons[stream].lines()
        head = f"  {stream} was blank in {count} of {result.frames} frames"
        if len(kinds) == 1:
            lines.append(f"{head}: {kinds[0].partition(': ')[2]}")
        else:
            lines += [f"{head}:", *(f"    {kind}" for kind in kinds)]
    return "\n".join(lines)
