# SPDX-License-Identifier: Apache-2.0
"""``ssma synthesize``: render the synthetic forest into a data set or a recording."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "synthesize"
HELP = "render the synthetic forest: a labelled data set, or a recording of a drive"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", type=Path, metavar="DIR", help="write a data set into this folder")
    target.add_argument("--recording", type=Path, metavar="FOLDER", help="write a rosbag2 recording of a drive")
    target.add_argument("--contact-sheet", type=Path, metavar="PNG", help="picture one world under the conditions")
    parser.add_argument(
        "--conditions",
        default="clear",
        metavar="NAMES",
        help="season, light, weather, camera trouble: names separated by commas, or all; the worlds of a data set take"
        " them in turn, a recording takes one (default %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="number of the data set or drive (default %(default)s)")
    parser.add_argument("--scenes", type=int, default=250, help="data set: number of worlds (default %(default)s)")
    parser.add_argument(
        "--frames-per-scene", type=int, default=5, help="data set: pictures in each world (default %(default)s)"
    )
    parser.add_argument(
        "--split", choices=("train", "val"), default="train", help="data set: which (default %(default)s)"
    )
    side_by_side = parser.add_mutually_exclusive_group()
    side_by_side.add_argument("--workers", type=int, default=1, help="data set: processes (default %(default)s)")
    side_by_side.add_argument("--ray", default="", metavar="ADDRESS", help="data set: on a Ray cluster instead")
    parser.add_argument("--seconds", type=float, default=6.0, help="recording: duration (default %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Renders; returns 0."""
    if args.recording is not None:
        return _write_recording(args)
    if args.contact_sheet is not None:
        return _write_contact_sheet(args)
    from tqdm import tqdm

    from ssma_ros.synthetic.conditions import parse_conditions
    from ssma_ros.synthetic.dataset import DatasetRecipe, write_dataset

    conditions = parse_conditions(args.conditions)
    recipe = DatasetRecipe(args.split, args.seed, args.scenes, args.frames_per_scene, conditions)
    with tqdm(total=recipe.scenes * recipe.frames, unit="sample", desc=f"{recipe.split} → {args.out}") as bar:
        count = write_dataset(recipe, args.out, args.workers, bar.update, ray=args.ray)
    print(f"{count} samples in {args.out / recipe.split}")
    return 0


def _write_contact_sheet(args: argparse.Namespace) -> int:
    """Renders one view under each condition."""
    from ssma_ros.synthetic.conditions import parse_conditions
    from ssma_ros.synthetic.contact_sheet import write_contact_sheet

    names = parse_conditions(args.conditions)
    write_contact_sheet(args.contact_sheet, args.seed, names)
    print(f"{len(names)} condition{'s' if len(names) > 1 else ''} in {args.contact_sheet}")
    return 0


def _write_recording(args: argparse.Namespace) -> int:
    """Renders a drive and writes it as MCAP, whole or not at all."""
    from tqdm import tqdm

    from ssma_ros.recordings import records as messages
    from ssma_ros.recordings.typestore import CAMERA_INFO, COMPRESSED_IMAGE
    from ssma_ros.recordings.writer import RecordingWriter
    from ssma_ros.synthetic.recording import CAMERA_INFO_TOPIC, COLOR_TOPIC, FRAME_ID, DrivePlan, drive

    plan = DrivePlan(args.seed, seconds=args.seconds, condition=args.conditions)
    with RecordingWriter(args.recording, overwrite=True) as writer:
        for frame in tqdm(drive(plan), total=plan.frames, unit="frame", desc=f"drive → {args.recording}"):
            for image in frame.images:
                message = messages.compressed_image(image.data, image.format, image.stamp_ns, FRAME_ID)
                writer.write(image.topic, COMPRESSED_IMAGE, message, image.arrival_ns)
                if image.topic == COLOR_TOPIC:
                    info = messages.camera_info(frame.intrinsics, frame.stamp_ns, FRAME_ID)
                    writer.write(CAMERA_INFO_TOPIC, CAMERA_INFO, info, image.arrival_ns)
    size = sum(file.stat().st_size for file in args.recording.iterdir())
    print(f"{plan.frames} frames in {args.recording} ({size / 1e6:.1f} MB)")
    return 0
