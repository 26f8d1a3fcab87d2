# SPDX-License-Identifier: Apache-2.0
"""A model folder that ships: contract, weights and ONNX graph."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ssma_ros.errors import SsmaError
from ssma_ros.files import check_writable
from ssma_ros.inference.build.export import export_onnx
from ssma_ros.models import load_model, save_model

if TYPE_CHECKING:
    from ssma_ros.contract import Contract


def write_bundle(model: str | Path, folder: str | Path, *, description: str = "") -> Contract:
    """Make the shipped form of a trained model. Other files in the folder, the card among them, stay as they are.

    Weights are stored as float16 and the graph is made from these rounded weights, so that both say the same. The
    three files are put in place once all are made.

    Args:
        model: folder or file with float32 weights and contract.
        folder: gets weights.safetensors, contract.json and model.onnx; made if need be.
        description: goes into the contract; "" keeps the model's.

    Returns:
        The contract written.

    Raises:
        SsmaError: the model cannot be read, ``folder`` holds it (whose float32 weights would be lost), or the disk
            refuses.
    """
    folder, source = Path(folder), Path(model)
    check_writable(folder, "bundle")
    if folder.resolve() == (source if source.is_dir() else source.parent).resolve():
        raise SsmaError(f"bundle {folder}: holds the model itself, whose float32 weights would be lost; "
                        "expected another folder")
    network = load_model(model)
    assert network.contract is not None  # load_model sets it
    contract = replace(network.contract, description=description or network.contract.description)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as name:
        made = Path(name)
        save_model(network, contract, made, dtype=torch.float16)
        export_onnx(load_model(made), contract, made / "model.onnx", compress_weights=True)
        for path in made.iterdir():
            os.replace(path, folder / path.name)
    return contract
