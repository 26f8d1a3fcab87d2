"""``ssma synthesize``: render the synthetic forest into a data set or a recording."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "synthesize"
HELP = "render the synthetic forest: a labelled data set, or a recording of a drive"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", type=Path, metavar="DIR", help="folder of the data set")
    parser.add_argument("--scenes", type=int, default=250, help="number of different worlds (default %(default)s)")
    parser.add_argument("--frames-per-scene", type=int, default=5, help="pictures in each (default %(default)s)")
    parser.add_argument("--split", choices=("train", "val"), default="train", help="which split (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="number of the data set (default %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes (default %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Renders; returns 0."""
    from tqdm import tqdm

    from ssma_ros.synthetic.dataset import DatasetRecipe, write_dataset

    recipe = DatasetRecipe(args.split, args.seed, args.scenes, args.frames_per_scene)
    with tqdm(total=recipe.scenes * recipe.frames, unit="sample", desc=f"{recipe.split} → {args.out}") as bar:
        count = write_dataset(recipe, args.out, args.workers, lambda done: bar.update(done) and None)
    print(f"{count} samples in {args.out / recipe.split}")
    return 0
