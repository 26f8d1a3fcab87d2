# SPDX-License-Identifier: Apache-2.0
"""Label images: ids as they are stored, whatever the picture's kind, to train ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ssma_ros.errors import SsmaError
from ssma_ros.labels import apply_raw_ids

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.labels import LabelSet

#: Byte of a PNG file, and tag of a TIFF file, that tell the bits of a sample; tag that tells what 0 is.
_PNG_BITS = 24
_TIFF_BITS, _TIFF_PHOTOMETRIC = 258, 262
_SHOWN = 3


def read_label(path: Path, labels: LabelSet) -> NDArray[np.uint8]:
    """H×W train ids (or the ignore id) of a label image.

    Read are one channel of 1 to 16 bits and the indices of a palette image as raw ids; three or four channels as the
    label set's own colours, or as raw ids where all channels are equal and the colours do not fit.

    Raises:
        SsmaError: missing or unreadable; an id or a colour that the label set does not know; colours and ids both fit.
    """
    raw = read_raw_label(path)
    return apply_raw_ids(raw, labels, path) if raw.ndim == 2 else _painted(raw, labels, path)


def read_raw_label(path: Path) -> NDArray[Any]:
    """H×W ids, or H×W×3 R, G, B of a painted image; what is transparent there is black.

    Raises:
        SsmaError: missing, unreadable, or a JPEG of several colours, whose colours are no longer exact.
    """
    if not path.is_file():
        raise SsmaError(f"label image {path}: no such file")
    try:
        with Image.open(path) as picture:
            picture.load()
            mode, kind = picture.mode, picture.format
            if mode == "1":
                return np.asarray(picture, np.uint8) ^ np.uint8(_stored(picture, path)[1])
            if mode not in ("L", "P", "I;16", "I;16B", "I", "RGB", "RGBA", "LA"):
                raise SsmaError(f"label image {path}: its pixels are of kind {mode}, expected ids or colours")
            bits, inverted = _stored(picture, path)
            pixels = np.asarray(picture)
    except (OSError, ValueError, SyntaxError) as error:
        raise SsmaError(f"label image {path}: cannot be read as an image ({error})") from None
    if kind == "JPEG":
        raise SsmaError(f"label image {path}: is a JPEG, which changes ids and colours, expected a PNG or TIFF file")
    if bits > 8 and mode in ("RGB", "RGBA", "LA"):  # the decoder keeps the upper half, which is 0 for small ids
        raise SsmaError(f"label image {path}: has several channels of {bits} bits, expected channels of 8 bits, or one "
                        "channel with an id per pixel")
    if mode == "L":
        return (np.uint8(255) - pixels if inverted else pixels) // np.uint8(255 // ((1 << min(bits, 8)) - 1))
    if mode in ("LA", "RGBA"):
        clear = pixels[..., -1] == 0
        shown = pixels[~clear][:, :-1]
        # Equal channels are ids; black alone is what a painted image ignores.
        if clear.any() and (mode == "LA" or (shown.any() and (shown == shown[:, :1]).all())):
            raise SsmaError(f"label image {path}: some pixels are transparent, which is no id, expected one channel "
                            "with an id per pixel")
    if mode == "LA":
        return pixels[..., 0]
    if mode == "RGBA":
        return np.where(pixels[..., 3:] == 0, np.uint8(0), pixels[..., :3])
    return pixels


def _stored(picture: Image.Image, path: Path) -> tuple[int, bool]:
    """Bits of a sample, and whether the decoder has inverted it (TIFF whose 0 is white). Of grey samples it stretches 2
    and 4 bits to the range of 8, and of several channels of 16 it keeps the upper 8."""
    if picture.format == "PNG":
        with path.open("rb") as file:
            return file.read(_PNG_BITS + 1)[_PNG_BITS], False
    if picture.format == "TIFF":
        tags = picture.tag_v2  # type: ignore[attr-defined]
        bits = tags.get(_TIFF_BITS, 1)
        return max(bits) if isinstance(bits, tuple) else bits, tags.get(_TIFF_PHOTOMETRIC) == 0
    return 8, False


def _painted(rgb: NDArray[np.uint8], labels: LabelSet, path: Path) -> NDArray[np.uint8]:
    codes = rgb.astype(np.int32) @ np.array([65536, 256, 1])
    known = {(r << 16) + (g << 8) + b: c.id for c in labels.classes for r, g, b in [c.color]}
    if len(known) < labels.num_classes:
        known = {}  # two classes look alike: colours tell nothing
    known.setdefault(0, labels.ignore_id)
    present = np.unique(codes)
    strange = [int(code) for code in present if int(code) not in known]
    of_ids = bool((rgb == rgb[..., :1]).all())
    if of_ids and strange:
        return apply_raw_ids(rgb[..., 0], labels, path)
    if strange:
        shown = ", ".join(str((c >> 16, c >> 8 & 255, c & 255)) for c in strange[:_SHOWN])
        raise SsmaError(
            f"label image {path}: has three channels, and the colours (R, G, B) {shown} are of no class of label set "
            f"'{labels.name}'; expected its colours, a palette image, or one channel with an id per pixel"
        )
    if of_ids and len(present) > 1:
        raise SsmaError(
            f"label image {path}: its three equal channels may be ids or colours of label set '{labels.name}', "
            "expected a palette image or one channel with an id per pixel"
        )
    indices = np.searchsorted(present, codes)
    return np.array([known[int(code)] for code in present], np.uint8)[indices]
