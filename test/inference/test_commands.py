"""``ssma export``, ``build-engine``, ``verify`` and ``benchmark inference`` as a person types them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import onnx
import pytest
from inference.fake_gpu import FakeDriver, FakeTensorRt
from inference.toy_network import smooth_image, toy_contract, toy_network

from ssma_ros.cli.benchmark_inference import markdown_table
from ssma_ros.cli.main import main
from ssma_ros.inference import benchmark, gpu
from ssma_ros.inference.benchmark import Case, Measurement, machine_description, measure, measure_apart
from ssma_ros.inference.export import export_onnx
from ssma_ros.inference.onnx_file import META_PRECISION, read_onnx_facts


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A labelled split with colour and depth."""
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for folder in ("rgb", "depth", "label"):
        (root / "val" / folder).mkdir(parents=True)
    for index in range(4):
        cv2.imwrite(str(root / "val" / "rgb" / f"{index}.png"), smooth_image(random, 64, 32))
        depth = np.linspace(8000, 1500, 32).astype(np.uint16)[:, None].repeat(64, axis=1)
        cv2.imwrite(str(root / "val" / "depth" / f"{index}.png"), depth)
        cv2.imwrite(str(root / "val" / "label" / f"{index}.png"), np.full((32, 64), index, np.uint8))
    camera = {"fx": 60.0, "fy": 60.0, "cx": 31.5, "cy": 15.5, "width": 64, "height": 32}
    (root / "camera.json").write_text(json.dumps(camera))
    return root / "val"


def ssma(*words):
    return main([str(word) for word in words])


def test_export_int8_from_real_frames(toy_folder, dataset, tmp_path, capsys):
    output = tmp_path / "m.onnx"
    assert ssma("export", toy_folder / "model.onnx", "-o", output, "--precision", "int8", "--calibration", dataset) == 0
    assert read_onnx_facts(output).metadata[META_PRECISION] == "int8"
    assert any(node.op_type == "QuantizeLinear" for node in onnx.load(output).graph.node)
    said = capsys.readouterr().out
    assert "opset 18, int8" in said
    assert "input  color uint8[32,64,3]" in said


@pytest.mark.slow
def test_export_of_weights(tmp_path):
    import torch

    from ssma_ros.models import SSMA, save_model

    torch.manual_seed(0)
    network = SSMA(("color", "hha"), 5, preset="forest-mobilenet").eval()
    save_model(network, replace(toy_contract(), network=network.describe()), tmp_path)
    assert ssma("export", tmp_path, "-o", tmp_path / "model.onnx", "--compress-weights") == 0
    assert not (tmp_path / "model.contract.json").exists()
    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"), full_check=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--precision", "int8"], "needs real frames, expected --calibration SOURCE"),
        (["--precision", "fp8"], "precision is 'fp8', expected one of fp32, fp16"),
        (["--precision", "int8", "--calibration", "{dataset}", "--frames", "0"], "frames: got 0, expected at least 1"),
    ],
)
def test_export_refuses_in_one_sentence(toy_folder, dataset, tmp_path, capsys, words, said):
    words = [word.format(dataset=dataset) for word in words]
    assert ssma("export", toy_folder / "model.onnx", "-o", tmp_path / "m.onnx", *words) == 1
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_export_wants_an_onnx_name(toy_folder, tmp_path, capsys):
    assert ssma("export", toy_folder / "model.onnx", "-o", tmp_path / "model.trt") == 1
    assert "expected a name that ends in .onnx" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["model.fp16.onnx", "model.int8.onnx"])
def test_verify_passes_and_tells_figures(toy_folder, dataset, capsys, file):
    words = ["verify", toy_folder / file, "--frames", dataset, "--backend", "onnxruntime", "--threads", 1, "--layers"]
    assert ssma(*words) == 0
    said = capsys.readouterr().out
    assert "frames:    4 from" in said
    assert "% of pixels agree" in said
    assert "mIoU:" in said
    assert "ten that differ most" in said
    assert "passed:" in said


def test_verify_fails_below_the_threshold(toy_folder, dataset, tmp_path, capsys):
    for name in ("model.onnx", "contract.json"):
        shutil.copy(toy_folder / name, tmp_path)
    export_onnx(toy_network(seed=9), toy_contract(), tmp_path / "other.onnx")
    words = ["verify", tmp_path / "other.onnx", "--frames", dataset, "--backend", "onnxruntime"]
    assert ssma(*words, "--reference", tmp_path / "model.onnx") == 1
    captured = capsys.readouterr()
    assert "% of pixels agree with float32, expected at least 99.990 % for fp32" in captured.err
    assert "passed" not in captured.out


