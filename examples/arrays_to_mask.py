# SPDX-License-Identifier: Apache-2.0
"""Three arrays to a mask: what a notebook types.

The scene is made up, so that this runs anywhere; yours comes from a camera driver, from files or from a recording.
"""

import numpy as np

import ssma_ros

WIDTH, HEIGHT, CAMERA_HEIGHT = 640, 360, 0.8
camera = ssma_ros.Intrinsics(fx=420.0, fy=420.0, cx=319.5, cy=179.5, width=WIDTH, height=HEIGHT)
horizon = HEIGHT // 2

# Colour is BGR, as OpenCV reads it. Of an RGB picture give picture[..., ::-1].
color = np.full((HEIGHT, WIDTH, 3), (50, 110, 90), np.uint8)
color[:horizon] = (235, 205, 170)

# Depth is float32 metres, 0 where there is no reading. Divide millimetres (uint16) by 1000 first.
below = np.arange(HEIGHT - horizon, dtype=np.float32) + horizon - camera.cy  # pixels below the horizon
depth = np.zeros((HEIGHT, WIDTH), np.float32)
depth[horizon:] = (CAMERA_HEIGHT * camera.fy / below)[:, None]

# Near infrared is uint8, or uint16 with nir_full_scale, the value of a saturated pixel.
nir = np.full((HEIGHT, WIDTH), 170, np.uint8)
nir[:horizon] = 60

with ssma_ros.load("forest_rgb_hha_evi", output_resolution="camera") as segment:
    result = segment(color=color, depth=depth, nir=nir, intrinsics=camera)

print(f"mask: {result.mask.shape[1]}x{result.mask.shape[0]} {result.mask.dtype}, 255 = unlabelled")
for label in segment.labels.classes:
    print(f"{label.id} {label.name:12} {np.mean(result.mask == label.id):6.1%}")
