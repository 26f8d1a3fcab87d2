# SPDX-License-Identifier: Apache-2.0
"""Loss, schedules, average and configuration."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from ssma_ros.contract import load_contract
from ssma_ros.errors import SsmaError
from ssma_ros.training.fit.config import StageConfig, dump_config, load_config, parse_config
from ssma_ros.training.fit.ema import WeightAverage
from ssma_ros.training.fit.losses import segmentation_loss
from ssma_ros.training.fit.schedule import learning_rate_factor

#: Of single runs; comparisons, which hold several, are read in test_comparison.py.
CONFIGS = [
    path for path in sorted((Path(__file__).parents[2] / "config" / "training").glob("*.yaml"))
    if "runs" not in yaml.safe_load(path.read_text())
]
SMALLEST: dict[str, Any] = {"name": "x", "contract": {}, "data": {}, "stages": [{}]}


def test_loss_by_hand() -> None:
    logits = torch.zeros(1, 2, 1, 3)
    logits[0, 1, 0, 0] = 2.0
    label = torch.tensor([[[1, 0, 255]]])
    loss = segmentation_loss(logits, (), label, ignore_id=255)
    expected = (-torch.tensor([0.0, 2.0]).log_softmax(0)[1] + torch.log(torch.tensor(2.0))) / 2
    torch.testing.assert_close(loss, expected)


def test_auxiliary_losses_weigh_as_in_the_paper() -> None:
    logits, label = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    main = segmentation_loss(logits, (), label, ignore_id=255)
    total = segmentation_loss(logits, (logits, logits), label, ignore_id=255)
    torch.testing.assert_close(total, main * 2.1)


def test_loss_without_ground_truth_is_zero_with_a_gradient() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = segmentation_loss(logits, (), torch.full((1, 2, 2), 255), ignore_id=255)
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_class_weights_scale_their_pixels() -> None:
    logits, label = torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]])
    loss = segmentation_loss(logits, (), label, ignore_id=255, class_weights=torch.tensor([1.0, 3.0]))
    torch.testing.assert_close(loss, 2.0 * torch.log(torch.tensor(2.0)))


def test_poly_schedule() -> None:
    stage = StageConfig(steps=100, schedule="poly", power=0.9, end_lr_ratio=0.1)
    assert learning_rate_factor(stage, 0) == 1.0
    assert learning_rate_factor(stage, 50) == pytest.approx(0.5**0.9)
    assert learning_rate_factor(stage, 99) == 0.1


def test_onecycle_rises_and_falls() -> None:
    stage = StageConfig(steps=100, schedule="onecycle", warmup=0.2, end_lr_ratio=0.01)
    factors = [learning_rate_factor(stage, step) for step in range(100)]
    assert factors[0] == pytest.approx(1 / 25)
    assert max(factors) == factors[20] == 1.0
    assert factors[:21] == sorted(factors[:21])
    assert factors[20:] == sorted(factors[20:], reverse=True)
    assert factors[-1] == pytest.approx(0.01, abs=2e-3)


def test_average_follows_weights_and_statistics() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.BatchNorm2d(1))
    average = WeightAverage(network, 0.5)
    with torch.no_grad():
        for value in (2.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0):
            network[0].weight.fill_(value)
            network[1].running_mean.fill_(value)
            average.update(network)
    assert average.network[0].weight.item() == pytest.approx(4.0, abs=0.05)  # type: ignore[index]
    assert average.network[1].running_mean.item() == pytest.approx(4.0, abs=0.05)  # type: ignore[index]
    again = WeightAverage(network, 0.5)
    again.load_state_dict(average.state_dict())
    assert again.state_dict()["updates"] == 14


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_shipped_configurations_are_valid(path: Path) -> None:
    config = load_config(path)
    contract = config.build_contract()
    assert contract.labels.num_classes >= 5
    assert config.total_steps > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage": []}, r"unknown key 'stage', expected one of .*\('stages' may be meant\)"),
        ({"augmentation": {"flipp": 0.5}}, r"unknown key 'augmentation\.flipp', .*\('flip' may be meant\)"),
        ({"augmentation": {"flip": 1.5}}, "augmentation.flip is 1.5, expected 0 to 1"),
        ({"augmentation": {"scale": [0, 2]}}, r"augmentation.scale is \[0, 2\], expected more than 0"),
        ({"stages": [{"steps": 0}]}, r"stages\[0\].steps is 0, expected at least 1"),
        ({"stages": [{"precision": "int8"}]}, r'stages\[0\].precision is "int8", expected one of'),
        ({"device": "gpu"}, 'device is "gpu", expected one of auto, cpu, cuda'),
        ({"class_weights": "balance"}, 'class_weights is "balance", expected one of none, balanced or a list of numb'),
        ({"ema": float("nan")}, "ema is NaN, expected a finite number"),
        ({"lr": True}, "unknown key 'lr'"),
        ({"clip_norm": True}, "clip_norm is true, expected a finite number"),
        ({"stages": []}, "no stages"),
        ({"contract": {"streams": [{"name": "rgb"}]}, "encoders": {"rbg": "a"}},
         r"encoders names stream 'rbg', expected one of rgb \('rgb' may be meant\)"),
        ({"encoders": {"rgb": "a"}, "decoder_of": "hha"}, r"decoder_of is 'hha', expected a stream that .*\(rgb\)"),
        ({"stages": [{"lr": "fast"}]}, r'stages\[0\].lr is "fast", expected a finite number'),
        ({"stages": [{"width": 100}]}, r"stages\[0\] is 100x0, expected multiples of 16"),
        ({"stages": [{"schedule": "cosine"}]}, "expected one of poly, onecycle, constant"),
        ({"precision": "fp8"}, "expected one of fp32, bf16, fp16"),
        ({"augmentation": {"scale": [1]}}, "augmentation.scale is"),
        ({"data": 3}, "data is 3, expected a mapping"),
        ({"seed": 1.5}, "seed is 1.5, expected a whole number"),
        ({"tensorboard": "yes"}, 'tensorboard is "yes", expected true or false'),
    ],
)
def test_configuration_errors_name_the_key(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SsmaError, match=message):
        parse_config({**SMALLEST, **change}, "test.yaml")


def test_missing_key_and_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match="has no stages, expected a list of entries"):
        parse_config({"name": "x", "contract": {}, "data": {}}, "test.yaml")
    with pytest.raises(SsmaError, match="no such file"):
        load_config(tmp_path / "none.yaml")


def label_file(folder: Path, name: str) -> None:
    """Two classes, set called ``name``, as ``labels.json``."""
    classes = [{"id": i, "name": n, "color": [9 * i, 0, 0]} for i, n in enumerate(("ground", "plant"))]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labels.json").write_text(json.dumps({"name": name, "classes": classes, "raw_ids": {"7": 0, "8": 1}}))


def labels_of(path: Path) -> str:
    config = load_config(path)
    labels = config.build_contract().labels
    assert labels.raw_ids == {7: 0, 8: 1}
    # What the run writes down stands without the file.
    dumped = yaml.safe_load(dump_config(config, {}))["contract"]["labels"]
    assert (dumped["name"], dumped["classes"][1]["color"]) == (labels.name, [9, 0, 0])
    return labels.name


@pytest.fixture
def own_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration that names labels.json, in a folder beside the working directory."""
    streams = [{"name": "rgb", "encoding": "bgr"}]
    document = SMALLEST | {"contract": {"width": 64, "height": 32, "streams": streams, "labels": "labels.json"}}
    path = tmp_path / "of_config" / "own.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(document))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return path


