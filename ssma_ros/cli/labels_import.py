# SPDX-License-Identifier: Apache-2.0
"""``ssma labels import``: what people have painted, into a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

NAME = "import"
HELP = "read labels from CVAT, Label Studio, labelme, COCO or plain pictures into a data set"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from ssma_ros.cli._labels import add_dataset_arguments, add_format_argument

    parser.add_argument("source", type=Path, metavar="SOURCE", help="file, folder or .zip file that the program gave")
    add_dataset_arguments(parser, "-o")
    add_format_argument(parser)
    parser.add_argument("--map", action="append", default=[], metavar="NAME=CLASS",
                        help="what a class of the file is in the label set, __ignore__ for nothing")
    parser.add_argument("--into", choices=("label", "prelabel"), default="label",
                        help="folder of the splits (%(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace masks that differ")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from ssma_ros.annotation.exchange import import_labels
    from ssma_ros.annotation.painting import Names
    from ssma_ros.annotation.samples import list_samples
    from ssma_ros.cli._labels import renamed
    from ssma_ros.labels.beside import LABELS_NAME, keep_label_set, label_set_of

    samples = list_samples(args.dataset, args.split)
    labels = label_set_of(args.dataset, args.labels)
    names = Names(labels, renamed(args.map))
    done = import_labels(args.source, samples, names, args.format, into=args.into, overwrite=args.overwrite)
    if not (args.dataset / LABELS_NAME).is_file():
        keep_label_set(labels, args.dataset)
    print(f"{done.written} masks written into {args.dataset}, {done.same} were there, {done.without} pictures of the "
          "data set without")
    return 0
