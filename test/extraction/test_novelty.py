# SPDX-License-Identifier: Apache-2.0
"""Frames that are worth a label: unlike each other, or uncertain; near-duplicates never."""

from __future__ import annotations

import json

import numpy as np
import pytest
from recordings import small_recording
from recordings.small_recording import HEIGHT, WIDTH, write_small_recording
from ros.stub_network import StubBackend, stub_contract

from ssma_ros import inference
from ssma_ros.cli.main import main
from ssma_ros.extraction.novelty import NEAR_DUPLICATE, choose, entropy_of, feature_of


def of_classes(*shares):
    """A picture of three classes, each in vertical stripes."""
    image = np.zeros((3, 12, 16), np.uint8)
    edges = np.cumsum([0, *shares])
    for c in range(3):
        image[c, :, edges[c] : edges[c + 1]] = 255
    return image


def test_distances_are_those_of_hellinger():
    same, other = feature_of(of_classes(16, 0, 0)), feature_of(of_classes(0, 16, 0))
    assert np.linalg.norm(same - other) == pytest.approx(1.0)
    half = feature_of(of_classes(8, 8, 0))
    assert np.linalg.norm(same - half) == pytest.approx(np.sqrt(0.5))
    p, q = np.full((3, 12, 16), 85, np.uint8), of_classes(16, 0, 0)
    assert np.linalg.norm(feature_of(p) - feature_of(q)) == pytest.approx(np.sqrt(1 - np.sqrt(1 / 3)), abs=1e-5)


def test_entropy_is_from_0_to_1():
    assert entropy_of(of_classes(16, 0, 0)) == pytest.approx(0.0, abs=1e-6)
    assert entropy_of(np.full((3, 12, 16), 85, np.uint8)) == pytest.approx(1.0)


def test_one_of_each_kind_is_chosen_and_no_duplicate():
    rng = np.random.default_rng(0)
    kinds = np.eye(4, dtype=np.float32)
    features = np.repeat(kinds, 5, axis=0) + rng.normal(0, 0.1 * NEAR_DUPLICATE, (20, 4)).astype(np.float32)
    unsure = np.linspace(0.2, 0.8, 20).astype(np.float32)
    for by in ("both", "different", "uncertain"):
        found = choose(features, unsure, 10, by)
        assert len(found) == 4
        assert {index // 5 for index in found} == {0, 1, 2, 3}
        assert found[0] == 19  # the most uncertain one
    assert choose(features, unsure, 2, "different")[1] // 5 != 3
    assert [i // 5 for i in choose(features, unsure, 3, "uncertain")] == [3, 2, 1]


def test_what_is_unsure_outweighs_what_is_only_different():
    features = np.array([[0, 0], [0.5, 0], [0, 0.6]], np.float32)
    assert choose(features, np.array([0.9, 0.8, 0.1], np.float32), 2, "both") == [0, 1]
    assert choose(features, np.array([0.9, 0.8, 0.1], np.float32), 2, "different") == [0, 2]
    assert choose(np.zeros((0, 2), np.float32), np.zeros(0, np.float32), 3) == []


@pytest.fixture
def drives(tmp_path, monkeypatch):
    """Two recordings of seven frames, of which one in three shows another picture than the rest."""
    plain = small_recording.color

    def color(index):
        return plain(index)[:, :: -1 if index % 3 == 1 else 1].copy()

    monkeypatch.setattr(small_recording, "color", color)
    monkeypatch.setattr(inference, "load_backend", lambda model, **_: StubBackend(stub_contract(WIDTH, HEIGHT)))
    return [write_small_recording(tmp_path / name, frames=7, shift_ns=shift * 10**9) for shift, name in enumerate("ab")]


def test_command(tmp_path, drives, capsys, monkeypatch):
    arguments = ["extract", *map(str, drives), "-o", str(tmp_path / "set"), "--every", "0", "--choose", "8", "--quiet"]
    assert main(arguments) == 0
    chosen = {}
    for name in "ab":
        facts = json.loads((tmp_path / "set" / "manifest" / f"{name}.json").read_text())
        chosen[name] = [sample["index"] for sample in facts["samples"]]
        assert facts["wanted"] == chosen[name]
    # Of each split, which is a recording here, one frame of either kind; all others are as good as one of these.
    assert [sorted(index % 3 == 1 for index in indices) for indices in chosen.values()] == [[False, True]] * 2
    monkeypatch.setattr(inference, "load_backend", lambda *_, **__: pytest.fail("looked at again"))
    assert main(arguments) == 0
    assert main([*arguments[:-3], "--choose", "9", "--quiet"]) == 1
    assert "was made with choose 8, and is now to be made with 9" in capsys.readouterr().err
