# SPDX-License-Identifier: Apache-2.0
"""A network's masks as a start for people."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from extraction.recordings_of import write_float_recording
from recordings.small_recording import HEIGHT, WIDTH, color, write_small_recording
from ros.stub_network import StubBackend, stub_contract

from ssma_ros import inference
from ssma_ros.annotation.samples import list_samples, write_mask
from ssma_ros.cli.main import main
from ssma_ros.labels import load_label_set

NETWORK = load_label_set("synthetic_forest")


@pytest.fixture(autouse=True)
def stub_network(monkeypatch):
    """Class of a pixel = red / 64."""
    monkeypatch.setattr(inference, "load_backend", lambda model, **_: StubBackend(stub_contract(WIDTH, HEIGHT)))


@pytest.fixture
def root(tmp_path):
    drive = write_small_recording(tmp_path / "drive", frames=3)
    assert main(["extract", str(drive), "-o", str(tmp_path / "set"), "--every", "0", "--split", "train",
                 "--quiet"]) == 0
    return tmp_path / "set"


def masks(root, labels):
    return {sample.name: sample.read_mask("prelabel", labels) for sample in list_samples(root)}


def expected(index):
    return color(index)[..., 2] // 64


def test_the_networks_masks_lie_beside_the_labels(root, capsys):
    assert main(["labels", "prelabel", str(root), "--min-confidence", "0", "--quiet"]) == 0
    found = masks(root, NETWORK)
    for index in range(3):
        np.testing.assert_array_equal(found[f"drive_{index:06d}"], expected(index))
    assert not (root / "train" / "label").exists()
    facts = json.loads((root / "train" / "prelabel" / "prelabel.json").read_text())
    assert facts["classes"]["trail"] == "trail"
    assert load_label_set(root / "labels.json") == NETWORK
    assert "3 pictures pre-labelled" in capsys.readouterr().out


def test_what_the_network_is_not_sure_of_is_left_to_people(root):
    backend = StubBackend(stub_contract(WIDTH, HEIGHT))
    from ssma_ros.segmenter import Segmenter
    from ssma_ros.training.datasets.folder import PictureFolder

    confidence = Segmenter(backend)(PictureFolder(root, "train", NETWORK).frame(0)).confidence
    level = (int(confidence.max()) + 1) / 255.0
    assert main(["labels", "prelabel", str(root), "--min-confidence", f"{level:.4f}", "--quiet"]) == 0
    assert (masks(root, NETWORK)["drive_000000"] == 255).all()


def test_classes_are_those_of_the_data_set(root, capsys, tmp_path):
    classes = [{"id": 0, "name": "way", "color": [200, 0, 0]}, {"id": 1, "name": "sky", "color": [0, 0, 200]}]
    own = {"name": "own", "classes": classes, "raw_ids": {"7": 0, "9": 1, "0": 255}}
    (tmp_path / "own.json").write_text(json.dumps(own))
    assert main(["labels", "prelabel", str(root), "--labels", str(tmp_path / "own.json"), "--map", "trail=way",
                 "--min-confidence", "0", "--quiet"]) == 0
    labels = load_label_set(tmp_path / "own.json")
    found = masks(root, labels)["drive_000001"]
    np.testing.assert_array_equal(found, np.array([0, 255, 255, 1], np.uint8)[expected(1)])
    stored = cv2.imread(str(root / "train" / "prelabel" / "drive_000001.png"))
    assert {tuple(c) for c in np.unique(stored.reshape(-1, 3), axis=0)} <= {(0, 0, 0), (0, 0, 200), (200, 0, 0)}
    (tmp_path / "other.json").write_text(json.dumps({**own, "classes": [{**classes[0], "name": "water"}],
                                                     "raw_ids": {}}))
    assert main(["labels", "prelabel", str(root), "--labels", str(tmp_path / "other.json"), "--quiet"]) == 1
    assert "expected some of water" in capsys.readouterr().err


def test_what_the_network_contradicts_is_shown(root, capsys):
    """The shipped label set is the network's; of three masks one says grass where the network sees a trail."""
    for name in list(masks_by_network(root)):
        mask = masks_by_network(root)[name]
        if name.endswith("2"):
            mask = np.where(mask == 0, 1, mask).astype(np.uint8)
        (root / "train" / "label").mkdir(exist_ok=True)
        write_mask(root / "train" / "label" / f"{name}.png", mask, NETWORK)
    report = root.parent / "report"
    assert main(["labels", "check", str(root), "--model", "forest_rgb_hha_evi", "--min-confidence", "0", "-o",
                 str(report), "--quiet"]) == 0
    odd = json.loads((report / "label_check.json").read_text())["odd"]
    found = [(o["name"], o["reason"]) for o in odd if "the network" in o["reason"]]
    assert found == [("drive_000002", "the network is sure of another class in 33 % of its labelled pixels")]
    assert (report / "odd_01.png").is_file()


def masks_by_network(root):
    if not (root / "train" / "prelabel").is_dir():
        assert main(["labels", "prelabel", str(root), "--min-confidence", "0", "--quiet"]) == 0
    return masks(root, NETWORK)


def test_other_cameras_and_units_are_read_as_the_set_says(tmp_path):
    drive = write_float_recording(tmp_path / "drive")
    root = tmp_path / "set"
    assert main(["extract", str(drive), "-o", str(root), "--every", "0", "--split", "train", "--nir-full-scale", "4095",
                 "--quiet"]) == 0
    assert main(["labels", "prelabel", str(root), "--min-confidence", "0", "--quiet"]) == 0
    np.testing.assert_array_equal(masks(root, NETWORK)["drive_000002"], expected(2))


def test_earlier_pre_labels_are_replaced_and_others_are_not(root, capsys):
    for _ in range(2):
        assert main(["labels", "prelabel", str(root), "--quiet"]) == 0
    (root / "train" / "prelabel" / "prelabel.json").unlink()
    assert main(["labels", "prelabel", str(root), "--quiet"]) == 1
    assert "only an earlier set of pre-labels is replaced" in capsys.readouterr().err
