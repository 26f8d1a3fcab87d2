# SPDX-License-Identifier: Apache-2.0
"""``ssma play``: a recording through the same segmenter into a recording, without ROS."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ssma_ros.recordings.play import PlayOptions
    from ssma_ros.ros.parameters import FusionParameters
    from ssma_ros.segmenter import Segmenter

NAME = "play"
HELP = "segment a rosbag2 recording into another one, without ROS"
#: Parameters of the node with a command line option of their own.
_NAMED = ("model", "backend", "precision", "threads", "output_resolution", "min_confidence", "sync_slop",
          "size_mismatch", "nir_full_scale")  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments. Those of the node's parameters have no default of their own."""
    from ssma_ros.cli._node_parameters import add_parameter_arguments
    from ssma_ros.cli._spread import add_spread_arguments

    parser.add_argument("recordings", nargs="+", metavar="recording", help="rosbag2 folder, .mcap or .db3 file")
    parser.add_argument("-o", "--output", required=True,
                        help="recording to make; of several recordings the folder that gets one of each name")
    add_parameter_arguments(parser, *_NAMED)
    parser.add_argument("--outputs", default=None, metavar="NAMES",
                        help="comma-separated topics or patterns, for example mask,confidence/*; * is all")
    parser.add_argument("--namespace", default="/ssma_fusion", help="of the output topics (%(default)s)")
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap", help="of the output (%(default)s)")
    parser.add_argument("--copy-inputs", action="store_true", help="write the used input messages too")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier recording of that name")
    add_spread_arguments(parser, "recordings")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tqdm import tqdm

    from ssma_ros.cli._node_parameters import parameters_of
    from ssma_ros.cli._played import make_segmenter, summary_line
    from ssma_ros.recordings.play import play

    parameters = parameters_of(args, *_NAMED)
    options = _options(args, parameters)
    recordings, output = [Path(recording) for recording in args.recordings], Path(args.output)
    if len(recordings) > 1 or args.ray:
        return _play_many(args, recordings, output, parameters, options)
    # A terminated run cleans up as an interrupted one does.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tqdm(unit="frame", desc=recordings[0].name, dynamic_ncols=True) as bar:

            def say(words: str) -> None:
                bar.write(words, file=sys.stderr)

            def load_network() -> Segmenter:
                say("Loading the network (the first time compiles, about a minute) ...")
                return make_segmenter(parameters)

            result = play(recordings[0], output, load_network, options, on_start=bar.reset, on_frame=bar.update)
    finally:
        signal.signal(signal.SIGTERM, previous)
    print(summary_line(result, recordings[0], output))
    return 0


def _play_many(
    args: argparse.Namespace, recordings: list[Path], output: Path, parameters: FusionParameters, options: PlayOptions
) -> int:
    from tqdm import tqdm

    from ssma_ros.cli._played import PlayJob, outputs_of, play_one
    from ssma_ros.parallel import spread

    jobs = [PlayJob(recording, target, parameters, options)
            for recording, target in zip(recordings, outputs_of(recordings, output), strict=True)]
    work = spread(play_one, jobs, processes=args.processes, ray=args.ray)
    with tqdm(total=len(jobs), unit="recording", dynamic_ncols=True) as bar:
        for _, summary in work:
            bar.write(summary, file=sys.stdout)
            bar.update()
    return 0


def _options(args: argparse.Namespace, parameters: FusionParameters) -> PlayOptions:
    from ssma_ros.cli._node_parameters import assembly_of, topics_of
    from ssma_ros.errors import SsmaError
    from ssma_ros.messages.catalogue import OutputOptions
    from ssma_ros.options import part
    from ssma_ros.recordings.play import DEFAULT_OUTPUTS, PlayOptions
    from ssma_ros.synchronization import SyncOptions

    if not re.fullmatch(r"(/[A-Za-z_]\w*)+/?|/", args.namespace, re.ASCII):
        raise SsmaError(f"namespace: got '{args.namespace}', expected a ROS name that begins with /, such as /front")
    return PlayOptions(
        topics=topics_of(args, parameters),
        outputs=DEFAULT_OUTPUTS if args.outputs is None else [name for name in args.outputs.split(",") if name],
        namespace=args.namespace,
        storage=args.storage,
        overwrite=args.overwrite,
        copy_inputs=args.copy_inputs,
        slop_ns=part(SyncOptions, parameters).slop_ns,
        assembly=assembly_of(parameters),
        appearance=part(OutputOptions, parameters),
    )
