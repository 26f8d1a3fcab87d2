# SPDX-License-Identifier: Apache-2.0
"""``ssma labels prelabel``: a network's masks, for people to correct instead of painting from nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ssma_ros.annotation.prelabel import Prelabelled
    from ssma_ros.labels import LabelSet

NAME = "prelabel"
HELP = "paint what a network is sure of, for people to correct"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from ssma_ros.cli._labels import add_dataset_arguments
    from ssma_ros.inference.loading import ModelOptions
    from ssma_ros.options import add_options

    add_dataset_arguments(parser)
    add_options(parser, ModelOptions, "model", "backend", "precision", "threads")
    parser.add_argument("--min-confidence", type=float, default=0.8, metavar="P",
                        help="pixels of which the network is less sure stay unlabelled (%(default)s)")
    parser.add_argument("--map", action="append", default=[], metavar="NAME=CLASS",
                        help="what a class of the network is in the label set, __ignore__ for nothing")
    parser.add_argument("--options", metavar="YAML", default="",
                        help="how the pictures are read, as data.options of a training configuration")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tqdm import tqdm

    from ssma_ros.annotation.prelabel import prelabel
    from ssma_ros.annotation.samples import list_samples
    from ssma_ros.cli._data import parse_options
    from ssma_ros.cli._labels import network_names
    from ssma_ros.labels.beside import LABELS_NAME, keep_label_set, label_set_of
    from ssma_ros.segmenter import load

    samples = list_samples(args.dataset, args.split)
    options = parse_options(args.options)
    own = args.labels is not None or (args.dataset / LABELS_NAME).is_file()
    names = network_names(args, label_set_of(args.dataset, args.labels) if own else None)
    splits = list(dict.fromkeys(sample.split for sample in samples))
    with load(args.model, backend=args.backend, precision=args.precision, threads=args.threads,
              output_resolution="camera", min_confidence=args.min_confidence) as segment, \
            tqdm(total=len(samples), unit="picture", disable=args.quiet) as bar:
        done = [prelabel(args.dataset, split, names, segment, options=options, on_sample=bar.update)
                for split in splits]
    if not (args.dataset / LABELS_NAME).is_file():
        keep_label_set(names.labels, args.dataset)
    for split, result in zip(splits, done, strict=True):
        _tell(split, result, names.labels)
    return 0


def _tell(split: str, done: Prelabelled, labels: LabelSet) -> None:
    for stream, count in done.blank.items():
        print(f"ssma: warning: split {split}: stream '{stream}' was blank in {count} of {done.samples} pictures",
              file=sys.stderr)
    shares = ", ".join(f"{c.name} {100 * done.share(c.id):.0f} %" for c in labels.classes if done.pixels[c.id])
    print(f"{split}: {done.samples} pictures pre-labelled: {shares or 'nothing'}; "
          f"{100 * done.share(labels.ignore_id):.0f} % left to people")
