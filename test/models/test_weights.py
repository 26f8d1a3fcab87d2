# SPDX-License-Identifier: Apache-2.0
"""Model files: what is written, and the one sentence when something does not fit."""

from __future__ import annotations

import errno
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from models.battery import SMALL, relative_error, settle
from safetensors.torch import load_file, save_file

from ssma_ros.contract import Contract, Stream, save_contract
from ssma_ros.errors import SsmaError
from ssma_ros.labels import load_label_set
from ssma_ros.models import SSMA, AdapNetPP, build_network, load_model, save_model

LABELS = load_label_set("synthetic_forest")


def _network(**options: Any) -> SSMA:
    torch.manual_seed(0)
    network = SSMA(("rgb", "hha"), 5, **{**SMALL, **options})
    settle(network)
    return network


def _contract(network: Any) -> Contract:
    return Contract(64, 32, (Stream("rgb", "bgr"), Stream("hha", "hha")), LABELS, network=network.describe())


def test_folder_and_file_layouts(tmp_path: Path) -> None:
    network = _network()
    save_model(network, _contract(network), tmp_path / "folder")
    save_model(network, _contract(network), tmp_path / "a" / "one.safetensors")
    assert sorted(p.name for p in (tmp_path / "folder").iterdir()) == ["contract.json", "weights.safetensors"]
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["one.contract.json", "one.safetensors"]
    images = [torch.randn(1, 3, 32, 64) for _ in range(2)]
    with torch.no_grad():
        expected = network(*images)
        for name in ("folder", "folder/weights.safetensors", "a/one.safetensors"):
            assert torch.equal(load_model(tmp_path / name)(*images), expected)


@torch.no_grad()
def test_half_precision_storage_halves_the_file_and_loads_as_float32(tmp_path: Path) -> None:
    network = _network()
    for name, dtype in (("full", None), ("half", torch.float16)):
        save_model(network, _contract(network), tmp_path / f"{name}.safetensors", dtype=dtype)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half")]
    # The header, a table of names, does not shrink.
    assert sizes[1] < 0.65 * sizes[0]
    loaded = load_model(tmp_path / "half.safetensors")
    assert {t.dtype for t in loaded.parameters()} == {torch.float32}
    images = [torch.randn(1, 3, 32, 64) for _ in range(2)]
    assert relative_error(loaded(*images), network(*images)) < 0.05


def test_step_counters_stay_out_of_the_file(tmp_path: Path) -> None:
    network = _network()
    save_model(network, _contract(network), tmp_path / "m.safetensors")
    assert not [name for name in load_file(tmp_path / "m.safetensors") if "num_batches_tracked" in name]
    counters = [b for n, b in load_model(tmp_path / "m.safetensors").named_buffers() if "tracked" in n]
    assert counters
    assert all(int(c) == 0 for c in counters)


def test_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = _network()
    save_model(network, _contract(network), tmp_path / "m.safetensors")
    before = (tmp_path / "m.safetensors").read_bytes()

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(SsmaError, match=r"m\.safetensors: cannot be written \(No space left on device\)"):
        save_model(network, _contract(network), tmp_path / "m.safetensors")
    assert (tmp_path / "m.safetensors").read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))


