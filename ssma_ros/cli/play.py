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

    from ssma_ros.recordings.play import PlayOptions, PlayResult
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

    parser.add_argument("recording", help="rosbag2 folder, .mcap or .db3 file")
    parser.add_argument("-o", "--output", required=True, help="recording to make")
    add_parameter_arguments(parser, *_NAMED)
    parser.add_argument("--outputs", default=None, metavar="NAMES",
                        help="comma-separated topics or patterns, for example mask,confidence/*; * is all")
    parser.add_argument("--namespace", default="/ssma_fusion", help="of the output topics (%(default)s)")
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap", help="of the output (%(default)s)")
    parser.add_argument("--copy-inputs", action="store_true", help="write the used input messages too")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier recording of that name")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tqdm import tqdm

    from ssma_ros.cli._node_parameters import parameters_of
    from ssma_ros.recordings.play import play

    parameters = parameters_of(args, *_NAMED)
    options = _options(args, parameters)
    # A terminated run cleans up as an interrupted one does.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tqdm(unit="frame", desc=Path(args.recording).name, dynamic_ncols=True) as bar:

            def say(words: str) -> None:
                bar.write(words, file=sys.stderr)

            def make_segmenter() -> Segmenter:
                say("Loading the network (the first time compiles, about a minute) ...")
                return _segmenter(parameters)

            result = play(
                Path(args.recording), Path(args.output), make_segmenter, options,
                on_start=bar.reset, on_frame=bar.update,
            )  # fmt: skip
    finally:
        signal.signal(signal.SIGTERM, previous)
    print(summary_line(result, Path(args.recording), Path(args.output)))
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


def _segmenter(parameters: FusionParameters) -> Segmenter:
    """As the node makes it of the same parameters."""
    from ssma_ros.encodings.base import EncoderOptions
    from ssma_ros.inference.loading import ModelOptions
    from ssma_ros.options import part
    from ssma_ros.segmenter import SegmenterOptions, load

    return load(
        **vars(part(ModelOptions, parameters)), **vars(part(SegmenterOptions, parameters)),
        preprocessing=parameters.preprocessing_device, encoder_options=part(EncoderOptions, parameters),
    )  # fmt: skip