def test_verify_wants_a_float32_reference(toy_folder, dataset, tmp_path, capsys):
    words = ["verify", toy_folder / "model.int8.onnx", "--frames", dataset]
    assert ssma(*words, "--reference", toy_folder / "model.fp16.onnx") == 1
    assert "is a fp16 graph, expected fp32" in capsys.readouterr().err
    shutil.copy(toy_folder / "model.int8.onnx", tmp_path)
    shutil.copy(toy_folder / "contract.json", tmp_path)
    assert ssma("verify", tmp_path / "model.int8.onnx", "--frames", dataset) == 1
    assert "no float32 graph or weights beside" in capsys.readouterr().err


def test_build_engine_without_a_gpu(toy_folder, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "_LIBRARY", "libcuda_that_is_not_there.so.1")
    assert ssma("build-engine", toy_folder / "model.onnx", "-o", tmp_path / "m.engine") == 1
    assert "no NVIDIA driver on this machine" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_build_engine_with_bars(toy_folder, capsys, monkeypatch, tmp_path):
    import sys

    monkeypatch.setattr(gpu, "load_driver", FakeDriver)
    monkeypatch.setitem(sys.modules, "tensorrt", FakeTensorRt())
    assert ssma("build-engine", toy_folder / "model.onnx", "-o", tmp_path / "m.engine") == 0
    captured = capsys.readouterr()
    assert "fp16, TensorRT 10.3.0, Orin" in captured.out
    assert "Building engine" in captured.err
    assert (tmp_path / "m.engine.json").is_file()


def test_measurement_of_a_toy(toy_folder):
    case = Case("toy", 64, 32, "onnxruntime", "fp32", str(toy_folder / "model.onnx"), 1, 0.05, 5)
    found = measure(case)
    assert found.frames >= 5
    assert 0 < found.device_ms <= found.call_ms <= found.call_p95_ms
    assert found.identity["backend"] == "onnxruntime"


def test_measurement_in_a_process_of_its_own(toy_folder):
    case = Case("toy", 64, 32, "openvino", "fp32", str(toy_folder / "model.onnx"), 1, 0.05, 5)
    found = measure_apart(case)
    assert found.error == ""
    assert found.case == case
    assert found.memory_mb > 1
    assert found.file_mb > 0.01


def test_failed_measurement_is_a_line(toy_folder, monkeypatch):
    monkeypatch.setattr(benchmark, "CPU_CASES", ())
    missing = Case("toy", 64, 32, "openvino", "fp32", "/nowhere/model.onnx", 1, 0.05, 5)
    found = measure_apart(missing)
    assert "no such file" in found.error
    assert "no such file" in markdown_table([found], None)


def test_table_keeps_a_labelled_column_for_the_gpu():
    case = Case("n", 768, 384, "openvino", "bf16", "m")
    rows = [Measurement(case, 5, 30.0, 33.0, 31.0, 34.0, 60.0, 100.0, 4.4, 1.0)]
    table = markdown_table(rows, None).splitlines()
    assert "GPU ms (not run: no GPU at hand)" in table[0]
    assert table[2] == "| n | 768×384 | openvino | bf16 | 30.0 / 33.0 | | 31.0 / 34.0 | 60.0 | 100 | 4.4 | 1.0 |"
    on_gpu = markdown_table([replace(rows[0], case=replace(case, backend="tensorrt"))], "H200").splitlines()
    assert "GPU (H200) ms" in on_gpu[0]
    assert on_gpu[2].startswith("| n | 768×384 | tensorrt | bf16 | | 30.0 / 33.0 | 31.0 / 34.0 |")
    assert len({line.count("|") for line in (*table, *on_gpu)}) == 1


def test_machine_is_named():
    assert "cores" in machine_description()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--networks", "unet"], "networks: got 'unet', expected some of ssma-resnet50-rgb-hha"),
        (["--sizes", "640x481"], "sizes: got '640x481', expected WIDTHxHEIGHT, multiples of 16"),
        (["--backends", "caffe"], "backends: got caffe, none of which this machine can run"),
    ],
)
def test_benchmark_refuses_in_one_sentence(tmp_path, capsys, words, said):
    assert ssma("benchmark", "inference", "--models", tmp_path, "--json", tmp_path / "b.json", *words) == 1
    assert said in capsys.readouterr().err
