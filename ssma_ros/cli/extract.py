# SPDX-License-Identifier: Apache-2.0
"""``ssma extract``: pictures to label out of recordings, as the node would see them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ssma_ros.extraction.manifest import SequenceFile
    from ssma_ros.extraction.novelty import Choice
    from ssma_ros.extraction.recipe import Recipe

NAME = "extract"
HELP = "take pictures to label out of rosbag2 recordings"
#: Parameters of the node with a command line option of their own.
_NAMED = ("sync_slop", "size_mismatch", "nir_full_scale")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from ssma_ros.cli._node_parameters import add_parameter_arguments
    from ssma_ros.cli._spread import add_spread_arguments
    from ssma_ros.inference.loading import ModelOptions
    from ssma_ros.options import add_options

    parser.add_argument("recordings", nargs="+", type=Path, metavar="RECORDING",
                        help="rosbag2 folder, .mcap or .db3 file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DATASET",
                        help="folder of the data set: new, or one that this command made")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--every", type=float, default=1.0, metavar="S",
                        help="seconds between two frames, 0 takes every frame (%(default)s)")
    choice.add_argument("--every-metres", type=float, default=0.0, metavar="M",
                        help="metres between two frames instead, by the recording's odometry or tf")
    parser.add_argument("--choose", type=int, default=0, metavar="N",
                        help="of these only the N that a network finds worth a label: it is unsure of them, or they "
                             "are unlike the others")
    parser.add_argument("--choose-by", choices=("both", "different", "uncertain"), default="both",
                        help="what makes a frame worth a label (%(default)s)")
    add_options(parser, ModelOptions, "model", "backend", "precision", "threads")
    parser.add_argument("--sensors", default="", metavar="NAMES",
                        help="comma-separated sensors that every frame must have (all that the recordings have)")
    parser.add_argument("--one-camera", action="store_true",
                        help="register images of other cameras now, for other programs (default: kept as they are, and "
                             "registered when network inputs are made of them)")
    parser.add_argument("--with-labels", action="store_true",
                        help="the recording's label topic becomes the labels; only frames with one are taken")
    parser.add_argument("--labels", metavar="SET", help="label set of the data set, by name or path: kept beside it")
    division = parser.add_mutually_exclusive_group()
    division.add_argument("--val", type=float, default=0.2, metavar="SHARE",
                          help="share of the time that is held out, as whole recordings; of one recording its end "
                               "(%(default)s)")
    division.add_argument("--split", default="", metavar="NAME", help="put all of these recordings into this split")
    add_parameter_arguments(parser, *_NAMED)
    add_spread_arguments(parser, "recordings")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tqdm import tqdm

    from ssma_ros.extraction.run import Division, extract
    from ssma_ros.labels import load_label_set
    from ssma_ros.labels.beside import LABELS_NAME, keep_label_set

    labels = None if args.labels is None else load_label_set(args.labels)
    if labels is not None and (args.output / LABELS_NAME).is_file():
        keep_label_set(labels, args.output)  # refuses another one before the work
    recipe, choice = _recipe(args), _choice(args)
    with tqdm(unit="sequence", desc=args.output.name, disable=args.quiet, dynamic_ncols=True) as bar:

        def tell(file: SequenceFile) -> None:
            for warning in file.warnings:
                bar.write(f"ssma: recording {file.recording}: {warning}", file=sys.stderr)
            bar.update()

        found = extract(
            args.recordings, args.output, recipe, Division(args.split, args.val), choice, processes=args.processes,
            ray=args.ray, on_done=tell,
        )  # fmt: skip
    if labels is not None:
        keep_label_set(labels, args.output)
    print("\n".join(_summary(found, args.output)))
    return 0


def _choice(args: argparse.Namespace) -> Choice | None:
    from ssma_ros.errors import SsmaError
    from ssma_ros.extraction.novelty import Choice
    from ssma_ros.inference import find_model

    if args.choose < 0:
        raise SsmaError(f"choose is {args.choose}, expected 1 or more")
    if not args.choose:
        return None
    find_model(args.model, backend=args.backend, precision=args.precision)
    network = {name: getattr(args, name) for name in ("model", "backend", "precision", "threads")}
    return Choice(args.choose, args.choose_by, network)


def _recipe(args: argparse.Namespace) -> Recipe:
    from ssma_ros.cli._node_parameters import assembly_of, parameters_of, topics_of
    from ssma_ros.extraction.recipe import Recipe
    from ssma_ros.options import part
    from ssma_ros.synchronization import SyncOptions

    parameters = parameters_of(args, *_NAMED)
    return Recipe(
        every_s=args.every, every_metres=args.every_metres, with_labels=args.with_labels,
        one_camera=args.one_camera,
        sensors=tuple(name for name in args.sensors.split(",") if name), topics=topics_of(args, parameters),
        slop_ns=part(SyncOptions, parameters).slop_ns, assembly=assembly_of(parameters),
    )  # fmt: skip


def _summary(found: list[SequenceFile], folder: Path) -> list[str]:
    """What is in the data set now, and what was left out."""
    lines = []
    for file in found:
        left = "; ".join(f"{count} {reason}" for reason, count in file.left_out.items())
        lines.append(f"{file.split}/{file.sequence}: {len(file.samples)} samples"
                     + (f" (left out: {left})" if left else ""))
    splits = sorted({file.split for file in found})
    counts = [f"{sum(len(f.samples) for f in found if f.split == s)} in {folder / s}" for s in splits]
    return [*lines, f"samples: {', '.join(counts)}"]
