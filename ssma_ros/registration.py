# SPDX-License-Identifier: Apache-2.0
"""Depth of one camera seen from another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.frame import Intrinsics


def reproject_depth(
    depth: NDArray[np.float32],
    source: Intrinsics,
    target: Intrinsics,
    rotation: NDArray[np.float64],
    translation: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Project every measured point into another camera; the nearest surface wins where several meet.

    Each source pixel lands on one target pixel, so a target of higher resolution has gaps between them; depth
    completion closes those like any other hole.

    Args:
        depth: H×W float32 metres, 0 = no reading, in the pixels of ``source``.
        source, target: of the two cameras.
        rotation: 3×3, takes directions of the source's optical frame to the target's.
        translation: 3, metres, origin of the source's optical frame in the target's.

    Returns:
        H'×W' float32 metres in the pixels of ``target``, 0 = no reading.
    """
    rows, columns = np.nonzero(depth > 0)
    z = depth[rows, columns].astype(np.float64)
    points = np.stack([(columns - source.cx) / source.fx * z, (rows - source.cy) / source.fy * z, z])
    x, y, z = rotation @ points + translation[:, None]
    front = z > 0
    x, y, z = x[front], y[front], z[front]
    u = np.rint(x / z * target.fx + target.cx)
    v = np.rint(y / z * target.fy + target.cy)
    inside = (u >= 0) & (u < target.width) & (v >= 0) & (v < target.height)
    u, v, z = u[inside].astype(np.intp), v[inside].astype(np.intp), z[inside]
    order = np.argsort(-z, kind="stable")  # of equal indices the last assignment, the nearest, stays
    registered = np.zeros((target.height, target.width), np.float32)
    registered[v[order], u[order]] = z[order]
    return registered
