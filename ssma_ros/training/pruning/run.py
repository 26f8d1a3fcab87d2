# SPDX-License-Identifier: Apache-2.0
"""A pruning: in each stage maps of a trained network are ranked and taken out, then training goes on."""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ssma_ros.contract import FILE_NAME as CONTRACT
from ssma_ros.documents import load_json
from ssma_ros.errors import SsmaError
from ssma_ros.files import check_writable, sha256_of, write_json
from ssma_ros.inference.build.export import export_onnx
from ssma_ros.inference.loading import ONNX_NAME, RUN_RESULT, WEIGHTS_NAME, locate_model
from ssma_ros.models import build_network, count_macs, count_parameters, load_model, save_model
from ssma_ros.models.pruning.channels import find_channels
from ssma_ros.models.pruning.shrink import shrunk
from ssma_ros.training.datasets.batch import Normalizer
from ssma_ros.training.evaluate.predict import Predictor
from ssma_ros.training.fit.batches import BatchMaker
from ssma_ros.training.fit.config import StageConfig, load_config
from ssma_ros.training.fit.launch import open_split, say, train
from ssma_ros.training.fit.losses import class_weights, segmentation_loss
from ssma_ros.training.pruning.rank import l1_scores, normalise, taylor_scores
from ssma_ros.training.pruning.report import RESULT, write_report
from ssma_ros.training.pruning.select import select

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ssma_ros.contract import Contract
    from ssma_ros.models.network import SegmentationNetwork
    from ssma_ros.models.pruning.channels import Channels
    from ssma_ros.training.datasets.cache import Samples
    from ssma_ros.training.fit.config import TrainConfig
    from ssma_ros.training.pruning.config import PruneConfig

#: In a stage's folder: the network as pruned, before it is trained on.
PRUNED = "pruned"
_CONFIG = "config.yaml"


def training_of(model: str | Path, config: PruneConfig) -> TrainConfig:
    """The training configuration that tells data and losses: the pruning's own, else that of the model's run.

    Raises:
        SsmaError: there is none.
    """
    if config.training:
        return load_config(config.training)
    folder = locate_model(model)
    for place in (Path(model), folder.parent):
        if (place / _CONFIG).is_file():
            return load_config(place / _CONFIG)
    raise SsmaError(f"prune: model {model} has no {_CONFIG} of a training run beside it, expected one; name a training "
                    "configuration as `training` in the pruning's")


