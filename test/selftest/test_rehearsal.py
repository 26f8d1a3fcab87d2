# SPDX-License-Identifier: Apache-2.0
"""The whole self-test with stand-ins for the GPU, to its end and with numbers: every step's code has run."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from preprocessing import cuda_host

from ssma_ros.cli.main import main
from ssma_ros.contract import load_contract, save_contract
from ssma_ros.inference.loading import locate_model
from ssma_ros.selftest.page import results_of
from ssma_ros.selftest.steps import STEPS

HERE = Path(__file__).parent
SHIPPED = "forest_rgb_hha_evi"


@pytest.fixture(scope="module")
def small_models(tmp_path_factory):
    """The shipped network, for images of 128×64."""
    import shutil

    from ssma_ros.inference.build.export import export_onnx
    from ssma_ros.models import load_model

    folder, source = tmp_path_factory.mktemp("shipped") / SHIPPED, locate_model(SHIPPED)
    folder.mkdir()
    contract = replace(load_contract(source / "contract.json"), width=128, height=64)
    export_onnx(load_model(source / "weights.safetensors"), contract, folder / "model.onnx")
    shutil.copy(source / "weights.safetensors", folder)
    save_contract(contract, folder / "contract.json")
    return folder.parent


@pytest.fixture
def stand_ins(small_models, tmp_path, monkeypatch):
    kernels = tmp_path / "kernels"
    kernels.mkdir()
    if cuda_host.build(kernels) is None:
        pytest.skip("no C++ compiler to build the kernels for the host with")
    paths = [str(HERE / "stand_ins"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))
    monkeypatch.setenv("SSMA_HOST_KERNELS", str(kernels))
    monkeypatch.setenv("SSMA_SMALL_MODELS", str(small_models))


@pytest.mark.slow
def test_every_step_runs_to_its_end_behind_stand_ins(stand_ins, tmp_path, capsys):
    # Of the large networks one is enough: the code is the same.
    steps = [
        step.name for step in STEPS
        if step.name != "node" and ("network" not in step.options or "mobilenet" in step.name)
    ]
    from ssma_ros.inference.benchmark import prepare_model

    # Made beforehand: torch cannot export behind the stand-ins.
    prepare_model("ssma-mobilenet-rgb-hha-evi", 64, 32, tmp_path / "models", ())
    arguments = ["--json", str(tmp_path / "found.json"), "--models", str(tmp_path / "models"), "--size", "64x32"]
    arguments += ["--markdown", str(tmp_path / "page.md"), "--seconds", "0.05", "--rounds", "1", "--minutes", "60"]
    status = main(["selftest", "--gpu", *arguments, "--steps", *steps])
    results = results_of(json.loads((tmp_path / "found.json").read_text()))
    told = capsys.readouterr().out
    for result in results:
        # Providers of ONNX Runtime have no stand-in.
        wanted = ("not installed", "failed") if "-ort-" in result.step else ("passed",)
        assert result.state in wanted, (result.step, result.words, told)
        if result.state == "passed" and result.step != "machine":
            assert result.found["figures"], result.step
    assert status == (1 if any(result.state == "failed" for result in results) else 0)
    page = (tmp_path / "page.md").read_text()
    assert "| encode_hha | 0.3 | 1.000 | 1.000 |" in page, "of the stand-in's events"
    assert f"| {SHIPPED}, tensorrt fp16: network | 0.5 | 1.000 | 1.000 |" in page
    assert "frame to mask, torch:cuda_graph, preprocessing on gpu: total | 2 | " in page
    chain = next(result for result in results if result.step == "chain-tensorrt").found
    assert {check["name"] for check in chain["checks"]} == {
        "masks as with the processor's preprocessing", "memory is given back"
    }
