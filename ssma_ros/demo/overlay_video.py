# SPDX-License-Identifier: Apache-2.0
"""The drive as a video: camera on the left, the node's segmentation over it on the right, classes below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.demo import pictures
from ssma_ros.demo.text import MUTED, Canvas
from ssma_ros.demo.video import VideoWriter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.labels import LabelSet

_FOOT = 48


def write_overlay_video(
    path: Path,
    frames: Iterable[tuple[int, NDArray[np.uint8], NDArray[np.uint8] | None]],
    size: tuple[int, int],
    labels: LabelSet,
    *,
    rate: float,
    note: str,
) -> str:
    """Write the video.

    Args:
        path: of the ``.mp4``.
        frames: (stamp_ns, H×W×3 uint8 RGB camera image, h×w uint8 mask) in order of time. Where there is no mask
            (the frame was dropped) the right half goes on showing the last segmentation, as a viewer would have it.
        size: width and height of the masks.
        labels: classes of the masks.
        rate: frames a second.
        note: written at the lower right, for example the model's name.

    Returns:
        The codec in words.
    """
    width, height = size[0] // 2 * 2, size[1] // 2 * 2
    foot = _foot(labels, 2 * width, note)
    first_stamp: int | None = None
    right: NDArray[np.uint8] | None = None
    with VideoWriter(path, 2 * width, height + _FOOT, rate) as video:
        for stamp, image, mask in frames:
            first_stamp = stamp if first_stamp is None else first_stamp
            left = pictures.resize(image, *size)[:height, :width]
            if mask is not None:
                right = pictures.overlay_picture(image, mask, labels)[:height, :width]
            canvas = Canvas(2 * width, height + _FOOT)
            canvas.paste(np.ascontiguousarray(left), 0, 0)
            canvas.paste(np.ascontiguousarray(left if right is None else right), width, 0)
            canvas.paste(foot, 0, height)
            canvas.text_right(f"{(stamp - first_stamp) * 1e-9:4.1f} s", 2 * width - 16, height + 15, 18)
            video.write(canvas.array())
        return video.codec


def _foot(labels: LabelSet, width: int, note: str) -> NDArray[np.uint8]:
    canvas = Canvas(width, _FOOT)
    canvas.legend(labels, 16, 14, 18)
    canvas.text_right(note, width - 90, 15, 18, MUTED)
    return canvas.array()
