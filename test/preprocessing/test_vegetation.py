# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssma_ros.encodings.vegetation import encode_index, evi, evi2, ndvi, reflectance, to_uint8


def one(value: float) -> np.ndarray:
    return np.full((1, 1), value, np.float32)


@pytest.mark.parametrize(
    ("index", "bands", "expected"),
    [
        (ndvi, (0.5, 0.1), 0.4 / 0.6),
        (ndvi, (0.0, 0.0), 0.0),
        (evi2, (0.5, 0.1), 2.5 * 0.4 / (0.5 + 0.24 + 1)),
        (evi, (0.5, 0.1, 0.05), 2.5 * 0.4 / (0.5 + 0.6 - 0.375 + 1)),
        (evi, (0.2, 0.1, 0.9), 1.0),  # denominator below 0: the limit from above
        (evi, (0.1, 0.2, 0.9), -1.0),
        (evi, (0.1, 0.1, 0.9), 0.0),
    ],
)
def test_formulas(index, bands, expected):
    assert index(*(one(b) for b in bands))[0, 0] == pytest.approx(expected, abs=1e-6)


@given(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3))
def test_indices_are_bounded(bands):
    nir, red, blue = (one(b) for b in bands)
    for value in (ndvi(nir, red), evi(nir, red, blue), evi2(nir, red)):
        assert value.dtype == np.float32
        assert -1 <= value[0, 0] <= 1


def test_evi_on_a_real_landscape(shared_data):
    """A tenth of the pixels have no denominator; taken as 0..255 by mistake, half of them."""
    folder = shared_data / "rgb_nir_landscape"
    color = cv2.imread(str(folder / "rgb_landscape_aligned.png"))
    nir = cv2.imread(str(folder / "nir_landscape_aligned.png"), cv2.IMREAD_GRAYSCALE)
    blue, _, red = (reflectance(color[..., i]) for i in range(3))
    n = reflectance(nir)
    singular = n + 6 * red - 7.5 * blue + 1 <= 0
    assert 0.05 < singular.mean() < 0.2
    assert (255 * (n + 6 * red - 7.5 * blue) + 1 <= 0).mean() > 0.4
    np.testing.assert_array_equal(evi(n, red, blue)[singular], np.sign(n - red)[singular])


def test_reflectance_uses_the_full_scale_of_the_sensor():
    assert reflectance(np.array([[255]], np.uint8))[0, 0] == 1
    assert reflectance(np.array([[65535]], np.uint16))[0, 0] == 1
    assert reflectance(np.array([[4095]], np.uint16), 4095)[0, 0] == 1
    assert reflectance(np.array([[np.nan, 2.0, -1.0]], np.float32)).tolist() == [[0, 1, 0]]
    with pytest.raises(ValueError, match="dtype is int32, expected uint8, uint16 or floating"):
        reflectance(np.zeros((1, 1), np.int32))
    with pytest.raises(ValueError, match="full_scale: got 0"):
        reflectance(np.zeros((1, 1), np.uint8), 0)


def test_integers_are_not_taken_for_reflectance():
    with pytest.raises(ValueError, match="nir: dtype is uint8, expected float32 reflectance"):
        ndvi(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match=r"red: shape is \(2, 3\), expected \(2, 2\)"):
        evi2(np.zeros((2, 2), np.float32), np.zeros((2, 3), np.float32))


def test_mapping():
    assert to_uint8(np.array([[-1, 0, 1, np.nan, 7]], np.float32)).tolist() == [[0, 128, 255, 128, 255]]


@pytest.mark.parametrize("index", ["ndvi", "evi", "evi2"])
@pytest.mark.parametrize(("dtype", "full_scale"), [(np.uint8, 255.0), (np.uint8, 200.0), (np.uint16, 1023.0)])
def test_sensor_values_are_encoded_as_the_formula_says(implementation, index, dtype, full_scale):
    rng = np.random.default_rng(0)
    height, width = 251, 307  # no whole number of the pieces that kernels work in
    color = rng.integers(0, 256, (height, width, 3), np.uint8)
    nir = rng.integers(0, int(full_scale * 1.2) if dtype == np.uint16 else 256, (height, width)).astype(dtype)
    blue, _, red = (reflectance(color[..., i]) for i in range(3))
    reflected = reflectance(nir, full_scale)
    values = evi(reflected, red, blue) if index == "evi" else {"ndvi": ndvi, "evi2": evi2}[index](reflected, red)
    out = np.empty_like(color)
    assert encode_index(index, color, nir, full_scale, out) is out
    np.testing.assert_array_equal(out, np.repeat(to_uint8(values)[..., None], 3, axis=-1))
    padded = np.zeros((height, 310, 3), np.uint8)
    padded[:, :width] = color
    padded.setflags(write=False)
    np.testing.assert_array_equal(encode_index(index, padded[:, :width], nir, full_scale), out)
