# SPDX-License-Identifier: Apache-2.0
"""The shipped label sets, and label-set files that are wrong."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from ssma_ros.errors import SsmaError
from ssma_ros.labels import available_label_sets, load_label_set
from ssma_ros.labels.label_set import parse_label_set

SIZES = {
    "cityscapes19": 19,
    "cityscapes11": 12,
    "synthia12": 13,
    "sunrgbd37": 38,
    "scannet20": 21,
    "freiburg_forest": 6,
    "synthetic_forest": 5,
    "crop_weed": 3,
    "pothole": 2,
}
OUTDOORS = ("cityscapes19", "cityscapes11", "synthia12", "freiburg_forest", "synthetic_forest", "crop_weed",
            "pothole")
GOOD: dict[str, Any] = {
    "name": "two",
    "classes": [{"id": 0, "name": "ground", "color": [1, 2, 3]}, {"id": 1, "name": "sky", "color": [4, 5, 6]}],
    "raw_ids": {"7": 0, "8": 1, "0": 255},
}


def test_every_set_of_the_paper_ships() -> None:
    assert set(SIZES) <= set(available_label_sets())


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_shipped_set(name: str, size: int) -> None:
    labels = load_label_set(name)
    assert labels.name == name
    assert labels.num_classes == size
    assert labels.description
    # Every class can be reached from a raw id, and colours tell classes apart.
    assert set(range(size)) <= set(labels.raw_ids.values())
    assert len({c.color for c in labels.classes}) == size
    for label in labels.classes:
        assert (label.traversability is not None) == (name in OUTDOORS)


@pytest.mark.parametrize("name", ["cityscapes11", "synthia12", "sunrgbd37", "scannet20", "freiburg_forest"])
def test_sets_of_the_authors_checkpoints_have_void_first(name: str) -> None:
    labels = load_label_set(name)
    assert labels.void_class == 0
    assert labels.names[0] == "void"


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        ("cityscapes19", 7, "road"),
        ("cityscapes19", 33, "bicycle"),
        ("cityscapes11", 7, "road"),
        ("cityscapes11", 26, "car"),
        ("synthia12", 22, "lane_marking"),
        ("scannet20", 39, "other_furniture"),
        ("sunrgbd37", 37, "bag"),
        ("freiburg_forest", 3, "vegetation"),
    ],
)
def test_raw_ids_of_the_data_sets(name: str, raw: int, expected: str) -> None:
    labels = load_label_set(name)
    assert labels.names[labels.raw_ids[raw]] == expected


def test_cityscapes19_ignores_what_the_benchmark_ignores() -> None:
    labels = load_label_set("cityscapes19")
    ignored = {raw for raw, train in labels.raw_ids.items() if train == labels.ignore_id}
    assert ignored == {-1, 0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30, 255}


def test_palette_has_the_colors_and_black_elsewhere() -> None:
    palette = load_label_set("synthetic_forest").palette()
    assert palette[1] == (0, 255, 0)
    assert palette[255] == (0, 0, 0)
    assert len(palette) == 256


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(SsmaError, match=r"no such set, expected one of .*cityscapes11"):
        load_label_set("cityscapes12")


def test_own_file_by_path(tmp_path: Path) -> None:
    path = tmp_path / "two.json"
    path.write_text(json.dumps(GOOD), encoding="utf-8")
    assert load_label_set(path).names == ("ground", "sky")


def test_a_raw_id_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "two.json"
    path.write_text(json.dumps(GOOD).replace('"7": 0', '"7": 0, "7": 1'), encoding="utf-8")
    with pytest.raises(SsmaError, match="key '7' stands twice in one object"):
        load_label_set(path)


def test_file_that_is_not_json(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(SsmaError, match="cannot be read as JSON"):
        load_label_set(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": []}, "expected 0, 1, 2"),
        ({"classes": [{"id": 1, "name": "a", "color": [0, 0, 0]}]}, "expected 0, 1, 2"),
        ({"classes": [{"id": 0, "name": "a", "color": [0, 0, 256]}]},
         r"classes\[0\]\.color is \[0, 0, 256\], expected 0 to 255"),
        ({"classes": [{"id": 0, "name": "Tall Grass", "color": [0, 0, 0]}]}, "lower-case"),
        ({"classes": [{"id": 0, "name": "a", "color": [0, 0, 0], "traversability": 2}]},
         r"classes\[0\]\.traversability is 2, expected 0 to 1"),
        ({"classes": [dict(GOOD["classes"][0]), {**GOOD["classes"][1], "name": "ground"}]}, "share a name"),
        ({"ignore_id": 1}, "ignore_id is 1"),
        ({"ignore_id": 256}, "ignore_id is 256"),
        ({"void_class": 2}, "void_class is 2"),
        ({"raw_ids": {"7": 2}}, "7 → 2"),
        ({"classes": [{"id": 0, "color": [0, 0, 0]}]}, r"has no classes\[0\]\.name, expected a string"),
        ({"void_class": True}, "void_class is true, expected a whole number or null"),
        ({"ignore_index": 255}, r"unknown key 'ignore_index', .*\('ignore_id' may be meant\)"),
        ({"classes": [{"id": 0, "name": "a", "colour": [0, 0, 0]}]},
         r"unknown key 'classes\[0\]\.colour', .*'color' m"),
        ({"classes": [{"id": 0, "name": "a", "color": [0.5, 0.2, 1.0]}]}, "color is .*, expected three whole numbers"),
        ({"classes": [{"id": 0, "name": "a", "color": [1, 0, 0]}, {"id": 1, "name": "b", "color": [0.0, 1.0, 0.0]}]},
         "all colors are 0 or 1, expected R, G, B from 0 to 255"),
        ({"raw_ids": {"7": 0, "07": 1}}, "raw_ids has 7 twice"),
        ({"raw_ids": {"seven": 0}}, 'a key of raw_ids is "seven", expected a whole number'),
        ({"raw_ids": [[7, 0]]}, "raw_ids is .*, expected a mapping"),
    ],
)
def test_wrong_file_ends_in_a_sentence(change: dict[str, Any], message: str) -> None:
    document = {**copy.deepcopy(GOOD), **change}
    with pytest.raises(SsmaError, match=message):
        parse_label_set(document, "two.json")
