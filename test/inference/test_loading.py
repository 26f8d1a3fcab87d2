# SPDX-License-Identifier: Apache-2.0
"""Finding models and choosing backends; every mistake is one sentence."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import sys

import pytest

from ssma_ros.errors import SsmaError
from ssma_ros.inference import find_model, load_backend, loading, locate_model, shipped_models


def test_folder_and_file_are_the_same_model(toy_folder):
    assert find_model(toy_folder) == find_model(toy_folder / "model.onnx") == toy_folder / "model.onnx"
    assert find_model(toy_folder, precision="int8") == toy_folder / "model.int8.onnx"


def test_shipped_model_by_name(toy_folder, tmp_path, monkeypatch):
    shutil.copytree(toy_folder, tmp_path / "forest")
    monkeypatch.setattr(loading, "_SHIPPED", tmp_path)
    assert shipped_models() == ("forest",)
    assert find_model("forest") == tmp_path / "forest" / "model.onnx"
    assert locate_model("forest") == tmp_path / "forest"
    assert locate_model(toy_folder) == toy_folder
    with pytest.raises(SsmaError, match="model 'woods': no such file, folder or shipped model, expected one of forest"):
        find_model("woods")


@pytest.fixture
def run_folder(tmp_path, toy_folder):
    """As training leaves it: checkpoint, best/ and the result in model/; weights alone, no graph."""
    run = tmp_path / "run"
    for part in ("model", "best"):
        (run / part).mkdir(parents=True)
        (run / part / "weights.safetensors").write_bytes(b"")
        shutil.copy(toy_folder / "contract.json", run / part)
    (run / "checkpoint.pt").write_bytes(b"")
    return run


def test_a_training_run_is_its_result(run_folder, toy_folder):
    assert locate_model(run_folder) == run_folder / "model"
    assert locate_model(run_folder / "best") == run_folder / "best"
    assert find_model(run_folder, backend="torch") == run_folder / "model" / "weights.safetensors"
    expected = f"ssma export {run_folder}/model -o {run_folder}/model/model.onnx', or run in backend torch"
    with pytest.raises(SsmaError, match=re.escape(expected)):
        find_model(run_folder)
    shutil.copy(toy_folder / "model.onnx", run_folder / "model")
    assert find_model(run_folder) == run_folder / "model" / "model.onnx"


def test_a_graph_beside_the_result_of_a_run_is_found(run_folder, toy_folder):
    shutil.copy(toy_folder / "model.onnx", run_folder)
    assert find_model(run_folder) == run_folder / "model.onnx"
    assert locate_model(run_folder) == run_folder / "model", "who asks for weights gets those of the result"


def test_a_run_that_has_not_ended_is_told(run_folder):
    shutil.rmtree(run_folder / "model")
    with pytest.raises(SsmaError, match=re.escape(f"start it again and it goes on, or {run_folder}/best with")):
        locate_model(run_folder)
    shutil.rmtree(run_folder / "best")
    with pytest.raises(SsmaError, match=r"is a training run that has not ended, expected .* it goes on$"):
        locate_model(run_folder)


def test_tensorrt_reads_the_engine_of_the_same_name(toy_folder):
    assert find_model(toy_folder / "model.onnx", backend="tensorrt") == toy_folder / "model.engine"
    assert find_model(toy_folder, backend="tensorrt", precision="int8") == toy_folder / "model.int8.engine"


def test_auto_is_openvino_on_x86_and_onnx_runtime_elsewhere(toy_folder, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert load_backend(toy_folder, threads=1).identity["backend"] == "openvino"
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert load_backend(toy_folder, threads=1).identity["backend"] == "onnxruntime"


def test_auto_without_openvino_is_onnx_runtime(toy_folder, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else find_spec(name))
    assert load_backend(toy_folder, threads=1).identity["backend"] == "onnxruntime"


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_missing_package_says_what_to_install(toy_folder, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SsmaError, match=f"package {name} is not installed, try 'pip install {name}'"):
        load_backend(toy_folder, backend=name)


@pytest.mark.parametrize(
    ("file", "arguments", "words"),
    [
        ("model.onnx", {"backend": "cuda"}, "backend: got 'cuda', expected one of auto, openvino"),
        ("model.onnx", {"threads": -1}, "threads: got -1, expected 0 .all cores. or more"),
        ("model.onnx", {"backend": "torch"}, "backend torch does not read it, expected openvino or onnxruntime"),
        ("model.onnx", {"backend": "onnxruntime", "precision": "bf16"}, "precision is 'bf16', but .* is a fp32 graph"),
        ("model.onnx", {"backend": "openvino", "precision": "fp8"}, "precision is 'fp8', expected auto, fp32"),
        ("model.onnx", {"backend": "onnxruntime", "providers": ["X"]}, "provider 'X' is not installed"),
        ("other.onnx", {}, "other.onnx: no such file"),
        ("contract.json", {}, "suffix is '.json', expected one of .onnx, .engine, .safetensors"),
    ],
)
def test_bad_wishes_are_refused(toy_folder, file, arguments, words):
    with pytest.raises(SsmaError, match=words):
        load_backend(toy_folder / file, **arguments)


def test_empty_folder(tmp_path):
    with pytest.raises(SsmaError, match=r"no model\.onnx in it, expected one for backend auto"):
        load_backend(tmp_path)


@pytest.mark.parametrize("name", ["auto", "openvino", "onnxruntime"])
def test_file_that_is_no_model(tmp_path, name):
    (tmp_path / "model.onnx").write_text("these are not weights")
    with pytest.raises(SsmaError, match="not a complete ONNX model"):
        load_backend(tmp_path, backend=name)
