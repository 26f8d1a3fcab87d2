# SPDX-License-Identifier: Apache-2.0
"""The numbers that more than one implementation needs, each stated once.

The NumPy reference and the compiled kernels import them. The CUDA sources get every plain number of this module as a
macro of the same name, from :data:`ssma_ros.kernels.cuda.compiler.DEFINITIONS`.
"""

from __future__ import annotations

import math

#: Metres. A depth is a reading if it is greater than this; the published fill uses the same bound throughout.
EMPTY_BELOW = 0.1

# Depth completion: Ku, Harakeh and Waslander, CRV 2018.
#: Metres up to which a surface counts as near and as medium; what lies beyond is far.
NEAR_UP_TO, MEDIUM_UP_TO = 15.0, 30.0
#: Pixels across the squares that give empty pixels the nearest surface: of the fast variant, and its large one when it
#: extrapolates; of the multi-scale variant, and of its rounds of growing.
FILL_FAST, FILL_LARGE, FILL_MULTISCALE, FILL_GROW, GROW_ROUNDS = 7, 31, 9, 5, 6
#: Of the bilateral filter: pixels, and metres of the fast and of the multi-scale variant.
SIGMA_SPACE = 2.0
SIGMA_DEPTH_FAST, SIGMA_DEPTH_MULTISCALE = 1.5, 0.5

# Registration of another camera's image.
#: A surface hides another in the other camera if the two move against each other by more than this between the
#: cameras, in pixels: strips narrower than that hold no pixel, and nearly equal distances are one surface.
HIDES_FROM = 0.5
#: The least distance over the other camera's image plane, as a share of that over the own one, and the largest growth
#: of a depth pixel on its way to another camera (beside that of the resolutions).
IN_FRONT, LARGEST_GROWTH = 1e-6, 4.0

# HHA: Gupta, Girshick, Arbeláez and Malik, ECCV 2014.
#: Window radii in pixels: fine normals for the angle channel, coarse ones for the gravity estimate. The compiled
#: kernels make a coarse window of three by three fine ones.
FINE_RADIUS = 3
COARSE_RADIUS = 3 * FINE_RADIUS + 1
#: A fit is degenerate if the determinant of its moments is this small against the product of the diagonal.
DEGENERATE_BELOW = 1e-5
#: Degrees of the two stages of the gravity estimate, and iterations of each.
GRAVITY_THRESHOLDS, GRAVITY_ITERATIONS = (45.0, 15.0), 5
#: The floor is this many metres below the camera unless the lowest point is at least so far below it.
ASSUMED_FLOOR, NEAREST_FLOOR = 1.3, 0.9
#: Cosine of 0.1 degrees: up to this tilt the published program takes the image's own down for the height.
LEVEL_ABOVE = math.cos(math.radians(0.1))
#: Grey levels: added to the angle in degrees; disparity times metres; the nearest depth that has its own disparity.
ANGLE_OFFSET, DISPARITY_UNIT, DISPARITY_FROM = 38.0, 310.0, 1.0
#: Histogram of heights over the camera: 1 cm a bin, 40.96 m up and down; what lies beyond counts in the last bin.
HEIGHT_BINS, BINS_PER_METRE = 8192, 100.0

# Vegetation indices, gain·(N − R)/(N + a·R − b·B + c): EVI Huete et al. 2002, EVI2 Jiang et al. 2008.
EVI_GAIN, EVI_RED, EVI_BLUE, EVI2_RED, EVI_OFFSET = 2.5, 6.0, 7.5, 2.4, 1.0

# Work arrays of the CUDA kernels.
#: Planes of row sums for one window radius; partial sums that a thread keeps in the gravity estimate.
SUMS, PARTS = 5, 8
#: Threads of the kernels that stride over an image, and of the one block that ends a sum: a power of two that
#: divides HEIGHT_BINS.
STRIDERS, REDUCERS = 8192, 256
