# SPDX-License-Identifier: Apache-2.0
"""Trained networks under the names that tables call them by."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ssma_ros.inference.loading import WEIGHTS_NAME
from ssma_ros.models import count_parameters, load_model
from ssma_ros.training.evaluate.predict import Predictor

if TYPE_CHECKING:
    from ssma_ros.contract import Contract
    from ssma_ros.models.network import SegmentationNetwork

#: What ``ssma train`` calls the result inside its run's folder.
_RESULTS = {"model": "", "best": " (best)"}


def short_name(path: Path) -> str:
    """What a model is called in tables: its folder or file, or the run whose result it is."""
    stem = path.stem if path.suffix == ".safetensors" else path.name
    if stem in (Path(WEIGHTS_NAME).stem, ""):
        return short_name(path.resolve().parent)
    if stem in _RESULTS:
        return f"{path.resolve().parent.name}{_RESULTS[stem]}"
    return stem


class TrainedNetwork:
    """A network as it lies on the disk.

    Args:
        path: model folder or .safetensors file.
        name: for tables; default: :func:`short_name`.

    Attributes:
        name, path: as above.
        network: in evaluation mode, channels last (a fifth faster on CPUs).
        predictor: of the network.

    Raises:
        SsmaError: the model cannot be read.
    """

    def __init__(self, path: Path, name: str = "") -> None:
        self.name = name or short_name(path)
        self.path = path
        network = load_model(path)
        assert network.contract is not None  # load_model sets it
        self.network: SegmentationNetwork = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.predictor = Predictor(network, network.contract)

    @property
    def contract(self) -> Contract:
        """Of the network."""
        return self.predictor.contract

    @property
    def weights(self) -> Path:
        """The file of the weights."""
        return self.path / WEIGHTS_NAME if self.path.is_dir() else self.path

    def use_contract(self, contract: Contract) -> None:
        """Predict with another calibration from now on."""
        self.network.contract = contract
        self.predictor = Predictor(self.network, contract)

    def digest(self) -> str:
        """SHA-256 of everything that decides the predictions: weights and contract."""
        content = hashlib.sha256(self.weights.read_bytes()).hexdigest()
        return hashlib.sha256(f"{content} {self.contract.digest()}".encode()).hexdigest()

    def facts(self) -> dict[str, Any]:
        """JSON-ready: where it lies and what it is."""
        return {
            "model": str(self.path), "network": self.network.name, "streams": list(self.contract.modalities),
            "parameters": count_parameters(self.network), "contract": self.contract.digest(),
        }
