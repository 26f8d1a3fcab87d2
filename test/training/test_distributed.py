# SPDX-License-Identifier: Apache-2.0
"""Two processes train one network, as torchrun starts them."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from ssma_ros.models import load_model
from ssma_ros.training.fit.config import TrainConfig
from training.test_trainer import config_for

if TYPE_CHECKING:
    from ssma_ros.contract import Contract

    from .conftest import MemorySamples


def _train_one_rank(rank: int, port: int, config: TrainConfig, samples: MemorySamples, folder: Path) -> None:
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    from ssma_ros.training.fit.launch import distributed_processes
    from ssma_ros.training.fit.trainer import Trainer

    torch.set_num_threads(1)
    with distributed_processes(config):
        trainer = Trainer(config, samples, samples, folder, progress=False)
        trainer.run()
        torch.save(trainer.network.state_dict(), folder / f"rank{rank}.pt")


@pytest.mark.slow
def test_two_processes_end_with_the_same_weights(
    contract: Contract, samples: MemorySamples, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = config_for(contract, stages=[{"steps": 3, "batch_size": 4, "lr": 1e-3}], ema=0.0, validate_every=100)
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_train_one_rank, args=(rank, port, config, samples, tmp_path), daemon=True)
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        process.kill()
    assert [p.exitcode for p in processes] == [0, 0]
    states = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(2)]
    for name, parameter in load_model(tmp_path / "model").named_parameters():
        assert torch.equal(states[0][name], states[1][name]), name
        assert torch.equal(states[0][name], parameter), name
    steps = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == [3, 3], "only the first process writes: the last validation and the end"
