# SPDX-License-Identifier: Apache-2.0
"""``ssma labels check``: what is wrong with labels, before a network learns it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ssma_ros.annotation.check import LabelCheck, Oddity
    from ssma_ros.annotation.painting import Names
    from ssma_ros.annotation.samples import Sample

NAME = "check"
HELP = "find unknown ids, wrong sizes, leaks between splits and masks that look odd"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from ssma_ros.cli._labels import add_dataset_arguments

    add_dataset_arguments(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="write a report with pictures of what is odd")
    parser.add_argument("--model", metavar="MODEL", help="also show what this network contradicts where it is sure")
    parser.add_argument("--min-confidence", type=float, default=0.9, metavar="P",
                        help="of what it counts as sure (%(default)s)")
    parser.add_argument("--map", action="append", default=[], metavar="NAME=CLASS",
                        help="what a class of the network is in the label set, __ignore__ for nothing")
    parser.add_argument("--options", metavar="YAML", default="",
                        help="how the pictures are read for it, as data.options of a training configuration")
    parser.add_argument("--pictures", type=int, default=20, metavar="N", help="at most (%(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Run the command; 1 where training would refuse the labels."""
    from tqdm import tqdm

    from ssma_ros.annotation.check import check_labels
    from ssma_ros.annotation.samples import list_samples
    from ssma_ros.cli._labels import network_names
    from ssma_ros.files import write_json
    from ssma_ros.folders import WholeFolder
    from ssma_ros.labels.beside import label_set_of

    report = "label_check.json"
    output = None if args.output is None else WholeFolder(
        args.output, what="report", replace_if=report, source=args.dataset
    )
    samples = list_samples(args.dataset, args.split)
    labels = label_set_of(args.dataset, args.labels)
    names = None if args.model is None else network_names(args, labels)
    with tqdm(total=len(samples), unit="picture", disable=args.quiet) as bar:
        check = check_labels(args.dataset, samples, labels, on_sample=bar.update)
    if names is not None:
        check.odd += _contradicted(args, samples, names)
    print("\n".join(_lines(check)))
    if output is not None:
        with output as folder:
            write_json(folder / report, check.to_document())
            _draw(check, folder, args.pictures)
        print(f"report: {args.output}")
    return 1 if check.errors else 0


def _contradicted(args: argparse.Namespace, samples: Sequence[Sample], names: Names) -> list[Oddity]:
    from tqdm import tqdm

    from ssma_ros.annotation.contradiction import contradicted
    from ssma_ros.cli._data import parse_options
    from ssma_ros.segmenter import load

    with load(args.model, output_resolution="camera", min_confidence=args.min_confidence) as segment, \
            tqdm(total=len(samples), unit="picture", desc=args.model, disable=args.quiet) as bar:
        return contradicted(args.dataset, samples, names, segment, options=parse_options(args.options),
                            on_sample=bar.update)


def _lines(check: LabelCheck) -> list[str]:
    lines = []
    width = max(len(name) for name in check.labels.names)
    for split in check.samples:
        lines.append(f"{split}: {check.labelled[split]} of {check.samples[split]} pictures are labelled")
        shares = check.pixels[split] / max(1, int(check.pixels[split].sum()))
        for name, share, pictures in zip(check.labels.names, shares, check.pictures[split], strict=True):
            lines.append(f"  {name:{width}}  {100 * share:5.1f} % of the pixels, in {pictures} pictures")
    lines += [f"odd: {o.sample.split}/{o.sample.name}: {o.reason}" for o in check.odd]
    lines += [f"warning: {sentence}" for sentence in check.warnings]
    lines += [f"error: {sentence}" for sentence in check.errors]
    return [*lines, f"{len(check.errors)} errors, {len(check.warnings)} warnings, {len(check.odd)} odd masks"]


def _draw(check: LabelCheck, folder: Path, most: int) -> None:
    """The oddest masks over their pictures."""
    from ssma_ros.annotation.odd import as_shown, picture_of
    from ssma_ros.annotation.samples import LABEL
    from ssma_ros.files import write_picture

    for number, odd in enumerate(check.odd[:most], 1):
        mask = odd.sample.read_mask(LABEL, check.labels)
        caption = f"{odd.sample.split}/{odd.sample.name}: {odd.reason}"
        write_picture(folder / f"odd_{number:02d}.png",
                      picture_of(as_shown(odd.sample.picture), mask, check.labels, caption))
