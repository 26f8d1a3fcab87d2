# SPDX-License-Identifier: Apache-2.0
"""The training loop: it learns, it resumes exactly, it refuses what does not fit."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from ssma_ros.contract import load_contract, save_contract
from ssma_ros.errors import SsmaError
from ssma_ros.models import load_model
from ssma_ros.training.fit.config import TrainConfig, parse_config
from ssma_ros.training.fit.trainer import Trainer

if TYPE_CHECKING:
    from ssma_ros.contract import Contract

    from .conftest import MemorySamples


def config_for(contract: Contract, **changes: Any) -> TrainConfig:
    document = contract.to_document()
    for key in ("format", "version"):
        del document[key]
    stage = {"steps": 4, "batch_size": 2, "lr": 3e-3, "schedule": "poly", "epsilon": 1e-8}
    whole: dict[str, Any] = {
        "name": "tiny",
        "contract": document,
        "data": {"kind": "folder"},
        "stages": [{"name": "one", **stage}, {"name": "two", **stage, "encoder_lr": 1e-3}],
        "threads": 1,
        "ema": 0.9,
        "clip_norm": 1.0,
        "checkpoint_every": 3,
        "validate_every": 4,
        "tensorboard": False,
        "class_weights": "balanced",
        **changes,
    }
    return parse_config(whole, "test")


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_model(folder).state_dict()


class Killed(Exception):
    """Stands for a kill in the resume tests."""


def train(config: TrainConfig, samples: MemorySamples, folder: Path, kill_after: int | None = None) -> Path:
    def on_step(done: int) -> None:
        if done == kill_after:
            raise Killed

    return Trainer(config, samples, samples, folder, progress=False, on_step=on_step).run()


def test_a_resumed_run_equals_an_unbroken_one(contract: Contract, samples: MemorySamples, tmp_path: Path) -> None:
    config = config_for(contract)
    unbroken = weights_of(train(config, samples, tmp_path / "unbroken"))
    # Killed after step 2 (no checkpoint yet), 5 (in the second stage), 7 (between two checkpoints).
    for moment in (2, 5, 7):
        with pytest.raises(Killed):
            train(config, samples, tmp_path / "broken", kill_after=moment)
    resumed = weights_of(train(config, samples, tmp_path / "broken"))
    assert unbroken.keys() == resumed.keys()
    for name, tensor in unbroken.items():
        assert torch.equal(tensor, resumed[name]), name
    logs = [(tmp_path / run / "log.jsonl").read_text() for run in ("unbroken", "broken")]
    assert [json.loads(line) for line in logs[0].splitlines()] == [json.loads(line) for line in logs[1].splitlines()]


def _train_forever(config: TrainConfig, samples: MemorySamples, folder: Path) -> None:
    torch.set_num_threads(1)
    Trainer(config, samples, samples, folder, progress=False).run()


def test_sigkill_leaves_a_checkpoint_that_continues(
    contract: Contract, samples: MemorySamples, tmp_path: Path
) -> None:
    config = config_for(contract, checkpoint_every=1, validate_every=1000)
    config = replace(config, stages=(replace(config.stages[0], steps=100_000),))
    process = multiprocessing.get_context("spawn").Process(
        target=_train_forever, args=(config, samples, tmp_path), daemon=True
    )
    process.start()
    try:
        checkpoint = tmp_path / "checkpoint.pt"
        while not checkpoint.is_file():
            process.join(0.05)
            assert process.is_alive()
        os.kill(process.pid or 0, signal.SIGKILL)
    finally:
        process.join()
    done = torch.load(checkpoint, weights_only=True)["progress"]["step"]
    with pytest.raises(Killed):
        train(config, samples, tmp_path, kill_after=done + 1)


def test_it_learns(contract: Contract, samples: MemorySamples, tmp_path: Path) -> None:
    quiet = {"rotation": 0, "skew": 0, "scale": [1, 1], "crop": [1, 1], "brightness": 0, "contrast": [1, 1],
             "vignette": 0}
    stage = {"steps": 60, "batch_size": 4, "lr": 1e-2, "schedule": "onecycle", "epsilon": 1e-8}
    config = config_for(contract, stages=[stage], augmentation=quiet, bn_momentum=0.3, ema=0.8, validate_every=60)
    train(config, samples, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    miou = next(line["validation"]["miou"] for line in lines if "validation" in line)
    assert losses[-1] < 0.6 * losses[0]
    assert miou > 0.4, "chance is about 0.1"


def test_frozen_encoders_stay_as_they_are(contract: Contract, samples: MemorySamples, tmp_path: Path) -> None:
    stage = {"steps": 2, "batch_size": 2, "lr": 1e-2, "epsilon": 1e-8}
    first = train(config_for(contract, stages=[stage], ema=0), samples, tmp_path / "first")
    frozen = config_for(contract, stages=[{**stage, "encoder_lr": 0}], ema=0, initialize=str(first))
    second = train(frozen, samples, tmp_path / "second")
    before, after = weights_of(first), weights_of(second)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any(name.startswith("encoders.") for name in changed)
    assert any(name.startswith("fusion.") for name in changed)


def test_unimodal_encoders_start_a_fusion_network(
    contract: Contract, samples: MemorySamples, tmp_path: Path
) -> None:
    one = replace(contract, streams=contract.streams[1:],
                  network={**contract.network, "name": "AdapNetPP", "modalities": ["nir"]})
    nir_only = type(samples)([replace(s, images=s.images[1:], present=s.present[1:]) for s in map(samples.__getitem__,
                              range(len(samples)))])
    stage = {"steps": 1, "batch_size": 2, "lr": 1e-12, "epsilon": 1e-8}
    donor = train(config_for(one, stages=[stage], ema=0), nir_only, tmp_path / "nir")
    fusion = train(
        config_for(contract, stages=[{**stage, "encoder_lr": 0}], ema=0, encoders={"nir": str(donor)}),
        samples, tmp_path / "fusion",
    )
    source, result = weights_of(donor), weights_of(fusion)
    given = {name.partition(".")[2]: t for name, t in source.items() if name.startswith("encoder")}
    given = {name.removeprefix("0."): t for name, t in given.items()}
    taken = {n.removeprefix("encoders.1."): t for n, t in result.items() if n.startswith("encoders.1.")}
    assert taken
    for name, tensor in taken.items():
        assert torch.equal(tensor, given[name]), name


def test_early_stop(contract: Contract, samples: MemorySamples, tmp_path: Path) -> None:
    stage = {"steps": 50, "batch_size": 2, "lr": 1e-12, "epsilon": 1e-8}
    config = config_for(contract, stages=[stage], patience=2, validate_every=1, ema=0, bn_momentum=1e-9)
    train(config, samples, tmp_path)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last["step"] < 10
    # The same command again: not one step more, and not one file changed.
    before = contents(tmp_path)
    train(config, samples, tmp_path)
    assert contents(tmp_path) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_finished_run_stays_as_it_is(contract: Contract, samples: MemorySamples, tmp_path: Path) -> None:
    config = config_for(contract)
    model = train(config, samples, tmp_path)
    # What was stored with the result since, as ssma evaluate --calibrate does, survives.
    save_contract(replace(load_contract(model / "contract.json"), temperature=2.5), model / "contract.json")
    before = contents(tmp_path)
    assert train(config, samples, tmp_path) == model
    assert contents(tmp_path) == before
    # A result that was lost is made again from the checkpoint, without a step.
    (model / "weights.safetensors").unlink()
    train(config, samples, tmp_path)
    assert contents(tmp_path)["model/weights.safetensors"] == before["model/weights.safetensors"]
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["progress"]["step"] == 4


def test_lost_gradients_stop_the_run_before_the_weights_are_lost(
    contract: Contract, samples: MemorySamples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss_without_slope(logits: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return (0.0 * logits.sum()).sqrt()  # 0, with an infinite derivative

    monkeypatch.setattr("ssma_ros.training.fit.trainer.segmentation_loss", loss_without_slope)
    with pytest.raises(SsmaError, match="a gradient is not finite at step 0"):
        train(config_for(contract), samples, tmp_path)


def test_checkpoint_of_another_run_is_refused(contract: Contract, samples: MemorySamples, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(config_for(contract, checkpoint_every=1), samples, tmp_path, kill_after=1)
    with pytest.raises(SsmaError, match="belongs to another configuration"):
        train(config_for(contract, seed=2), samples, tmp_path)


def test_damaged_checkpoint_is_named(contract: Contract, samples: MemorySamples, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(SsmaError, match=r"checkpoint\.pt: cannot be read .*delete it"):
        train(config_for(contract), samples, tmp_path)


def test_run_folder_tells_versions_and_data(contract: Contract, samples: MemorySamples, tmp_path: Path) -> None:
    train(config_for(contract, stages=[{"steps": 1, "batch_size": 2}]), samples, tmp_path)
    text = (tmp_path / "config.yaml").read_text()
    assert f"# torch: {torch.__version__}" in text
    assert "# train: memory" in text


def test_tensorboard_gets_curves_and_pictures(contract: Contract, samples: MemorySamples, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    stage = {"steps": 20, "batch_size": 1, "lr": 1e-3}
    train(config_for(contract, stages=[stage], tensorboard=True, validate_every=20), samples, tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"train/loss", "train/lr", "val/miou"} <= set(events.Tags()["scalars"])
    assert [e.step for e in events.Scalars("val/miou")] == [20]
    assert events.Tags()["images"] == ["val/0", "val/1"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "fp16"}, "needs CUDA"),
        ({"device": "tpu"}, "expected one of auto, cpu, cuda"),
        ({"class_weights": [1.0, 2.0]}, "expected none, balanced or 5 numbers"),
        ({"encoders": {"hha": "x"}}, "expected one of rgb, nir"),
        ({"initialize": "nowhere.safetensors"}, "no such file"),
    ],
)
def test_what_does_not_fit_is_refused(
    contract: Contract, samples: MemorySamples, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SsmaError, match=message):
        train(config_for(contract, **changes), samples, tmp_path)
