# SPDX-License-Identifier: Apache-2.0
"""``ssma synthesize``: render the synthetic forest into a data set or a recording."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from ssma_ros.frame import Camera
    from ssma_ros.recordings.writer import RecordingWriter
    from ssma_ros.synthetic.recording import DriveFrame

NAME = "synthesize"
#: Of the place of a near-infrared camera of its own.
TF_TOPIC = "/tf_static"
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
    parser.add_argument("--nir-beside", type=float, default=0.0, metavar="M",
                        help="recording: metres to a near-infrared camera of its own (default: one lens with colour)")
    parser.add_argument("--seconds", type=float, default=6.0, help="recording: duration (default %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Renders; returns 0."""
    if args.recording is not None:
        return _write_recording(args)
    if args.nir_beside:
        raise SsmaError(f"nir-beside: got {args.nir_beside:g} for a data set, expected --recording")
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

    from ssma_ros.recordings.writer import RecordingWriter
    from ssma_ros.synthetic.recording import DrivePlan, drive

    plan = DrivePlan(args.seed, seconds=args.seconds, condition=args.conditions, nir_beside=args.nir_beside)
    with RecordingWriter(args.recording, overwrite=True) as writer:
        if plan.rig.nir is not None:
            writer.latch(TF_TOPIC)
        for frame in tqdm(drive(plan), total=plan.frames, unit="frame", desc=f"drive → {args.recording}"):
            _write_frame(writer, frame, plan.rig.nir)
    size = sum(file.stat().st_size for file in args.recording.iterdir())
    print(f"{plan.frames} frames in {args.recording} ({size / 1e6:.1f} MB)")
    return 0


def _write_frame(writer: RecordingWriter, frame: DriveFrame, other: Camera | None) -> None:
    """The images of one moment, and what tells of their cameras, as drivers publish them; ``other`` is near infrared's.

    Its place is said in every moment: whoever cuts a piece out of the recording keeps it.
    """
    from ssma_ros.recordings import records as messages
    from ssma_ros.recordings.transforms import TF_MESSAGE
    from ssma_ros.recordings.typestore import CAMERA_INFO, COMPRESSED_IMAGE
    from ssma_ros.synthetic import recording as names

    for image in frame.images:
        now, own = image.arrival_ns, image.topic == names.NIR_TOPIC and other is not None
        frame_id = names.NIR_FRAME_ID if own else names.FRAME_ID
        message = messages.compressed_image(image.data, image.format, image.stamp_ns, frame_id)
        writer.write(image.topic, COMPRESSED_IMAGE, message, now)
        if image.topic == names.COLOR_TOPIC:
            info = messages.camera_info(frame.intrinsics, frame.stamp_ns, frame_id)
            writer.write(names.CAMERA_INFO_TOPIC, CAMERA_INFO, info, now)
        if own and other is not None:
            info = messages.camera_info(other.intrinsics, image.stamp_ns, frame_id)
            writer.write(names.NIR_INFO_TOPIC, CAMERA_INFO, info, now)
            place = messages.camera_transform(other, image.stamp_ns, names.FRAME_ID, frame_id)
            writer.write(TF_TOPIC, TF_MESSAGE, place, now)
