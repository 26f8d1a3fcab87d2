# SPDX-License-Identifier: Apache-2.0
"""``ssma labels export``: pictures and what is painted on them, for a program in which people paint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

NAME = "export"
HELP = "write labels and pre-labels for CVAT, Label Studio, labelme, as COCO or as plain pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from ssma_ros.cli._labels import add_dataset_arguments, add_format_argument

    add_dataset_arguments(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT",
                        help="folder to make, or a .zip file")
    add_format_argument(parser)
    parser.add_argument("--with-pictures", action="store_true", help="copy the pictures beside them, into images/")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tqdm import tqdm

    from ssma_ros.annotation.exchange import export_labels
    from ssma_ros.annotation.samples import list_samples
    from ssma_ros.labels.beside import label_set_of

    samples = list_samples(args.dataset, args.split)
    labels = label_set_of(args.dataset, args.labels)
    with tqdm(total=len(samples), unit="picture", disable=args.quiet) as bar:
        done = export_labels(samples, labels, args.output, args.format, with_pictures=args.with_pictures,
                             on_sample=bar.update)
    print(f"{done.pictures} pictures in {args.output}: {done.labelled} labelled, {done.prelabelled} with pre-labels, "
          f"{done.pictures - done.labelled - done.prelabelled} empty")
    return 0
