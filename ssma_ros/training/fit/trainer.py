# SPDX-License-Identifier: Apache-2.0
"""The training loop: stages, multiresolution loss, autocast, clipping, EMA, validation, checkpoints."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from ssma_ros.errors import SsmaError
from ssma_ros.files import write_atomically
from ssma_ros.inference.loading import RUN_BEST as BEST
from ssma_ros.inference.loading import RUN_RESULT as FINAL
from ssma_ros.inference.loading import locate_model
from ssma_ros.models import build_network, holds_model, load_model, save_model
from ssma_ros.models.pretrained import start_from_imagenet
from ssma_ros.training.datasets.batch import Normalizer
from ssma_ros.training.evaluate.predict import Predictor
from ssma_ros.training.evaluate.versions import versions
from ssma_ros.training.fit.batches import BatchMaker
from ssma_ros.training.fit.checkpoint import Checkpoint, Progress, load_checkpoint, save_checkpoint
from ssma_ros.training.fit.config import dump_config
from ssma_ros.training.fit.ema import WeightAverage
from ssma_ros.training.fit.initialization import load_encoders
from ssma_ros.training.fit.losses import class_weights, segmentation_loss
from ssma_ros.training.fit.run_log import RunLog
from ssma_ros.training.fit.schedule import learning_rate_factor
from ssma_ros.training.fit.warm_start import start_as_expert

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from ssma_ros.contract import Contract
    from ssma_ros.models import SegmentationNetwork
    from ssma_ros.training.datasets.batch import Batch
    from ssma_ros.training.datasets.cache import Samples
    from ssma_ros.training.fit.config import StageConfig, TrainConfig


class Trainer:
    """One run, from its first step or from its checkpoint.

    Args:
        config: of the run.
        train, val: encoded samples.
        output: folder of the run: ``config.yaml``, ``checkpoint.pt``, ``log.jsonl``, ``tensorboard/``, ``best/``
            and at the end ``model/`` (weights and contract).
        progress: show a progress bar.
        on_step: called after every optimiser step (and checkpoint) with the steps done in the whole run.

    Attributes:
        has_ended: the folder holds this run's result already; :meth:`run` leaves it as it is.

    Raises:
        SsmaError: the configuration does not fit its data or network, or the output folder holds another run.
    """

    def __init__(
        self,
        config: TrainConfig,
        train: Samples,
        val: Samples,
        output: str | Path,
        *,
        progress: bool = True,
        on_step: Callable[[int], None] | None = None,
    ) -> None:
        self._config = config
        self._train, self._val = train, val
        self._output = Path(output)
        self._on_step = on_step
        self._rank = distributed.get_rank() if distributed.is_initialized() else 0
        self._world_size = distributed.get_world_size() if distributed.is_initialized() else 1
        self._progress_bar = progress and self._rank == 0
        self._device = choose_device(config)
        if config.threads:
            torch.set_num_threads(config.threads)
        self._contract, self._network = _prepare_network(config)
        self._network = self._network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._average = WeightAverage(self._network, config.ema) if config.ema else None
        self._normalize = Normalizer(self._contract, self._device)
        weights = class_weights(config.class_weights, train, self._contract.labels)
        self._class_weights = None if weights is None else weights.to(self._device)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled="fp16" in config.precisions)
        self._progress = Progress()
        self._run = run_digest(config, train, val)
        self._optimizer: torch.optim.Optimizer | None = None
        self._checkpoint = load_checkpoint(self._output, self._run)
        if self._checkpoint is not None:
            self._restore(self._checkpoint)
        self.has_ended = self._ended and holds_model(self._output / FINAL, self._evaluated)

    @property
    def contract(self) -> Contract:
        """Of the network under training, with its whole description."""
        return self._contract

    @property
    def network(self) -> nn.Module:
        """The network under training, not averaged."""
        return self._network

    def run(self) -> Path:
        """Train to the end (or to the early stop). A run that has ended stays as it is, a calibration that was stored
        with its result since included.

        Returns:
            The folder with the final weights and contract: the averaged ones where there is an average.
        """
        if self.has_ended:
            return self._output / FINAL
        checkpoint, self._checkpoint = self._checkpoint, None
        self._output.mkdir(parents=True, exist_ok=True)
        with RunLog(self._output, self._done, enabled=self._rank == 0, tensorboard=self._config.tensorboard) as log:
            if self._rank == 0:
                facts = {**versions(), "train": self._train.digest, "val": self._val.digest}
                write_atomically(self._output / "config.yaml", dump_config(self._config, facts).encode())
            while not self._ended:
                self._run_stage(self._progress.stage, log, checkpoint)
                checkpoint = None
            return self._finish(log)

    @property
    def _done(self) -> int:
        """Steps done in the whole run."""
        return sum(s.steps for s in self._config.stages[: self._progress.stage]) + self._progress.step

    @property
    def _evaluated(self) -> nn.Module:
        """The network that validation and the result use."""
        return self._network if self._average is None else self._average.network

    @property
    def _out_of_patience(self) -> bool:
        return 0 < self._config.patience <= self._progress.since_best

    @property
    def _ended(self) -> bool:
        """Nothing is left to train: the last step is done, or patience is at its end."""
        return self._done >= self._config.total_steps or self._out_of_patience

    def _restore(self, checkpoint: Checkpoint) -> None:
        self._progress = checkpoint.progress
        self._network.load_state_dict(checkpoint.network)
        if self._average is not None:
            self._average.load_state_dict(checkpoint.average)
        if checkpoint.scaler:
            self._scaler.load_state_dict(checkpoint.scaler)

    def _run_stage(self, index: int, log: RunLog, checkpoint: Checkpoint | None) -> None:
        """Train one stage, or what is left of it, to its end or the early stop."""
        stage = self._config.stages[index]
        optimizer = _optimizer(self._network, stage)
        if checkpoint is not None and checkpoint.optimizer:
            optimizer.load_state_dict(checkpoint.optimizer)
        self._optimizer = optimizer
        network = self._parallel()
        batches = BatchMaker(
            self._config, self._contract, self._train, index, rank=self._rank, world_size=self._world_size
        )
        first = self._progress.step
        bar = tqdm(total=stage.steps, initial=first, desc=stage.name, unit="step", disable=not self._progress_bar)
        with bar:
            for step, samples in enumerate(batches.iterate(first), start=first):
                loss = self._step(network, optimizer, stage, step, self._normalize(samples))
                self._progress.step = step + 1
                bar.update()
                bar.set_postfix(loss=f"{loss:.3f}", miou=f"{max(self._progress.best_miou, 0):.3f}")
                log.step(self._done, loss=loss, lr=optimizer.param_groups[-1]["lr"])
                self._after_step(stage, log)
                if self._out_of_patience:
                    return
        self._progress = replace(self._progress, stage=index + 1, step=0)

    def _step(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, stage: StageConfig, step: int, batch: Batch
    ) -> float:
        """One optimiser step; the loss."""
        # Everything random in the step is drawn from its own number, so that resuming needs no generator state.
        torch.manual_seed((self._config.seed << 32) + self._done * self._world_size + self._rank)
        factor = learning_rate_factor(stage, step)
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
        network.train()
        if stage.encoder_lr == 0:
            _encoders(self._network).eval()
        with self._autocast(stage.precision or self._config.precision):
            logits, auxiliary = _logits_and_auxiliary(network(*batch.images, present=batch.present))
            loss = segmentation_loss(
                logits, auxiliary, batch.label, ignore_id=self._contract.labels.ignore_id,
                auxiliary_weights=self._config.auxiliary_weights,
                class_weights=None if self._class_weights is None else self._class_weights**stage.class_weight_power,
            )
        optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        if self._config.clip_norm > 0:
            self._scaler.unscale_(optimizer)
            norm = torch.nn.utils.clip_grad_norm_(self._network.parameters(), self._config.clip_norm)
            # With fp16 the scaler skips such a step and lowers its scale; otherwise the weights would be lost.
            if not self._scaler.is_enabled() and not bool(torch.isfinite(norm)):
                raise SsmaError(f"training: a gradient is not finite at step {self._done}; begin another run with a "
                                "lower learning rate or precision: fp32, from the best weights so far where there are "
                                f"any (initialize: {self._output / BEST})")
        self._scaler.step(optimizer)
        self._scaler.update()
        if self._average is not None:
            self._average.update(self._network)
        value = float(loss.detach())
        if not value < float("inf"):
            raise SsmaError(f"training: the loss is {value} at step {self._done}, expected a finite number; "
                            "lower the learning rate or set clip_norm")
        return value

    def _after_step(self, stage: StageConfig, log: RunLog) -> None:
        """Validate and save where it is time."""
        config, done = self._config, self._done
        last = self._progress.step == stage.steps
        if done % config.validate_every == 0 or done == config.total_steps:
            self._validate(log)
        if done % config.checkpoint_every == 0 or last or self._out_of_patience:
            self._save()
        if self._on_step is not None:
            self._on_step(done)

    def _validate(self, log: RunLog) -> None:
        """Score the validation split, keep the best weights."""
        labels = self._contract.labels
        matrix = Predictor(self._evaluated, self._contract, self._device).confusion(
            self._val, limit=self._config.validation_limit, progress="validation" if self._progress_bar else ""
        )
        miou = matrix.miou()
        log.validation(self._done, matrix.summary(labels.names))
        log.pictures(self._done, self._evaluated, self._contract, self._val, self._device)
        if miou > self._progress.best_miou:
            self._progress.best_miou, self._progress.since_best = miou, 0
            if self._rank == 0:
                save_model(self._as_model(), self._contract, self._output / BEST)
        else:
            self._progress.since_best += 1

    def _as_model(self) -> Any:
        return self._evaluated

    def _save(self) -> None:
        if self._rank != 0 or self._optimizer is None:
            return
        save_checkpoint(
            Checkpoint(
                progress=self._progress,
                run=self._run,
                network=self._network.state_dict(),
                optimizer=self._optimizer.state_dict(),
                average={} if self._average is None else self._average.state_dict(),
                scaler=self._scaler.state_dict(),
            ),
            self._output,
        )

    def _finish(self, log: RunLog) -> Path:
        folder = self._output / FINAL
        if self._rank == 0:
            save_model(self._as_model(), self._contract, folder)
            log.finished(self._done, self._progress.best_miou)
        return folder

    def _parallel(self) -> nn.Module:
        if self._world_size == 1:
            return self._network
        ids = [self._device.index] if self._device.type == "cuda" else None
        # Frozen encoders and blanked streams leave parameters without a gradient in some steps.
        return DistributedDataParallel(self._network, device_ids=ids, find_unused_parameters=True)

    def _autocast(self, precision: str) -> Any:
        if precision == "fp32":
            return nullcontext()
        dtype = torch.bfloat16 if precision == "bf16" else torch.float16
        return torch.autocast(self._device.type, dtype)


def choose_device(config: TrainConfig) -> torch.device:
    """The device a configuration asks for; under torchrun each process takes its own GPU.

    Raises:
        SsmaError: unknown or absent device, or fp16 on a CPU.
    """
    if config.device not in ("auto", "cpu", "cuda"):
        raise SsmaError(f"training: device is '{config.device}', expected auto, cpu or cuda")
    use_cuda = config.device == "cuda" or (config.device == "auto" and torch.cuda.is_available())
    if use_cuda and not torch.cuda.is_available():
        raise SsmaError("training: device is 'cuda', but this machine offers no CUDA device; set device: cpu")
    if not use_cuda and "fp16" in config.precisions:
        raise SsmaError("training: precision is fp16, which needs CUDA; expected fp32 or bf16 on a CPU")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if use_cuda else torch.device("cpu")


def build(config: TrainConfig, *, storage: bool = True) -> tuple[Contract, SegmentationNetwork]:
    """The network as the configuration says, with its starting weights where those come from ImageNet, else fresh; and
    the contract with all means and scales.

    Without ``storage`` the network holds nothing, which only looks whether all fits.

    Raises:
        SsmaError: the network cannot be built, or the weights do not fit it or the streams.
    """
    contract = config.build_contract()
    try:
        with nullcontext() if storage else torch.device("meta"):
            network = build_network(contract.network, contract.labels.num_classes)
    except (ValueError, TypeError) as error:
        raise SsmaError(f"training configuration: its network cannot be built ({error})") from None
    if network.modalities != contract.modalities:
        raise SsmaError(f"training configuration: the network's modalities are {network.modalities}, "
                        f"expected {contract.modalities} as its streams are")
    if config.pretrained:
        contract = start_from_imagenet(network, contract, config.pretrained, without=config.encoders)
    return contract, network


def _prepare_network(config: TrainConfig) -> tuple[Contract, nn.Module]:
    """The network with its starting weights, and the contract with the network's whole description."""
    torch.manual_seed(config.seed)
    contract, network = build(config)
    if config.initialize:
        network.load_state_dict(load_model(locate_model(config.initialize)).state_dict())
    load_encoders(network, config.encoders)
    if config.decoder_of:
        start_as_expert(network, config.decoder_of, config.encoders[config.decoder_of])
    if config.bn_momentum is not None:
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = config.bn_momentum
    return replace(contract, network=network.describe()), network


