"""A model folder that ships: contract, weights and ONNX graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ssma_ros.inference.build.export import export_onnx
from ssma_ros.models import load_model, save_model

if TYPE_CHECKING:
    from ssma_ros.contract import Contract


def write_bundle(model: str | Path, folder: str | Path, *, description: str = "") -> Contract:
    """Make the shipped form of a trained model. Other files in the folder, the card among them, stay as they are.

    Weights are stored as float16 and the graph is made from these rounded weights, so that both say the same.

    Args:
        model: folder or file with float32 weights and contract.
        folder: gets weights.safetensors, contract.json and model.onnx; made if need be.
        description: goes into the contract; "" keeps the model's.

    Returns:
        The contract written.

    Raises:
        SsmaError: the model cannot be read.
    """
    folder = Path(folder)
    network = load_model(model)
    assert network.contract is not None  # load_model sets it
    contract = replace(network.contract, description=description or network.contract.description)
    save_model(network, contract, folder, dtype=torch.float16)
    export_onnx(load_model(folder), contract, folder / "model.onnx", compress_weights=True)
    return contract
