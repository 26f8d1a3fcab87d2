# SPDX-License-Identifier: Apache-2.0
"""Vegetation indices from near infrared and colour.

All work on reflectance-like values in 0..1: divide 8-bit images by 255 and 16-bit images by the sensor's full scale
(:func:`reflectance` does), never by the maximum of a frame. On 0..255 values EVI is meaningless: its constants have
the unit of reflectance, and half of all pixels then meet a denominator ≤ 0.

Sources: NDVI Rouse et al. 1974; EVI Huete et al. 2002; EVI2 Jiang et al. 2008.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.encodings.base import Encoding, StreamEncoder
from ssma_ros.encodings.nir import index_twin
from ssma_ros.kernels.backend import compiled_modules
from ssma_ros.kernels.shared.checks import check_out, check_positive
from ssma_ros.kernels.shared.constants import EVI2_RED, EVI_BLUE, EVI_GAIN, EVI_OFFSET, EVI_RED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.frame import Frame

    Image = NDArray[np.float32]

_GAIN, _OFFSET = np.float32(EVI_GAIN), np.float32(EVI_OFFSET)


def reflectance(image: NDArray[Any], full_scale: float | None = None) -> Image:
    """Integer or float sensor values as float32 in 0..1.

    Args:
        image: any shape; uint8, uint16 or floating.
        full_scale: value of a saturated pixel; None = 255 for uint8, 65535 for uint16, 1 for floating. A 16-bit
            stream of a 10- or 12-bit sensor has its own: 1023 or 4095.

    Raises:
        ValueError: another dtype, or ``full_scale`` is not positive.
    """
    if image.dtype not in (np.uint8, np.uint16) and not np.issubdtype(image.dtype, np.floating):
        raise ValueError(f"image: dtype is {image.dtype}, expected uint8, uint16 or floating")
    if full_scale is None:
        full_scale = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}.get(image.dtype, 1.0)
    scaled = image.astype(np.float32) / np.float32(check_positive(full_scale, "full_scale"))
    return np.asarray(np.clip(np.nan_to_num(scaled, nan=0.0), 0.0, 1.0))


def ndvi(nir: Image, red: Image) -> Image:
    """(N − R)/(N + R) in [−1, 1]; 0 where both are 0. Arguments: equal shapes, reflectance in 0..1."""
    nir, red = _checked(nir=nir, red=red)
    return _ratio(nir - red, nir + red)


def evi(nir: Image, red: Image, blue: Image) -> Image:
    """2.5(N − R)/(N + 6R − 7.5B + 1), clipped to [−1, 1].

    The denominator vanishes on bright, blue-rich pixels (sky, water, snow: a tenth of a real landscape). There the
    index has no meaning; where it is ≤ 0 the sign of N − R decides (1, 0 or −1), which is the limit from above.
    """
    nir, red, blue = _checked(nir=nir, red=red, blue=blue)
    return _ratio(_GAIN * (nir - red), nir + np.float32(EVI_RED) * red - np.float32(EVI_BLUE) * blue + _OFFSET)


def evi2(nir: Image, red: Image) -> Image:
    """2.5(N − R)/(N + 2.4R + 1), clipped to [−1, 1]: no singularity, safe for cameras without calibration."""
    nir, red = _checked(nir=nir, red=red)
    return _ratio(_GAIN * (nir - red), nir + np.float32(EVI2_RED) * red + _OFFSET)


def to_uint8(index: Image) -> NDArray[np.uint8]:
    """Index in [−1, 1] as 0..255: (x + 1)·127.5 rounded; NaN becomes 128, as 0 does."""
    scaled = (np.clip(np.nan_to_num(index, nan=0.0), -1.0, 1.0) + np.float32(1)) * np.float32(127.5)
    return np.rint(scaled).astype(np.uint8)


#: Of each index, gain·(N − R)/(N + a·R − b·B + c): gain, a, b, c.
_COEFFICIENTS = {
    "ndvi": (1.0, 1.0, 0.0, 0.0),
    "evi": (EVI_GAIN, EVI_RED, EVI_BLUE, EVI_OFFSET),
    "evi2": (EVI_GAIN, EVI2_RED, 0.0, EVI_OFFSET),
}


def encode_index(
    index: str,
    color: NDArray[np.uint8],
    nir: NDArray[np.uint8] | NDArray[np.uint16],
    full_scale: float,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """An index of sensor values as a picture: :func:`to_uint8` in all three channels.

    Args:
        index: ``ndvi``, ``evi`` or ``evi2``.
        color: H×W×3 uint8 in OpenCV's order (B, G, R); 255 is reflectance 1.
        nir: H×W uint8 or uint16.
        full_scale: value of ``nir`` that is reflectance 1; beyond it a pixel is saturated.
        out: where to write the result, H×W×3 uint8 C-contiguous; new if None.

    Returns:
        H×W×3 uint8.

    Raises:
        ValueError: ``out`` is of another shape or dtype, or ``full_scale`` is not positive.
    """
    result = check_out(out, (*nir.shape, 3), np.uint8)
    scale = np.float32(check_positive(full_scale, "full_scale"))
    compiled = compiled_modules()
    if compiled is not None:
        # The one kind of array that the kernel is compiled for; a copy only of rows with padding and of read-only ones.
        flat_color, flat_nir = (np.require(image, requirements=("C", "A", "W")).reshape(-1) for image in (color, nir))
        coefficients = (np.float32(value) for value in _COEFFICIENTS[index])
        compiled.images.vegetation(flat_color, flat_nir, scale, *coefficients, result.reshape(-1))
        return result
    return np.asarray(cv2.cvtColor(_plain_levels(index, color, nir, scale), cv2.COLOR_GRAY2BGR, dst=result), np.uint8)


def _plain_levels(index: str, color: NDArray[np.uint8], nir: NDArray[Any], scale: np.float32) -> NDArray[np.uint8]:
    if nir.dtype == np.uint8 and scale == 255 and index != "evi":
        # One flat look-up is four times as quick as numpy's indexing by two arrays.
        pairs = color[..., 2].astype(np.uint16)
        pairs <<= 8
        pairs |= nir
        return np.asarray(np.take(_table(index).reshape(-1), pairs), np.uint8)
    blue, _green, red = (color[..., i].astype(np.float32) / np.float32(255) for i in range(3))
    return to_uint8(_index(index, np.minimum(nir.astype(np.float32) / scale, np.float32(1)), red, blue))


def _index(index: str, nir: Image, red: Image, blue: Image) -> Image:
    return evi(nir, red, blue) if index == "evi" else (ndvi if index == "ndvi" else evi2)(nir, red)


@lru_cache(maxsize=2)
def _table(index: str) -> NDArray[np.uint8]:
    """Encoded index for every pair [red, near infrared] of 8-bit values: one look-up a pixel."""
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    nir, red = np.meshgrid(levels, levels)
    table = to_uint8(_index(index, nir, red, red))
    table.setflags(write=False)
    return table


def _ratio(numerator: Image, denominator: Image) -> Image:
    """Quotient clipped to [−1, 1]; the sign of the numerator where the denominator is not positive."""
    result = np.sign(numerator)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return np.asarray(np.clip(result, np.float32(-1), np.float32(1)))


def _checked(**images: NDArray[Any]) -> list[Image]:
    shape = next(iter(images.values())).shape
    for name, image in images.items():
        if not np.issubdtype(image.dtype, np.floating):
            raise ValueError(f"{name}: dtype is {image.dtype}, expected float32 reflectance (see reflectance())")
        if image.shape != shape:
            raise ValueError(f"{name}: shape is {image.shape}, expected {shape} as nir has")
    return [image.astype(np.float32, copy=False) for image in images.values()]


class _Index(StreamEncoder):
    index = ""

    def encode(self, frame: Frame, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return encode_index(self.index, frame.color, frame.nir, frame.nir_full_scale, out)


ENCODINGS = tuple(
    Encoding(
        name, ("color", "nir"), type(f"_{name.capitalize()}", (_Index,), {"index": name}), index_twin(name),
        order="grey", shows="vegetation index", unseen=128,  # index 0, as of NaN: 0 would be index -1, water
    )
    for name in _COEFFICIENTS
)