class Pruning:
    """All stages of one pruning; started again, it goes on where it was stopped.

    Args:
        model: trained network: a run, a model folder or the name of a shipped model.
        config: of the pruning.
        training: tells data, losses and augmentation; its ``contract`` and ``stages`` are not used.
        output: folder that gets ``stage1/`` … (each a training run), ``model/`` (the last one's result) and the report.
        progress: show progress bars.

    Raises:
        SsmaError: the model cannot be read, or the folder holds another pruning.
    """

    def __init__(
        self, model: str | Path, config: PruneConfig, training: TrainConfig, output: str | Path, *,
        progress: bool = True,
    ) -> None:
        self._config, self._output, self._progress = config, Path(output), progress
        check_writable(self._output, "pruning")
        start = locate_model(model)
        self._start = load_model(start)
        assert self._start.contract is not None  # load_model sets it
        contract = replace(self._start.contract, temperature=1.0, vector_scaling=None)
        weights = start / WEIGHTS_NAME if start.is_dir() else start
        self._facts = {"model": str(model), "weights": sha256_of(weights.read_bytes()), "config": asdict(config)}
        self._rows = self._earlier()
        document = {key: value for key, value in contract.to_document().items() if key not in ("format", "version")}
        self._training = replace(
            training, contract=document, encoders={}, decoder_of="", pretrained="", initialize="",
        )
        self._contract = contract
        whole = {key: value for key, value in self._start.describe().items() if key != "kept"}
        with torch.device("meta"):
            self._whole = build_network(whole, self._start.num_classes)

    def run(self) -> Path:
        """Prune and train to the end.

        Returns:
            Folder of the last stage's network.
        """
        self._output.mkdir(parents=True, exist_ok=True)
        samples = [open_split(self._training, self._contract, split, progress=self._progress)
                   for split in (self._training.data.train, self._training.data.val)]
        if not self._rows:
            self._note({"stage": "before"}, self._start, samples[1])
        network = self._start
        for index in range(len(self._config.stages)):
            folder = self._output / f"stage{index + 1}"
            if len(self._rows) <= index + 1:
                self._stage(index, network, folder, samples)
            network = load_model(folder / RUN_RESULT)
        save_model(network, self._contract_of(network), self._output / RUN_RESULT)
        return self._output / RUN_RESULT

    def _stage(self, index: int, network: SegmentationNetwork, folder: Path, samples: list[Samples]) -> None:
        stage = self._config.stages[index]
        if not (folder / PRUNED / CONTRACT).is_file():  # which is written last
            small = self._prune(network, stage.reduce, samples[0])
            save_model(small, self._contract_of(small), folder / PRUNED)
        small = load_model(folder / PRUNED)
        before = self._miou(small, samples[1])
        if stage.fit:
            contract = {**self._training.contract, "network": small.describe()}
            run = replace(
                self._training, name=f"{self._training.name}, pruned {index + 1}", contract=contract, stages=stage.fit,
                initialize=str(folder / PRUNED),
            )
            train(run, folder, progress=self._progress)
        else:
            save_model(small, self._contract_of(small), folder / RUN_RESULT)
        facts = {"stage": f"stage {index + 1}", "miou_untrained": before}
        self._note(facts, load_model(folder / RUN_RESULT), samples[1])

    def _prune(self, network: SegmentationNetwork, share: float, samples: Samples) -> SegmentationNetwork:
        """``network`` without the maps of the lowest rank, at ``share`` less than the whole network costs."""
        width, height = self._contract.width, self._contract.height
        channels = find_channels(network, width, height)
        scores = self._scores(network, channels, samples)
        if self._config.measure == "macs":
            cost, whole = channels.macs, count_macs(self._whole, width, height)
        else:
            cost, whole = channels.parameters, count_parameters(self._whole)
        allowed = (1 - share) * whole
        dead = select(channels, scores, cost, allowed, least=self._config.least, multiple=self._config.multiple,
                      shortcuts=self._config.shortcuts)
        left = cost(channels.alive(dead))
        if left > allowed:
            raise SsmaError(f"prune: reduce is {share:g}, but with what every layer keeps at most "
                            f"{1 - left / whole:.2f} of the {self._config.measure} can go; lower reduce or least")
        return shrunk(network, channels, dead)

    def _scores(self, network: SegmentationNetwork, channels: Channels, samples: Samples) -> Any:
        if self._config.criterion == "l1":
            return normalise(channels, l1_scores(network, channels))
        return normalise(channels, taylor_scores(network.eval(), channels, self._losses(network, samples)))

    def _losses(self, network: SegmentationNetwork, samples: Samples) -> Iterator[Callable[[], torch.Tensor]]:
        """Of training samples, one by one, as training sees them."""
        labels = self._contract.labels
        stage = StageConfig(steps=self._config.samples, batch_size=1)
        batches = BatchMaker(replace(self._training, stages=(stage,)), self._contract, samples, 0)
        normalize = Normalizer(self._contract, torch.device("cpu"))
        weights = class_weights(self._training.class_weights, samples, labels)
        for drawn in batches.iterate(0):
            batch = normalize(drawn)
            yield lambda batch=batch: segmentation_loss(  # type: ignore[misc]
                network(*batch.images, present=batch.present), (), batch.label, ignore_id=labels.ignore_id,
                class_weights=weights,
            )

    def _note(self, facts: dict[str, Any], network: SegmentationNetwork, val: Samples) -> None:
        """One row of the report."""
        width, height = self._contract.width, self._contract.height
        row = {
            **facts, "macs": count_macs(network, width, height), "parameters": count_parameters(network),
            "miou": self._miou(network, val), "ms": self._milliseconds(network),
        }
        self._rows.append(row)
        write_json(self._output / RESULT, {**self._facts, "rows": self._rows})
        write_report(self._output, self._rows, self._config)
        say(f"{row['stage']}: {row['macs'] / 1e9:.2f} GMAC, {row['parameters'] / 1e6:.2f} M parameters, "
            f"mIoU {100 * row['miou']:.1f}")

    def _miou(self, network: SegmentationNetwork, val: Samples) -> float:
        text = "validation" if self._progress else ""
        matrix = Predictor(network, self._contract).confusion(val, limit=self._training.validation_limit, progress=text)
        return float(matrix.miou())

    def _milliseconds(self, network: SegmentationNetwork) -> float | None:
        """Median of a frame on this machine, with the backend that ``auto`` picks; None where it is not measured."""
        if not self._config.seconds:
            return None
        from ssma_ros.inference.benchmark import Case, measure_apart

        with tempfile.TemporaryDirectory(dir=self._output) as name:
            path = export_onnx(network, self._contract_of(network), Path(name) / ONNX_NAME)
            threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
            case = Case("pruned", self._contract.width, self._contract.height, "auto", "fp32", str(path),
                        threads=threads, seconds=self._config.seconds)
            found = measure_apart(case)
        if found.error:
            say(f"time of a frame: not measured ({found.error})")
        return None if found.error else found.call_ms

    def _contract_of(self, network: SegmentationNetwork) -> Contract:
        return replace(self._contract, network=network.describe())

    def _earlier(self) -> list[dict[str, Any]]:
        """Rows of a pruning that was stopped."""
        path = self._output / RESULT
        if not path.is_file():
            return []
        document = load_json(path, "pruning result")
        if any(document.get(key) != _plain(value) for key, value in self._facts.items()):
            raise SsmaError(f"pruning {self._output}: belongs to another model or configuration, expected one of this; "
                            "choose another output folder")
        rows: list[dict[str, Any]] = document["rows"]
        return rows


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
