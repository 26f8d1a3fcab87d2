# SPDX-License-Identifier: Apache-2.0
"""From a TensorFlow checkpoint on disk to a network that answers as the released graph does."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import golden_files
import numpy as np
import pytest
import torch

from ssma_ros.cli.main import main
from ssma_ros.errors import SsmaError
from ssma_ros.frame import Frame
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.labels import load_label_set
from ssma_ros.models import load_model
from ssma_ros.models.tensorflow import import_checkpoint as module
from ssma_ros.models.tensorflow.import_checkpoint import import_checkpoint

if TYPE_CHECKING:
    from models.conftest import Writer

LABELS = load_label_set("cityscapes11")


@pytest.fixture(scope="module")
def adapnetpp_variables() -> dict[str, np.ndarray]:
    return golden_files.network_variables("adapnetpp_c12")


@torch.no_grad()
def _softmax_error(model: Path, name: str) -> float:
    network = load_model(model)
    images = [torch.from_numpy(i.astype(np.float32)).permute(2, 0, 1)[None] for i in golden_files.network_images(name)]
    return golden_files.softmax_error(name, network(*images).softmax(1).permute(0, 2, 3, 1).numpy())


def test_adapnetpp_by_command(
    tmp_path: Path,
    adapnetpp_variables: dict[str, np.ndarray],
    checkpoint_writer: Writer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # As a training run leaves it: ":0" names, optimiser slots, a counter, and something nobody knows.
    variables = {f"{name}:0": value for name, value in adapnetpp_variables.items()}
    variables["resnet_v2_50/conv1/weights/Adam:0"] = np.zeros(3, np.float32)
    variables["Global_Step:0"] = np.array(5, np.int32)
    variables["something/else:0"] = np.zeros(2, np.float32)
    prefix = checkpoint_writer(tmp_path / "model.ckpt-5", variables)
    output = tmp_path / "out" / "model.safetensors"
    assert main(["import-checkpoint", str(prefix), "--labels", "cityscapes11", "-o", str(output)]) == 0
    said = capsys.readouterr().out
    assert "388 variables used, 2 of the optimiser left out" in said
    assert "1 variables not used: something/else" in said
    assert _softmax_error(output, "adapnetpp_c12") <= 4e-5
    contract = load_model(output).contract
    assert contract is not None
    assert [(s.name, s.encoding, s.mean, s.scale) for s in contract.streams] == [("rgb", "bgr", (0, 0, 0), (1, 1, 1))]
    assert contract.labels == LABELS
    assert main(["inspect", str(output)]) == 0
    assert "parameters   30,151,558" in capsys.readouterr().out


@pytest.mark.slow
def test_ssma_from_a_zip(tmp_path: Path, checkpoint_writer: Writer) -> None:
    prefix = checkpoint_writer(tmp_path / "model.ckpt", golden_files.network_variables("ssma_c12"))
    archive = tmp_path / "model.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for part in tmp_path.glob("model.ckpt.*"):
            file.write(part, part.name)
    assert prefix.parent == tmp_path
    output = tmp_path / "ssma.safetensors"
    assert main(["import-checkpoint", str(archive), "--labels", "cityscapes11", "-o", str(output)]) == 0
    assert _softmax_error(output, "ssma_c12") <= 4e-5
    assert load_model(output).modalities == ("rgb", "hha")


def test_another_number_of_classes(
    adapnetpp_variables: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "read_checkpoint", lambda _: adapnetpp_variables)
    with pytest.raises(SsmaError, match="tells 12 classes apart, expected 19 as label set 'cityscapes19'"):
        import_checkpoint("m", load_label_set("cityscapes19"))
    with pytest.raises(SsmaError, match=r"2 encodings \(bgr, hha\), expected 1"):
        import_checkpoint("m", LABELS, encodings=["bgr", "hha"])
    with pytest.raises(SsmaError, match="encoding is 'hsv', expected one of bgr"):
        import_checkpoint("m", LABELS, encodings=["hsv"])
    with pytest.raises(SsmaError, match="size is 100x384, expected positive multiples of 16"):
        import_checkpoint("m", LABELS, width=100)


def test_missing_and_misshapen_variables(
    adapnetpp_variables: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = dict(adapnetpp_variables)
    monkeypatch.setattr(module, "read_checkpoint", lambda _: variables)
    del variables["resnet_v2_50/conv10/weights"]
    with pytest.raises(SsmaError, match="resnet_v2_50/conv10/weights missing"):
        import_checkpoint("m", LABELS)
    variables["resnet_v2_50/conv10/weights"] = np.zeros((1, 1, 1280, 255), np.float32)
    with pytest.raises(SsmaError, match=r"conv10/weights is \(255, 1280, 1, 1\), expected \(256, 1280, 1, 1\)"):
        import_checkpoint("m", LABELS)
    variables["resnet_v2_50/conv10/weights"] = np.zeros((1, 1, 1280, 256), np.int32)
    with pytest.raises(SsmaError, match="conv10/weights is int32, expected floats"):
        import_checkpoint("m", LABELS)


def test_checkpoints_of_other_things(
    tmp_path: Path, checkpoint_writer: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = checkpoint_writer(tmp_path / "foreign", {"dense/kernel": np.ones((2, 2), np.float32)})
    with pytest.raises(SsmaError, match="holds dense/kernel, … and no AdapNet"):
        import_checkpoint(foreign, LABELS)
    encoder = checkpoint_writer(tmp_path / "init", {"resnet_v2_50/conv1/weights:0": np.ones((7, 7, 3, 64), np.float32)})
    with pytest.raises(SsmaError, match="holds an encoder but no decoder"):
        import_checkpoint(encoder, LABELS)
    output = tmp_path / "x.safetensors"
    assert main(["import-checkpoint", str(foreign), "--labels", "cityscapes11", "-o", str(output)]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("ssma: TensorFlow checkpoint")
    assert said.err.count("\n") == 1
    assert not output.exists()


def test_output_must_be_safetensors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["import-checkpoint", str(tmp_path), "--labels", "cityscapes11", "-o", str(tmp_path / "x.pth")]
    assert main(arguments) == 1
    assert "expected a name that ends in .safetensors" in capsys.readouterr().err


def test_depth_of_the_authors_networks_has_their_colours(
    tmp_path: Path, adapnetpp_variables: dict[str, np.ndarray], checkpoint_writer: Writer
) -> None:
    """They were trained on filled millimetres / 7000 over the whole colour map."""
    prefix = checkpoint_writer(tmp_path / "model.ckpt-5", adapnetpp_variables)
    contract = import_checkpoint(prefix, LABELS, encodings=["depth_jet"], width=256, height=32).contract
    depth = np.tile(np.linspace(0.2, 10, 256, dtype=np.float32), (32, 1))
    level = np.clip(depth * 1000 / 7000 * 255, 0, 255).astype(np.uint8)
    colors = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_JET)[0].astype(int)
    stream = contract.streams[0]
    assert (stream.parameters["near"], stream.parameters["far"]) == (0.0, 7.0)
    unfilled = replace(stream, parameters={**stream.parameters, "completion": "none"})
    encoder = InputEncoder(replace(contract, streams=(unfilled,)))
    picture = encoder.encode(Frame(depth=depth)).inputs[stream.name].astype(int)
    nearest = np.abs(picture[:, :, None] - colors).sum(-1)
    assert nearest.min(-1).max() == 0
    assert np.abs(nearest.argmin(-1) - level.astype(int)).max() <= 2
