# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ssma_ros.demo import pictures
from ssma_ros.demo.contact_sheet import contact_sheet
from ssma_ros.demo.scene import Scene
from ssma_ros.labels import load_label_set

LABELS = load_label_set("synthetic_forest")


def a_scene(index: int = 0, **changes) -> Scene:
    mask = np.repeat(np.arange(48, dtype=np.uint8)[:, None] // 10, 96, axis=1)
    gradient = np.linspace(0, 255, 96).astype(np.uint8)[None].repeat(48, axis=0)
    values = {
        "stamp_ns": index * 10**8,
        "color": np.repeat(gradient[..., None], 3, axis=2),
        "mask": mask,
        "sensors": {"depth": np.full((48, 96), 5.0, np.float32), "nir": gradient},
        "label": mask,
        "confidence": gradient,
        "depth_completed": np.full((48, 96), 5.0, np.float32),
        "inputs": {"hha": np.zeros((48, 96, 3), np.uint8), "evi": np.zeros((48, 96, 3), np.uint8)},
        "notes": {"hha": "disparity, height, angle", "evi": "vegetation index"},
        "gates": {"rgb": np.full((3, 6), 0.5, np.float32), "hha": np.full((3, 6), 0.3, np.float32)},
    }
    return Scene(**{**values, **changes})


def test_depth_without_reading_is_dark_and_near_differs_from_far():
    depth = np.array([[0.0, np.nan, 1.0, 40.0, 400.0]], np.float32)
    nothing, not_a_number, near, far, beyond = pictures.depth_picture(depth)[0].tolist()
    assert nothing == not_a_number == list(pictures.NOTHING)
    assert far == beyond
    assert near[0] > far[0]  # near is red


def test_shares_of_both_kinds_give_the_same_picture():
    as_bytes = np.array([[0, 128, 255]], np.uint8)
    np.testing.assert_array_equal(
        pictures.share_picture(as_bytes), pictures.share_picture(as_bytes.astype(np.float32) / 255)
    )


def test_classes_have_their_colours_and_the_unlabelled_is_dark():
    picture = pictures.class_picture(np.array([[0, 3, 255]], np.uint8), LABELS)
    assert picture[0].tolist() == [list(LABELS.classes[0].color), list(LABELS.classes[3].color), list(pictures.NOTHING)]


def test_overlay_blends_inside_and_leaves_the_unlabelled_alone():
    image = np.full((20, 20, 3), 100, np.uint8)
    mask = np.full((20, 20), 255, np.uint8)
    mask[:, :10] = 1  # grass is pure green
    overlay = pictures.overlay_picture(image, mask, LABELS, opacity=0.5)
    assert overlay[5, 3].tolist() == [50, 178, 50]
    assert overlay[5, 15].tolist() == [100, 100, 100]
    assert overlay[5, 10].tolist() == [50, 50, 50]  # the border


def test_overlay_takes_the_size_of_the_mask():
    image = np.zeros((40, 40, 3), np.uint8)
    assert pictures.overlay_picture(image, np.zeros((20, 30), np.uint8), LABELS).shape == (20, 30, 3)


def test_sheet_holds_every_tile_and_the_strip():
    sheet = contact_sheet(a_scene(), [a_scene(i) for i in range(6)], LABELS, title="a", subtitle="b")
    smaller = contact_sheet(a_scene(gates={}), [], LABELS, title="a", subtitle="b")
    assert sheet.dtype == np.uint8
    assert sheet.shape[1:] == smaller.shape[1:] == (2026, 3)
    assert sheet.shape[0] > smaller.shape[0]
    green = np.array(LABELS.classes[1].color)
    assert (sheet == green).all(-1).sum() > 480 * 40  # segmentation, labels and legend


@pytest.mark.parametrize("absent", ["depth", "nir", "label", "confidence", "depth_completed"])
def test_sheet_says_what_was_not_recorded(absent):
    full = contact_sheet(a_scene(), [], LABELS, title="a", subtitle="b")
    sensors = a_scene().sensors
    changes = {"sensors": {**sensors, absent: None}} if absent in sensors else {absent: None}
    without = contact_sheet(a_scene(**changes), [], LABELS, title="a", subtitle="b")
    assert without.shape == full.shape
    assert (without != full).any()


def test_sheet_shows_the_classes_iou():
    plain = contact_sheet(a_scene(), [], LABELS, title="a", subtitle="b")
    scored = contact_sheet(a_scene(), [], LABELS, title="a", subtitle="b", class_iou={"grass": 0.5})
    assert (plain[-60:] != scored[-60:]).any()
    np.testing.assert_array_equal(plain[:-70], scored[:-70])
