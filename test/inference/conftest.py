# SPDX-License-Identifier: Apache-2.0
"""Graphs of a toy network, exported once for all tests of this room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with the toy network in every precision, one contract for all."""
    from inference.toy_network import example_frames, toy_contract, toy_network

    from ssma_ros.inference.build.conversion import convert_file
    from ssma_ros.inference.build.export import export_onnx

    folder = tmp_path_factory.mktemp("toy")
    export_onnx(toy_network(), toy_contract(), folder / "model.onnx")
    (folder / "model.contract.json").rename(folder / "contract.json")
    calibration = example_frames(8)
    for precision in ("fp16", "int8", "int8-fp16"):
        convert_file(folder / "model.onnx", folder / f"model.{precision}.onnx", precision, calibration)
    return folder
