# SPDX-License-Identifier: Apache-2.0
"""A folder of images to a rosbag2 recording that ssma play takes: FOLDER/{rgb,depth,nir,label}/NAME.png, no ROS needed.

Images of one name are of one moment; a name of 13 digits is its time in milliseconds. Depth is written as the file has
it, in 16-bit counts (or float32 metres): give ssma play -p depth_scale:=… where one count is not a millimetre.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

import ssma_ros
from ssma_ros.recordings import records
from ssma_ros.recordings.typestore import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE
from ssma_ros.recordings.writer import RecordingWriter

ENCODINGS = {("uint8", 2): "mono8", ("uint8", 3): "bgr8", ("uint16", 2): "16UC1", ("float32", 2): "32FC1"}
FRAME = "camera_optical_frame"
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder", type=Path)
parser.add_argument("recording", type=Path, help="to make")
parser.add_argument("--camera", type=float, nargs=4, required=True, metavar=("FX", "FY", "CX", "CY"), help="pixels")
parser.add_argument("--rate", type=float, default=2.0, help="moments a second, for names without a time (%(default)s)")
for sensor in ("rgb", "depth", "nir", "label"):
    parser.add_argument(f"--{sensor}", default=sensor, metavar="NAME", help="its folder in FOLDER (%(default)s)")
args = parser.parse_args()
folders = {sensor: args.folder / getattr(args, sensor) for sensor in ("rgb", "depth", "nir", "label")}
names = sorted(path.name for path in folders["rgb"].glob("*.png"))
if not names:
    sys.exit(f"{folders['rgb']}: holds no .png, expected the colour images")


def message(path: Path, now: int) -> tuple[str, str, object]:
    """Suffix of the topic, type and message: 8-bit images as PNG, as image_transport would, others raw."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    kind = None if image is None else ENCODINGS.get((image.dtype.name, image.ndim))
    if kind is None or image.shape[2:] not in ((), (3,)):
        sys.exit(f"{path}: is no image of {', '.join(ENCODINGS.values())} that OpenCV reads")
    if image.dtype == np.uint8:
        form = f"{kind}; png compressed {kind}"
        return "/compressed", COMPRESSED_IMAGE, records.compressed_image(path.read_bytes(), form, now, FRAME)
    return "", IMAGE, records.image(image, kind, now, FRAME)


camera = ssma_ros.Intrinsics(*args.camera, *cv2.imread(str(folders["rgb"] / names[0])).shape[1::-1])
with RecordingWriter(args.recording) as writer:
    for index, name in enumerate(names):
        stem = Path(name).stem
        now = int(stem) * 10**6 if stem.isdigit() and len(stem) == 13 else 10**18 + round(index / args.rate * 1e9)
        writer.write("/camera/camera_info", CAMERA_INFO, records.camera_info(camera, now, FRAME), now)
        for sensor, folder in folders.items():
            if (folder / name).exists():
                suffix, kind, content = message(folder / name, now)
                topic = f"/{'camera' if sensor == 'rgb' else sensor}/image_rect{suffix}"
                writer.write(topic, kind, content, now)
print(f"{args.recording}: {len(names)} moments")