def test_contract_of_another_network_is_not_written(tmp_path: Path) -> None:
    network = _network()
    contract = replace(_contract(network), network=_network(skip_channels=16).describe())
    with pytest.raises(ValueError, match="the contract describes"):
        save_model(network, contract, tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


def test_preset_in_a_contract_is_enough(tmp_path: Path) -> None:
    network = SSMA.preset("forest-mobilenet", 5, ("rgb", "hha"))
    short = {"name": "SSMA", "preset": "forest-mobilenet", "modalities": ["rgb", "hha"]}
    save_model(network, replace(_contract(network), network=short), tmp_path / "m.safetensors")
    assert load_model(tmp_path / "m.safetensors").describe() == network.describe()


@pytest.mark.parametrize("content", [b"", b"not weights", b"\xff" * 64, pickle.dumps({"a": 1})])
def test_file_that_is_not_safetensors(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(SsmaError, match=r"m\.safetensors: not a safetensors file") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_truncated_file(tmp_path: Path) -> None:
    network = _network()
    path = tmp_path / "m.safetensors"
    save_model(network, _contract(network), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SsmaError, match="not a safetensors file"):
        load_model(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    network = _network()
    save_model(network, _contract(network), tmp_path / "m")
    path = tmp_path / "m/weights.safetensors"
    tensors = load_file(path)
    name = next(name for name, t in tensors.items() if t.dim() == 4)
    tensors[name].view(-1)[:3] = value
    save_file(tensors, path)
    expected = rf"weights\.safetensors: 3 of {tensors[name].numel()} values of {name} are NaN or infinite, expected"
    with pytest.raises(SsmaError, match=expected):
        load_model(tmp_path / "m")


def test_what_overflows_float16_is_not_written(tmp_path: Path) -> None:
    network = _network()
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] = 1e6
    with pytest.raises(SsmaError, match=r"1 of \d+ values of .* are NaN or infinite, .*do not fit float16"):
        save_model(network, _contract(network), tmp_path / "m", dtype=torch.float16)
    assert not (tmp_path / "m").exists()


def test_missing_file_and_missing_contract(tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match=r"no such file, expected a \.safetensors file"):
        load_model(tmp_path / "none.safetensors")
    network = _network()
    save_model(network, _contract(network), tmp_path / "m.safetensors")
    (tmp_path / "m.contract.json").unlink()
    with pytest.raises(SsmaError, match=r"contract\.json: no such file"):
        load_model(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"gating": "sigmoid", "skip_channels": 16}, r"\(8, 8, 1, 1\), expected \(16, 8, 1, 1\)"),
        ({"fusion": "decoder"}, "is missing; .* and [0-9]+ more"),
        ({"auxiliary_heads": False}, "is not in the network"),
    ],
)
def test_weights_of_another_network(tmp_path: Path, other: dict[str, Any], message: str) -> None:
    network = _network()
    save_model(network, _contract(network), tmp_path / "m.safetensors")
    save_contract(_contract(_network(**other)), tmp_path / "m.contract.json")
    with pytest.raises(SsmaError, match=message) as caught:
        load_model(tmp_path / "m.safetensors")
    assert "does not fit its contract" in str(caught.value)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"name": "UNet", "modalities": ["rgb", "hha"]}, "network name is 'UNet', expected one of AdapNetPP, SSMA"),
        ({"name": "SSMA"}, "no modalities in its description"),
        ({"name": "SSMA", "modalities": ["rgb", "hha"], "depth": 3}, "unknown network option depth"),
        ({"name": "SSMA", "modalities": ["rgb", "hha"], "backbone": "vgg"}, "backbone is 'vgg'"),
        ({"name": "SSMA", "modalities": ["rgb", "evi"], **SMALL}, r"modalities are \('rgb', 'evi'\)"),
        ({"name": "SSMA", "modalities": ["rgb", "hha"], "width": "wide"}, "cannot be built"),
    ],
)
def test_contract_that_names_an_impossible_network(tmp_path: Path, description: dict[str, Any], message: str) -> None:
    network = _network()
    save_model(network, _contract(network), tmp_path / "m.safetensors")
    save_contract(replace(_contract(network), network=description), tmp_path / "m.contract.json")
    with pytest.raises(SsmaError, match=message):
        load_model(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "final"}, "variant is 'final', expected one of released, paper"),
        ({"preset": "desert"}, "preset is 'desert', expected one of forest-mobilenet"),
        ({"gating": "tanh"}, "gating is 'tanh'"),
        ({"latent_kernel": 5}, "latent_kernel is 5"),
        ({"modality_dropout": 1.0}, "modality_dropout is 1.0"),
        ({"skip_channels": 0}, "skip_channels is 0, expected a positive whole number"),
        ({"eta": 1.5}, "eta is 1.5, expected a positive whole number"),
        ({"width": 0.0}, "width is 0.0, expected a positive number"),
        ({"easpp_rates": []}, r"easpp_rates is \(\), expected one or more from 1 up"),
        ({"easpp_rates": [3, 0]}, r"easpp_rates is \(3, 0\), expected"),
        ({"dilations": [[1, 0]]}, r"dilations is \(\(1, 0\),\), expected pairs from 1 up"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_network({"name": "SSMA", "modalities": ["rgb"], **options}, 3)


def test_modalities_and_classes_are_checked() -> None:
    with pytest.raises(ValueError, match="expected one or more distinct names"):
        SSMA(("rgb", "rgb"), 3)
    with pytest.raises(ValueError, match="num_classes is 0"):
        SSMA(("rgb",), 0)
    with pytest.raises(ValueError, match="expected exactly one"):
        AdapNetPP(3, ("rgb", "hha"))


def test_variants_differ_as_the_paper_says() -> None:
    released, paper = (SSMA(("rgb",), 3, variant=v, backbone="mobilenet_v2").options for v in ("released", "paper"))
    assert released.dilations == ((1, 2),) * 5 + ((2, 2),) * 3
    assert paper.dilations == ((1, 2), (1, 2), (1, 4), (1, 8), (1, 16), (2, 4), (2, 8), (2, 16))
    assert (released.latent_kernel, paper.latent_kernel) == (1, 3)


def test_only_the_released_backbone_normalises_its_image_by_default() -> None:
    for backbone in ("preact_resnet50", "resnet50", "mobilenet_v2", "erfnet"):
        with torch.device("meta"):
            options = AdapNetPP(3, backbone=backbone).options
            assert options.input_norm == (backbone == "preact_resnet50")
            assert AdapNetPP(3, backbone=backbone, input_norm=True).options.input_norm