def _encoders(network: nn.Module) -> nn.Module:
    encoders = getattr(network, "encoders", None) or getattr(network, "encoder", None)
    if encoders is None:
        raise SsmaError(f"training: {type(network).__name__} has no encoders to treat apart, "
                        "expected no encoder_lr in its stages")
    return encoders


def _optimizer(network: nn.Module, stage: StageConfig) -> torch.optim.Optimizer:
    """Adam with the encoders in a group of their own where the stage treats them apart."""
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    groups: list[dict[str, Any]] = []
    rest = list(network.parameters())
    if stage.encoder_lr is not None:
        inside = list(_encoders(network).parameters())
        ids = {id(p) for p in inside}
        rest = [p for p in rest if id(p) not in ids]
        if stage.encoder_lr == 0:
            for parameter in inside:
                parameter.requires_grad_(False)
        else:
            groups.append({"params": inside, "lr": stage.encoder_lr, "peak_lr": stage.encoder_lr})
    groups.append({"params": rest, "lr": stage.lr, "peak_lr": stage.lr})
    return torch.optim.AdamW(
        groups, betas=(stage.beta1, stage.beta2), eps=stage.epsilon, weight_decay=stage.weight_decay
    )


def _logits_and_auxiliary(output: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
    return (output[0], tuple(output[1])) if isinstance(output, tuple) else (output, ())


def run_digest(config: TrainConfig, train: Samples, val: Samples) -> str:
    """SHA-256 of everything that decides a run's course; where files lie does not."""
    document = config.to_document()
    for key in ("root", "cache"):
        del document["data"][key]
    for key in ("tensorboard", "checkpoint_every", "device", "threads"):
        del document[key]
    for key in ("decoder_of", "pretrained"):
        if not document[key]:
            del document[key]  # so that checkpoints from before this key fit still
    for key in ("samples", "held_out"):
        if not document["data"][key]:
            del document["data"][key]
    facts = [document, train.digest, val.digest]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

