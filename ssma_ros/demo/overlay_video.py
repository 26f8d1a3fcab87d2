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
    frames: Iterable[tuple[int, NDArray[np.uint8], NDArray[np.uint8]]],
    labels: LabelSet,
    *,
    rate: float,
    note: str,
) -> str:
    """Write the video.

    Args:
        path: of the ``.mp4``.
        frames: (stamp_ns, H×W×3 uint8 RGB camera image, h×w uint8 mask) in order of time, at least one.
        labels: classes of the masks.
        rate: frames a second.
        note: written at the lower right, for example the model's name.

    Returns:
        The codec in words.
    """
    iterator = iter(frames)
    first_stamp, image, mask = next(iterator)
    width, height = mask.shape[1] // 2 * 2, mask.shape[0] // 2 * 2
    foot = _foot(labels, 2 * width, note)
    with VideoWriter(path, 2 * width, height + _FOOT, rate) as video:
        video.write(_compose(image, mask, labels, foot, 0.0))
        for stamp, image, mask in iterator:
            video.write(_compose(image, mask, labels, foot, (stamp - first_stamp) * 1e-9))
        return video.codec


def _compose(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], labels: LabelSet, foot: NDArray[np.uint8], seconds: float
) -> NDArray[np.uint8]:
    width, height = mask.shape[1] // 2 * 2, mask.shape[0] // 2 * 2
    overlay = pictures.overlay_picture(image, mask, labels)
    camera = pictures.resize(image, mask.shape[1], mask.shape[0])
    canvas = Canvas(2 * width, height + _FOOT)
    canvas.paste(np.ascontiguousarray(camera[:height, :width]), 0, 0)
    canvas.paste(np.ascontiguousarray(overlay[:height, :width]), width, 0)
    canvas.paste(foot, 0, height)
    canvas.text_right(f"{seconds:4.1f} s", 2 * width - 16, height + 15, 18)
    return canvas.array()


def _foot(labels: LabelSet, width: int, note: str) -> NDArray[np.uint8]:
    canvas = Canvas(width, _FOOT)
    canvas.legend(labels, 16, 14, 18)
    canvas.text_right(note, width - 90, 15, 18, MUTED)
    return canvas.array()
