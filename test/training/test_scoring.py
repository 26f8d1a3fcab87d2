# SPDX-License-Identifier: Apache-2.0
"""Cases, scores, shared encoding, the evaluation run and its ledger."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch

from ssma_ros.cli.evaluate import _line
from ssma_ros.cli.main import main
from ssma_ros.contract import Contract, Stream, VectorScaling
from ssma_ros.errors import SsmaError
from ssma_ros.labels import load_label_set
from ssma_ros.models import build_network, save_model
from ssma_ros.training.datasets import FrameDataset, open_dataset
from ssma_ros.training.datasets.cache import EncodedSamples
from ssma_ros.training.datasets.shared_samples import SharedSamples, join_contracts
from ssma_ros.training.evaluate import ledger as ledger_module
from ssma_ros.training.evaluate.ledger import Ledger, Row, row_key
from ssma_ros.training.evaluate.networks import TrainedNetwork, short_name
from ssma_ros.training.evaluate.predict import spread_indices
from ssma_ros.training.evaluate.run import EvaluationRun
from ssma_ros.training.evaluate.score import ALL_SENSORS, MULTI_SCALE, Score, cases_of
from training.conftest import MemorySamples

if TYPE_CHECKING:
    from ssma_ros.training.evaluate.run import Masks

RGB, HHA, EVI = Stream("rgb", "bgr"), Stream("hha", "hha"), Stream("evi", "evi2")


def make_contract(*streams: Stream, **changes: Any) -> Contract:
    names = [s.name for s in streams]
    kind = "AdapNetPP" if len(streams) == 1 else "SSMA"
    network = {"name": kind, "preset": "forest-mobilenet", "modalities": names, "width": 0.25}
    labels = load_label_set("synthetic_forest")
    return Contract(**{"width": 64, "height": 32, "streams": streams, "labels": labels, "network": network, **changes})


def write_model(folder: Path, contract: Contract, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    network = build_network(contract.network, 5)
    save_model(network, replace(contract, network=network.describe()), folder)
    return folder


def score_of(contract: Contract, samples: MemorySamples) -> Score:
    score = Score(contract)
    for index in range(len(samples)):
        label = samples[index].label
        scores = torch.nn.functional.one_hot(torch.from_numpy(np.minimum(label + index % 2, 4)).long(), 5)
        score.update(3.0 * scores.permute(2, 0, 1).float(), samples[index], samples.group(index))
    return score


def test_every_case_leaves_a_stream() -> None:
    names = [case.name for case in cases_of(make_contract(RGB, HHA, EVI), multi_scale=True)]
    assert names == ["all sensors", "no depth", "no nir", "no color", "color only", "all sensors, msf"]
    assert [case.name for case in cases_of(make_contract(EVI))] == ["all sensors"]
    assert [case.name for case in cases_of(make_contract(RGB, EVI))] == ["all sensors", "no nir"]


def test_groups_are_scored_apart_and_together(contract: Contract, samples: MemorySamples) -> None:
    result = score_of(contract, samples).result()
    assert {name: group.samples for name, group in result.groups.items()} == {"even": 3, "odd": 3}
    assert result.groups["even"].scores["miou"] == 1.0
    odd = result.groups["odd"].scores["miou"]
    assert 0 < result.scores["miou"] < 1
    mean, deviation = result.spread()
    assert mean == pytest.approx((1 + odd) / 2)
    assert deviation == pytest.approx((1 - odd) / 2)
    document = result.to_document()
    assert document["groups"]["odd"]["samples"] == 3
    assert document["over_groups"] == {"miou_mean": pytest.approx(mean, abs=1e-6),
                                       "miou_std": pytest.approx(deviation, abs=1e-6)}


def test_a_score_taken_up_again_goes_on_as_if_unbroken(contract: Contract, samples: MemorySamples) -> None:
    whole = score_of(contract, samples)
    again = Score(contract)
    again.add_document(json.loads(json.dumps(whole.to_document())))
    assert again.to_document() == whole.to_document()
    assert again.result() == whole.result()


def test_joint_contract_holds_every_stream_once() -> None:
    jet = Stream("depth", "depth_jet")
    other_fill = Stream("hha", "hha", parameters={"completion": "none"})
    contracts = [
        make_contract(replace(EVI, name="nir")), make_contract(RGB, HHA, EVI),
        make_contract(replace(RGB, mean=(9, 9, 9))), make_contract(replace(HHA, name="rgb"), jet),
        make_contract(RGB, width=128), make_contract(other_fill),
    ]
    joint, views = join_contracts(contracts)
    assert [[s.name for s in c.streams] for c in joint] == [["rgb", "hha", "evi", "depth"], ["rgb"], ["hha"]]
    assert views == [(0, (2,)), (0, (0, 1, 2)), (0, (0,)), (0, (1, 3)), (1, (0,)), (2, (0,))]


def test_shared_samples_are_what_each_contract_alone_would_get(forest_folder: Path) -> None:
    contracts = [make_contract(EVI), make_contract(RGB, HHA, EVI), make_contract(RGB, width=128)]
    dataset = open_dataset("folder", forest_folder, "val", contracts[0].labels)
    shared = SharedSamples(contracts, lambda c: EncodedSamples(dataset, c))
    for index in range(len(shared)):
        for contract, sample in zip(contracts, shared[index], strict=True):
            alone = EncodedSamples(dataset, contract)[index]
            assert sample.present == alone.present
            for ours, theirs in zip((*sample.images, sample.label), (*alone.images, alone.label), strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_other_classes_are_refused() -> None:
    other = make_contract(RGB, labels=load_label_set("freiburg_forest"))
    with pytest.raises(SsmaError, match="expected trail, grass"):
        SharedSamples([make_contract(RGB), other], lambda _: pytest.fail("not to be opened"))


@pytest.fixture
def networks(tmp_path: Path) -> list[TrainedNetwork]:
    both = write_model(tmp_path / "both", make_contract(RGB, HHA, temperature=2.0))
    rgb = write_model(tmp_path / "run/model", make_contract(RGB), seed=1)
    return [TrainedNetwork(both), TrainedNetwork(rgb)]


@pytest.fixture
def dataset(networks: list[TrainedNetwork], forest_folder: Path) -> FrameDataset:
    return open_dataset("folder", forest_folder, "train", networks[0].contract.labels)


def test_side_by_side_scores_are_those_of_each_alone(networks: list[TrainedNetwork], dataset: FrameDataset) -> None:
    evaluation = EvaluationRun(networks, lambda c: EncodedSamples(dataset, c))
    looks: list[tuple[int, Masks]] = []
    evaluation.run(observers=[lambda index, _, masks: looks.append((index, masks))])
    assert [index for index, _ in looks] == [0, 1, 2]
    assert [(row.network.name, row.case.name) for row in evaluation.rows] == [
        ("both", "all sensors"), ("both", "no depth"), ("both", "no color"), ("run", "all sensors")]
    for row in evaluation.rows:
        alone = row.network.predictor.confusion(EncodedSamples(dataset, row.network.contract),
                                                missing=row.case.missing)
        result = evaluation.results(row.network)[row.case.name]
        assert (result.samples, row.done) == (3, 3)
        assert result.scores == alone.summary(row.network.contract.labels.names)
        assert all((row.network, row.case) in masks for _, masks in looks)


def test_parts_count_what_the_whole_counts(networks: list[TrainedNetwork], dataset: FrameDataset) -> None:
    def evaluation(part: tuple[int, int] = (0, 1)) -> EvaluationRun:
        return EvaluationRun(networks, lambda c: EncodedSamples(dataset, c), part=part)

    whole = evaluation()
    masks: dict[int, Masks] = {}
    whole.run(observers=[lambda index, _, found: masks.update({index: found})])
    parts = [evaluation((number, 2)) for number in range(2)]
    assert [part.indices for part in parts] == [[0], [1, 2]]
    for part in parts:
        part.run()
    together = evaluation()
    together.add(part.counted() for part in parts)
    assert together.counted() == whole.counted()
    together.run(observers=[lambda *_: pytest.fail("nothing is left to score")])
    shown: dict[int, Masks] = {}
    together.show([2], [lambda index, _, found: shown.update({index: found})])
    assert shown.keys() == {2}
    for network in networks:
        np.testing.assert_array_equal(shown[2][network, ALL_SENSORS], masks[2][network, ALL_SENSORS])


def test_a_broken_off_evaluation_goes_on(
    networks: list[TrainedNetwork], dataset: FrameDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Written after every sample, so that what is kept does not hang on how quick the machine is.
    monkeypatch.setattr(ledger_module, "_SECONDS_BETWEEN_WRITES", 0.0)

    def run_of(chosen: list[TrainedNetwork], path: Path) -> EvaluationRun:
        return EvaluationRun(chosen, lambda c: EncodedSamples(dataset, c), ledger=Ledger(path), data="data")

    whole = run_of(networks, tmp_path / "whole.json")
    whole.run()

    path = tmp_path / "tallies.json"
    first = run_of(networks[:1], path)

    def stop(index: int, *_: object) -> None:
        if index == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first.run(observers=[stop])
    done = json.loads(path.read_text())["entries"].values()
    assert {entry["done"] for entry in done} == {2}
    first = run_of(networks[:1], path)
    with pytest.raises(KeyboardInterrupt):
        first.run(observers=[stop])
    second = run_of(networks, path)  # one network more
    assert [row.done for row in second.rows] == [2, 2, 2, 0]
    looks: list[int] = []
    second.run(observers=[lambda _index, _samples, masks: looks.append(len(masks))])
    assert looks == [1, 1, 4]
    assert [r.score.to_document() for r in second.rows] == [r.score.to_document() for r in whole.rows]
    third = run_of(networks, path)
    third.run(observers=[lambda *_: pytest.fail("all done")])
    assert [r.score.to_document() for r in third.rows] == [r.score.to_document() for r in whole.rows]


def test_keys_tell_apart_what_scores_differently(networks: list[TrainedNetwork]) -> None:
    row = Row(networks[0], ALL_SENSORS)
    keys = {
        row_key(row, "data", [0]), row_key(row, "data", [0, 1]), row_key(row, "other", [0]),
        row_key(Row(networks[1], ALL_SENSORS), "data", [0]), row_key(Row(networks[0], MULTI_SCALE), "data", [0]),
    }
    networks[0].use_contract(replace(networks[0].contract, temperature=3.0))
    keys.add(row_key(row, "data", [0]))
    assert len(keys) == 6


def test_scores_of_before_streams_were_counted_are_made_anew(
    networks: list[TrainedNetwork], dataset: FrameDataset, tmp_path: Path
) -> None:
    path = tmp_path / "tallies.json"
    for _ in range(2):
        evaluation = EvaluationRun(networks, lambda c: EncodedSamples(dataset, c), ledger=Ledger(path))
        assert {row.done for row in evaluation.rows} == {0}
        evaluation.run()
        document = json.loads(path.read_text())
        for entry in document["entries"].values():
            del entry["tally"]["there"]
        path.write_text(json.dumps(document))


def test_the_table_says_what_was_really_there(
    networks: list[TrainedNetwork], forest_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    depth = cv2.imread(str(forest_folder / "val/depth/000.png"), cv2.IMREAD_UNCHANGED)
    assert cv2.imwrite(str(forest_folder / "val/depth/000.png"), depth * 0)
    model, data = str(networks[0].path), str(forest_folder)
    report = forest_folder.parent / "report"
    assert main(["evaluate", model, data, "-o", str(report), "--quiet"]) == 0
    assert "stream 'hha' is blank in 1 of 2 samples" in capsys.readouterr().out
    assert "In all sensors hha was blank in 1 of 2 samples." in (report / "report.md").read_text()
    results = json.loads((report / "report.json").read_text())["results"]
    assert [r["samples_with"] for r in results] == [
        {"rgb": 2, "hha": 1}, {"rgb": 2, "hha": 0}, {"rgb": 0, "hha": 1}]
    assert main(["tabulate", model, data, "-o", str(forest_folder.parent / "table"), "--quiet"]) == 0
    assert "stream 'hha' is blank in 1 of 2 samples" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["evaluate", "tabulate"])
def test_a_stream_without_images_is_no_row_of_all_sensors(
    command: str, networks: list[TrainedNetwork], forest_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (forest_folder / "val/rgb").rename(forest_folder / "val/RGB")
    output = forest_folder.parent / "report"
    assert main([command, str(networks[0].path), str(forest_folder), "-o", str(output), "--quiet"]) == 1
    captured = capsys.readouterr()
    assert "evaluation: blank in all 2 samples: 'rgb' (no color image)" in captured.err
    assert "all sensors" not in captured.out
    assert captured.err.count("\n") == 1


def test_a_file_of_something_else_is_no_ledger(tmp_path: Path) -> None:
    path = tmp_path / "tallies.json"
    path.write_text('{"format": "recipe"}')
    with pytest.raises(SsmaError, match=r"tallies .*tallies\.json: cannot be read"):
        Ledger(path)


def test_multi_scale_and_vector_scaling_reach_the_scores(networks: list[TrainedNetwork], forest_folder: Path) -> None:
    network = networks[1]
    dataset = open_dataset("folder", forest_folder, "val", network.contract.labels)
    sample = EncodedSamples(dataset, network.contract)[0]
    logits = network.predictor.logits(sample)
    assert logits is not None
    scaling = VectorScaling((1, 2, 1, 1, 1), (0, 0, 5, 0, 0))
    network.use_contract(replace(network.contract, temperature=2.0, vector_scaling=scaling))
    scores = network.predictor.scores(sample)
    assert scores is not None
    weights, bias = torch.tensor(scaling.weights)[:, None, None], torch.tensor(scaling.bias)[:, None, None]
    torch.testing.assert_close(scores, logits / 2.0 * weights + bias)
    averaged = network.predictor.scores(sample, multi_scale=True)
    assert averaged is not None
    torch.testing.assert_close(averaged.exp().sum(dim=0), torch.ones(32, 64))
    assert (averaged.argmax(dim=0) == 2).float().mean() > 0.5  # the bias decides there too
    assert network.predictor.scores(sample, ("color",)) is None


@pytest.mark.parametrize(("path", "name"), [("runs/a/model", "a"), ("runs/a/best", "a (best)"), ("x/b", "b"),
                                            ("x/c.safetensors", "c"), ("x/d/weights.safetensors", "d")])
def test_models_are_called_by_their_run(path: str, name: str) -> None:
    assert short_name(Path(path)) == name


def test_what_never_occurs_is_printed_as_no_score(contract: Contract, samples: MemorySamples) -> None:
    score = Score(contract)
    assert "mIoU –  ECE –  (trail –" in _line(score.result())
    label = np.zeros_like(samples[0].label)
    scores = torch.zeros(5, *label.shape)
    scores[0] = 9.0
    score.update(scores, replace(samples[0], label=label))
    line = _line(score.result())
    assert "mIoU 100.0" in line
    assert "trail 100.0  grass –" in line


def test_spread_indices_hit_both_ends() -> None:
    assert spread_indices(10, 4) == [0, 3, 6, 9]
    assert spread_indices(3, 0) == spread_indices(3, 7) == [0, 1, 2]