def test_a_label_set_lies_beside_the_configuration(own_labels: Path) -> None:
    label_file(own_labels.parent, "beside")
    assert labels_of(own_labels) == "beside"
    label_file(Path(), "here")
    assert labels_of(own_labels) == "beside", "where both are there"
    (own_labels.parent / "labels.json").unlink()
    assert labels_of(own_labels) == "here", "what such a path counted from once"
    Path("labels.json").unlink()
    with pytest.raises(SsmaError, match=re.escape(f"label set {own_labels.parent / 'labels.json'}: no such file")):
        load_config(own_labels)


def test_a_label_set_lies_beside_the_base_that_names_it(own_labels: Path, tmp_path: Path) -> None:
    label_file(own_labels.parent, "of the base")
    further = tmp_path / "further" / "own.yaml"
    label_file(further.parent, "of the further one")
    further.write_text("base: ../of_config/own.yaml\n")
    assert labels_of(further) == "of the base"
    further.write_text("base: ../of_config/own.yaml\ncontract: {labels: labels.json}\n")
    assert labels_of(further) == "of the further one"


def test_a_label_set_lies_beside_the_contract_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    label_file(tmp_path / "model", "beside")
    document = {
        "format": "ssma-input-contract", "version": 1, "width": 64, "height": 32, "labels": "labels.json",
        "streams": [{"name": "rgb", "encoding": "bgr"}],
    }
    (tmp_path / "model" / "contract.json").write_text(json.dumps(document))
    monkeypatch.chdir(tmp_path)
    assert load_contract(tmp_path / "model" / "contract.json").labels.name == "beside"


def test_a_changed_label_set_is_another_run(own_labels: Path) -> None:
    label_file(own_labels.parent, "one")
    before = load_config(own_labels).to_document()
    label_file(own_labels.parent, "two")
    assert load_config(own_labels).to_document() != before
