# SPDX-License-Identifier: Apache-2.0
"""``ssma labels check``: what is wrong with labels, before a network learns it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ssma_ros.annotation.check import LabelCheck

NAME = "check"
HELP = "find unknown ids, wrong sizes, leaks between splits and masks that look odd"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from ssma_ros.cli._labels import add_dataset_arguments

    add_dataset_arguments(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="write a report with pictures of what is odd")
    parser.add_argument("--pictures", type=int, default=20, metavar="N", help="at most (%(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Run the command; 1 where training would refuse the labels."""
    from tqdm import tqdm

    from ssma_ros.annotation.check import check_labels
    from ssma_ros.annotation.samples import list_samples
    from ssma_ros.files import write_json
    from ssma_ros.folders import WholeFolder
    from ssma_ros.labels.beside import label_set_of

    report = "label_check.json"
    output = None if args.output is None else WholeFolder(
        args.output, what="report", replace_if=report, source=args.dataset
    )
    samples = list_samples(args.dataset, args.split)
    labels = label_set_of(args.dataset, args.labels)
    with tqdm(total=len(samples), unit="picture", disable=args.quiet) as bar:
        check = check_labels(args.dataset, samples, labels, on_sample=bar.update)
    print("\n".join(_lines(check)))
    if output is not None:
        with output as folder:
            write_json(folder / report, check.to_document())
            _draw(check, folder, args.pictures)
        print(f"report: {args.output}")
    return 1 if check.errors else 0


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
