"""Cases, tallies, shared encoding, side-by-side scoring and its file of tallies."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ssma_ros.cli.evaluate import _line
from ssma_ros.contract import Contract, Stream, VectorScaling
from ssma_ros.errors import SsmaError
from ssma_ros.labels import load_label_set
from ssma_ros.models import build_network, save_model
from ssma_ros.training.datasets import open_dataset
from ssma_ros.training.datasets.cache import EncodedSamples
from ssma_ros.training.datasets.shared_samples import SharedSamples, join_contracts
from ssma_ros.training.evaluate.contenders import Contender, Entry, Look, score_side_by_side, short_name
from ssma_ros.training.evaluate.evaluation import evaluate, spread_indices
from ssma_ros.training.evaluate.ledger import Ledger, entry_key
from ssma_ros.training.evaluate.scoring import ALL_SENSORS, MULTI_SCALE, Tally, cases_of
from training.conftest import MemorySamples

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


def tally_of(contract: Contract, samples: MemorySamples) -> Tally:
    tally = Tally(contract)
    for index in range(len(samples)):
        label = samples[index].label
        scores = torch.nn.functional.one_hot(torch.from_numpy(np.minimum(label + index % 2, 4)).long(), 5)
        tally.update(3.0 * scores.permute(2, 0, 1).float(), label, samples.group(index))
    return tally


def test_every_case_leaves_a_stream() -> None:
    names = [case.name for case in cases_of(make_contract(RGB, HHA, EVI), multi_scale=True)]
    assert names == ["all sensors", "no depth", "no nir", "no color", "color only", "all sensors, msf"]
    assert [case.name for case in cases_of(make_contract(EVI))] == ["all sensors"]
    assert [case.name for case in cases_of(make_contract(RGB, EVI))] == ["all sensors", "no nir"]


def test_groups_are_scored_apart_and_together(contract: Contract, samples: MemorySamples) -> None:
    result = tally_of(contract, samples).result("all sensors")
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


def test_a_tally_taken_up_again_goes_on_as_if_unbroken(contract: Contract, samples: MemorySamples) -> None:
    whole = tally_of(contract, samples)
    again = Tally(contract)
    again.add_document(json.loads(json.dumps(whole.to_document())))
    assert again.to_document() == whole.to_document()
    assert again.result("x") == whole.result("x")


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
def contenders(tmp_path: Path) -> list[Contender]:
    both = write_model(tmp_path / "both", make_contract(RGB, HHA, temperature=2.0))
    rgb = write_model(tmp_path / "run/model", make_contract(RGB), seed=1)
    return [Contender(both), Contender(rgb)]


def entries_for(contenders: list[Contender]) -> list[Entry]:
    return [
        Entry(i, case, Tally(c.contract)) for i, c in enumerate(contenders) for case in cases_of(c.contract)
    ]


def test_side_by_side_scores_are_those_of_each_alone(contenders: list[Contender], forest_folder: Path) -> None:
    dataset = open_dataset("folder", forest_folder, "train", contenders[0].contract.labels)
    shared = SharedSamples([c.contract for c in contenders], lambda c: EncodedSamples(dataset, c))
    entries = entries_for(contenders)
    looks: list[Look] = []
    score_side_by_side(contenders, entries, shared, range(3), observe=[looks.append])
    assert [look.index for look in looks] == [0, 1, 2]
    for entry in entries:
        contender = contenders[entry.contender]
        alone = evaluate(contender.network, contender.contract, EncodedSamples(dataset, contender.contract),
                         missing=entry.case.missing)
        result = entry.result()
        assert (result.samples, entry.done) == (3, 3)
        assert result.scores == alone.summary(contender.contract.labels.names)
        assert all((entry.contender, entry.case) in look.masks for look in looks)


def test_a_broken_off_comparison_goes_on(contenders: list[Contender], forest_folder: Path, tmp_path: Path) -> None:
    dataset = open_dataset("folder", forest_folder, "train", contenders[0].contract.labels)
    shared = SharedSamples([c.contract for c in contenders], lambda c: EncodedSamples(dataset, c))
    indices = range(3)

    def keyed(chosen: list[Contender]) -> dict[str, Entry]:
        return {entry_key(chosen[e.contender].digest(), e, "data", indices): e for e in entries_for(chosen)}

    whole = keyed(contenders)
    score_side_by_side(contenders, list(whole.values()), shared, indices)

    path = tmp_path / "tallies.json"
    first, ledger = keyed(contenders[:1]), Ledger(path)

    def stop() -> None:
        ledger.save(first)
        if next(iter(first.values())).done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_side_by_side(contenders[:1], list(first.values()), shared, indices, after_sample=stop)
    second = keyed(contenders)  # one network more
    Ledger(path).restore(second)
    assert [entry.done for entry in second.values()] == [2, 2, 2, 0]
    looks: list[Look] = []
    score_side_by_side(contenders, list(second.values()), shared, indices, observe=[looks.append])
    assert [len(look.masks) for look in looks] == [1, 1, 4]
    assert [e.tally.to_document() for e in second.values()] == [e.tally.to_document() for e in whole.values()]
    Ledger(path).save(second)
    third = keyed(contenders)
    Ledger(path).restore(third)
    score_side_by_side(contenders, list(third.values()), shared, indices, observe=[lambda _: pytest.fail("all done")])


def test_keys_tell_apart_what_scores_differently(contenders: list[Contender]) -> None:
    entry, digest = Entry(0, ALL_SENSORS, Tally(contenders[0].contract)), contenders[0].digest()
    keys = {
        entry_key(digest, entry, "data", [0]), entry_key(digest, entry, "data", [0, 1]),
        entry_key(digest, entry, "other", [0]), entry_key(contenders[1].digest(), entry, "data", [0]),
        entry_key(digest, replace(entry, case=MULTI_SCALE), "data", [0]),
    }
    contenders[0].use_contract(replace(contenders[0].contract, temperature=3.0))
    keys.add(entry_key(contenders[0].digest(), entry, "data", [0]))
    assert len(keys) == 6


def test_a_file_of_something_else_is_no_ledger(tmp_path: Path) -> None:
    path = tmp_path / "tallies.json"
    path.write_text('{"format": "recipe"}')
    with pytest.raises(SsmaError, match=r"tallies .*tallies\.json: cannot be read"):
        Ledger(path)


def test_multi_scale_and_vector_scaling_reach_the_scores(contenders: list[Contender], forest_folder: Path) -> None:
    contender = contenders[1]
    dataset = open_dataset("folder", forest_folder, "val", contender.contract.labels)
    sample = EncodedSamples(dataset, contender.contract)[0]
    logits = contender.predictor.logits(sample)
    assert logits is not None
    scaling = VectorScaling((1, 2, 1, 1, 1), (0, 0, 5, 0, 0))
    contender.use_contract(replace(contender.contract, temperature=2.0, vector_scaling=scaling))
    scores = contender.predictor.scores(sample)
    assert scores is not None
    weights, bias = torch.tensor(scaling.weights)[:, None, None], torch.tensor(scaling.bias)[:, None, None]
    torch.testing.assert_close(scores, logits / 2.0 * weights + bias)
    averaged = contender.predictor.scores(sample, multi_scale=True)
    assert averaged is not None
    torch.testing.assert_close(averaged.exp().sum(dim=0), torch.ones(32, 64))
    assert (averaged.argmax(dim=0) == 2).float().mean() > 0.5  # the bias decides there too
    assert contender.predictor.scores(sample, ("color",)) is None


@pytest.mark.parametrize(("path", "name"), [("runs/a/model", "a"), ("runs/a/best", "a (best)"), ("x/b", "b"),
                                            ("x/c.safetensors", "c"), ("x/d/weights.safetensors", "d")])
def test_models_are_called_by_their_run(path: str, name: str) -> None:
    assert short_name(Path(path)) == name


def test_what_never_occurs_is_printed_as_no_score(contract: Contract, samples: MemorySamples) -> None:
    tally = Tally(contract)
    assert "mIoU –  ECE –  (trail –" in _line(tally.result("no depth"))
    label = np.zeros_like(samples[0].label)
    scores = torch.zeros(5, *label.shape)
    scores[0] = 9.0
    tally.update(scores, label)
    line = _line(tally.result("all sensors"))
    assert "mIoU 100.0" in line
    assert "trail 100.0  grass –" in line


def test_spread_indices_hit_both_ends() -> None:
    assert spread_indices(10, 4) == [0, 3, 6, 9]
    assert spread_indices(3, 0) == spread_indices(3, 7) == [0, 1, 2]
