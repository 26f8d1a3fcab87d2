# SPDX-License-Identifier: Apache-2.0
"""A folder of images to a folder of masks: FOLDER/{rgb,depth,nir}/NAME.png and FOLDER/camera.json to OUTPUT/NAME.png.

Depth is 16-bit millimetres. camera.json holds fx, fy, cx, cy, width and height. A sensor whose image is absent is
blank for the network, and the line of that image says so.
"""

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np

import ssma_ros

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder", type=Path)
parser.add_argument("output", type=Path)
parser.add_argument("--model", default="forest_rgb_hha_evi", help="shipped model, folder or file (%(default)s)")
args = parser.parse_args()


def read(path: Path, flags: int = cv2.IMREAD_UNCHANGED) -> np.ndarray | None:
    """The image, or None where there is no file; a file that is no image ends the script."""
    image = cv2.imread(str(path), flags) if path.exists() else None
    if image is None and path.exists():
        sys.exit(f"{path}: is no image that OpenCV reads")
    return image


names = sorted(path.name for path in (args.folder / "rgb").glob("*.png"))
if not names:
    sys.exit(f"{args.folder}/rgb: holds no .png, expected the colour images")
numbers = json.loads((args.folder / "camera.json").read_text())
camera = ssma_ros.Intrinsics(**{key: numbers[key] for key in ("fx", "fy", "cx", "cy", "width", "height")})
args.output.mkdir(parents=True, exist_ok=True)
with ssma_ros.load(args.model, output_resolution="camera") as segment:
    for name in names:
        color = read(args.folder / "rgb" / name, cv2.IMREAD_COLOR)
        depth = read(args.folder / "depth" / name)
        nir = read(args.folder / "nir" / name)
        if depth is not None and depth.dtype != np.uint16:
            sys.exit(f"{args.folder}/depth/{name}: is {depth.dtype}, expected uint16 millimetres")
        result = segment(
            color=color,
            depth=None if depth is None else depth.astype(np.float32) * 1e-3,
            nir=nir,
            nir_full_scale=65535.0 if nir is not None and nir.dtype == np.uint16 else 255.0,
            intrinsics=camera,
        )
        cv2.imwrite(str(args.output / name), result.mask)
        print(name, *(f"({stream} blank: {why})" for stream, why in result.missing.items()))
