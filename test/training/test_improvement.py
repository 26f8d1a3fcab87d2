# SPDX-License-Identifier: Apache-2.0
"""Gained and lost pixels by hand, their map, and reports as files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from ssma_ros.contract import Contract
from ssma_ros.labels import load_label_set
from ssma_ros.training.evaluate.observers import Improvement
from ssma_ros.training.evaluate.pictures import (
    BOTH_WRONG,
    GAINED,
    LOST,
    group_chart,
    improvement_map,
    improvement_picture,
    reliability_plot,
    sample_picture,
)
from ssma_ros.training.evaluate.render import Report, Table, write_report
from ssma_ros.training.evaluate.score import CaseResult, GroupScore
from ssma_ros.training.evaluate.tables import group_tables, improvement_table

LABEL = np.array([[0, 0, 0, 1, 1, 255]], np.uint8)
OURS = np.array([[0, 0, 1, 1, 0, 0]], np.uint8)
OTHER = np.array([[0, 1, 0, 2, 3, 0]], np.uint8)


def test_gained_and_lost_by_hand() -> None:
    found = Improvement(load_label_set("synthetic_forest"))
    found.update(OURS, OTHER, LABEL)
    document = found.to_document()
    trail, grass = document["classes"]["trail"], document["classes"]["grass"]
    assert (trail["gained"], trail["lost"], trail["both_wrong"]) == pytest.approx((1 / 3, 1 / 3, 0), abs=1e-6)
    assert (grass["gained"], grass["lost"], grass["both_wrong"]) == (0.5, 0.0, 0.5)
    assert (document["all"]["gained"], document["all"]["lost"]) == (0.4, 0.2)
    # Ours: trail 2 of 4, grass 1 of 3. Other: trail 2 of 3, grass 0 of 3, two classes that are only alarms.
    assert document["miou"] == pytest.approx((2 / 4 + 1 / 3) / 2, abs=1e-6)
    assert document["other_miou"] == pytest.approx((2 / 3 + 0 + 0 + 0) / 4, abs=1e-6)
    assert document["miou_difference"] == pytest.approx(document["miou"] - document["other_miou"], abs=1e-6)
    assert document["classes"]["sky"]["gained"] is None
    table = improvement_table(document, "fusion", "rgb")
    assert table.rows[0] == ["trail", "33.3", "33.3", "+0.0", "0.0", "66.7", "50.0", "-16.7"]
    assert table.rows[-1][:4] == ["all (mIoU)", "40.0", "20.0", "+20.0"]


def test_void_pixels_are_neither_gained_nor_lost() -> None:
    labels = load_label_set("freiburg_forest")
    assert labels.void_class == 0
    found = Improvement(labels)
    found.update(np.array([[1, 1]], np.uint8), np.array([[2, 2]], np.uint8), np.array([[0, 1]], np.uint8))
    document = found.to_document()
    assert document["all"] == {"gained": 1.0, "lost": 0.0, "both_wrong": 0.0}
    assert labels.names[0] not in document["classes"]


def test_map_is_green_where_gained_and_red_where_lost() -> None:
    colors = improvement_map(LABEL, OURS, OTHER, load_label_set("synthetic_forest"))[0]
    assert [tuple(c) for c in colors.tolist()] == [(255, 255, 255), GAINED, LOST, GAINED, BOTH_WRONG, (0, 0, 0)]
    assert GAINED[1] > max(GAINED[0], GAINED[2])
    assert LOST[0] > max(LOST[1], LOST[2])


def test_pictures_hold_their_panels(contract: Contract) -> None:
    label = np.zeros((32, 64), np.uint8)
    image = np.full((32, 64, 3), (10, 20, 30), np.uint8)
    picture = improvement_picture(image, label, {"fusion": label + 1, "rgb": label}, contract)
    assert picture.shape == (2 * (20 + 16), 3 * 32, 3)
    assert (picture[20:36, :32] == (30, 20, 10)).all(), "the input is BGR"
    assert (picture[20:36, 64:] == LOST).all()
    sample = sample_picture([image, image], label, label + 1, contract)
    assert sample.shape == (2 * (20 + 16), 3 * 32, 3)
    assert (sample[20:36, 64:] == 255).all(), "two streams leave the third place of the row empty"
    assert (sample[56:, 64:] == LOST).all()
    assert reliability_plot([{"confidence": 0.9, "accuracy": 0.5, "share": 1.0}]).shape == (360, 360, 3)


def test_chart_has_a_dot_for_every_value() -> None:
    empty = group_chart({"a": {"fog": None, "rain": None}, "b": {"fog": None}})
    full = group_chart({"a": {"fog": 0.0, "rain": 1.0}, "b": {"fog": 0.5}})
    assert empty.shape == full.shape
    changed = (empty != full).any(axis=2).astype(np.uint8)
    assert cv2.connectedComponents(changed)[0] - 1 == 3


def result_with(**miou: float | None) -> CaseResult:
    groups = {name: GroupScore(2, {"miou": value}) for name, value in miou.items()}
    return CaseResult("all sensors", 4, {"miou": 0.5, "iou": {}}, 0.0, groups=groups)


def test_conditions_table_has_mean_and_deviation() -> None:
    results = {"rgb": result_with(clear=0.8, night=0.4), "ssma": result_with(clear=0.8, fog=0.6)}
    (table,) = group_tables(results, "network")
    assert table.head == ["network", "clear", "night", "fog", "mean", "std"]
    assert table.rows == [["rgb", "80.0", "40.0", "–", "60.0", "20.0"], ["ssma", "80.0", "–", "60.0", "70.0", "10.0"]]
    assert "clear 2, night 2, fog 2" in table.note
    assert group_tables({"rgb": replace(result_with(), groups={})}) == []


def test_report_is_written_three_ways(tmp_path: Path) -> None:
    table = Table("A <table>", ["name", "x|y"], [["a&b", "1"]], "A note.")
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[..., 0] = 200
    write_report(tmp_path, Report("Title", {"model": "m"}, {"results": [1]}, [table], {"red": picture}))
    assert json.loads((tmp_path / "report.json").read_text()) == {"model": "m", "results": [1]}
    text = (tmp_path / "report.md").read_text()
    assert "## A <table>\n\n| name | x\\|y |\n| --- | --- |\n| a&b | 1 |\n\nA note.\n\n![red](red.png)" in text
    page = (tmp_path / "report.html").read_text()
    assert "<h2>A &lt;table&gt;</h2>" in page
    assert "<td>a&amp;b</td>" in page
    assert '<img src="red.png"' in page
    written = cv2.imread(str(tmp_path / "red.png"))
    assert written is not None
    assert written[0, 0].tolist() == [0, 0, 200]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["red.png", "report.html", "report.json", "report.md"]
