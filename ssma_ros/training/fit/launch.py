# SPDX-License-Identifier: Apache-2.0
"""From a configuration to a finished run: opens the data, joins the processes of torchrun, trains."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import distributed
from tqdm import tqdm

from ssma_ros.errors import SsmaError
from ssma_ros.files import check_writable
from ssma_ros.inference import locate_model
from ssma_ros.models.backbones import remarks
from ssma_ros.training.datasets import open_dataset
from ssma_ros.training.datasets.cache import open_samples
from ssma_ros.training.datasets.chosen import ChosenSamples, divide
from ssma_ros.training.datasets.joined import JoinedDataset
from ssma_ros.training.datasets.survey import refuse_blank, survey
from ssma_ros.training.fit.checkpoint import FILE_NAME as CHECKPOINT
from ssma_ros.training.fit.checkpoint import load_checkpoint
from ssma_ros.training.fit.run_log import require_tensorboard
from ssma_ros.training.fit.trainer import Trainer, build, choose_device, run_digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from ssma_ros.contract import Contract
    from ssma_ros.training.datasets import FrameDataset
    from ssma_ros.training.datasets.cache import Samples
    from ssma_ros.training.fit.config import TrainConfig


def open_split(config: TrainConfig, contract: Contract, split: str, *, progress: bool = True) -> Samples:
    """Encoded samples of one split of the configuration's data set: of the training split those that are trained on,
    with those that join it; of the validation split, or what is held out for it.

    Raises:
        SsmaError: the data set is not laid out as it should be, or no sample has one of the contract's streams.
    """
    data, dataset = config.data, _dataset(config, contract, split)
    found = _chosen(config, open_samples(dataset, contract), split)
    refuse_blank(found, contract.streams, range(len(found)), f"split '{split}' of {data.root}")
    if not data.cache:
        return found
    return _chosen(config, open_samples(dataset, contract, data.cache, progress=progress), split)


def _dataset(config: TrainConfig, contract: Contract, split: str) -> FrameDataset:
    data = config.data
    if split == data.val and data.held_out:
        split = data.train
    dataset = open_dataset(data.kind, data.root, split, contract.labels, data.options)
    if not data.more or split != data.train:
        return dataset
    more = [open_dataset(m.kind, m.root, m.split, contract.labels, m.options) for m in data.more]
    return JoinedDataset([dataset, *more])


def _chosen(config: TrainConfig, samples: Samples, split: str) -> Samples:
    """The samples of a split that the configuration asks for; those of ``more`` are all trained on."""
    data = config.data
    if split not in (data.train, data.val) or not (data.held_out or (data.samples and split == data.train)):
        return samples
    count = sum(not data.more or samples.name(i).startswith("0/") for i in range(len(samples)))
    trained, held_out = divide(count, data.held_out, data.samples, config.seed, f"split '{data.train}' of {data.root}")
    return ChosenSamples(samples, held_out if split == data.val else [*trained, *range(count, len(samples))])


@contextmanager
def distributed_processes(config: TrainConfig) -> Iterator[None]:
    """Join the process group that torchrun started, if it did; leaves it at the end."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    device = choose_device(config)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def train(config: TrainConfig, output: Path, *, progress: bool = True) -> Path:
    """Run a configuration; the folder of the resulting weights and contract.

    Raises:
        SsmaError: see :class:`ssma_ros.training.fit.trainer.Trainer` and :func:`open_split`.
    """
    check_run(config, output)
    contract = config.build_contract()
    first = not distributed.is_initialized() or distributed.get_rank() == 0
    if not first:
        distributed.barrier()  # the first process makes the cache, the others read it
    splits = (config.data.train, config.data.val)
    if first and (output / CHECKPOINT).is_file():
        # Another run's folder is refused before this one's inputs are encoded into the cache.
        encoded = [
            _chosen(config, open_samples(_dataset(config, contract, split), contract), split) for split in splits
        ]
        load_checkpoint(output, run_digest(config, *encoded))
    samples = [open_split(config, contract, split, progress=progress and first) for split in splits]
    if first and not (output / CHECKPOINT).is_file():
        # What would otherwise end a run in the middle of it is found before its first step: every file is read once.
        for split, found in zip(splits, samples, strict=True):
            for remark in survey(found, progress=f"checking {split}" if progress else ""):
                say(f"split '{split}' of {config.data.root}: {remark}")
    if first and distributed.is_initialized():
        distributed.barrier()
    trainer = Trainer(config, samples[0], samples[1], output, progress=progress)
    if trainer.has_ended and first:
        say(f"run {output}: has ended before; it stays as it is")
    elif first:
        for remark in remarks(trainer.network):
            say(remark)
    return trainer.run()


def check_run(config: TrainConfig, output: Path, made_before: Collection[str] = ()) -> None:
    """Look for what the run needs and where it will write, before its data is read.

    Args:
        config: of the run.
        output: its folder.
        made_before: paths of weights that will be there once the run begins.

    Raises:
        SsmaError: a device, package, file of weights or the data set is not there, the network cannot be built or begin
            as it is told to, or ``output`` may not be written to.
    """
    check_writable(output, "run")
    if config.data.cache:
        check_writable(config.data.cache, "cache")
    choose_device(config)
    if config.tensorboard:
        require_tensorboard()
    for path in (config.initialize, *config.encoders.values()):
        if path and path not in made_before and not locate_model(path.partition("#")[0]).exists():
            raise SsmaError(f"weights {path}: no such file or folder, expected those that the run starts from")
    _dataset(config, config.build_contract(), config.data.train)
    build(config, storage=False)


def check_choice(config: TrainConfig) -> None:
    """Look whether the training split has as many samples as are to be trained on and held out.

    Raises:
        SsmaError: it has fewer, or the data set is not laid out as it should be.
    """
    contract = config.build_contract()
    _chosen(config, open_samples(_dataset(config, contract, config.data.train), contract), config.data.train)


def say(text: str) -> None:
    """A line for the person at the terminal, beside progress bars and apart from results."""
    tqdm.write(f"ssma: {text}", file=sys.stderr)
