# SPDX-License-Identifier: Apache-2.0
"""A recording to a video: camera on the left, its classes on the right. Any rosbag2 recording, no ROS needed."""

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

import ssma_ros
from ssma_ros.demo.overlay_video import write_overlay_video
from ssma_ros.recordings.frames import read_frames

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("recording", type=Path, help="rosbag2 folder, .mcap or .db3 file")
parser.add_argument("output", type=Path, help=".mp4 file to make")
parser.add_argument("--model", default="forest_rgb_hha_evi", help="shipped model, folder or file (%(default)s)")
parser.add_argument("--frames", type=int, help="stop after so many (default: all)")
parser.add_argument("--rate", type=float, default=10.0, help="frames a second (%(default)s)")
args = parser.parse_args()


def labelled(segment: ssma_ros.Segmenter) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Stamp, RGB picture and mask of each frame, made when the video asks for it."""
    for frame in islice(read_frames(args.recording), args.frames):
        result = segment(frame)
        picture = np.zeros((*result.mask.shape, 3), np.uint8) if frame.color is None else frame.color
        yield frame.stamp_ns, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), result.mask


with ssma_ros.load(args.model) as segment:
    size = segment.contract.width, segment.contract.height
    codec = write_overlay_video(
        args.output, labelled(segment), size, segment.labels, rate=args.rate, note=Path(args.model).name
    )
print(f"{args.output}: {codec}")
