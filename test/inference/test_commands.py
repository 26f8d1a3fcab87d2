# SPDX-License-Identifier: Apache-2.0
"""``ssma export``, ``build-engine``, ``verify`` and ``benchmark inference`` as a person types them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import onnx
import pytest
from inference.fake_gpu import FakeDriver, FakeTensorRt, pretend_machine
from inference.toy_network import smooth_image, toy_contract, toy_network

from ssma_ros.cli._inference_table import markdown_table, markdown_tables
from ssma_ros.cli.main import main
from ssma_ros.cli.verify import _reference_beside
from ssma_ros.inference import benchmark
from ssma_ros.inference.benchmark import Case, Measurement, machine_description, measure, measure_apart
from ssma_ros.inference.build.export import export_onnx
from ssma_ros.inference.runtime import gpu
from ssma_ros.inference.runtime.onnx_file import META_PRECISION, read_onnx_facts
from ssma_ros.kernels.cuda import driver


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


def test_export_looks_at_its_output_before_it_works(toy_folder, dataset, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ssma_ros.cli._frames.encoded_frames", lambda *_: pytest.fail("worked before it looked"))
    words = ["export", toy_folder / "model.onnx", "--precision", "int8", "--calibration", dataset]
    assert ssma(*words, "-o", tmp_path / "missing" / "m.onnx") == 1
    assert "missing does not exist, expected an existing folder for m.onnx" in capsys.readouterr().err
    (tmp_path / "taken.onnx").mkdir()
    assert ssma(*words, "-o", tmp_path / "taken.onnx") == 1
    assert "is a folder, expected the name of a file" in capsys.readouterr().err


def test_layers_are_named_by_module_and_can_stay_float(toy_folder, dataset, tmp_path, capsys):
    words = ["verify", toy_folder / "model.int8.onnx", "--frames", dataset, "--backend", "onnxruntime", "--layers"]
    assert ssma(*words, "--threshold", 1.1) == 1
    captured = capsys.readouterr()
    assert "stems.0.3" in captured.out
    assert "--keep-float LAYER" in captured.err
    words = ["export", toy_folder / "model.onnx", "-o", tmp_path / "m.onnx", "--precision", "int8"]
    assert ssma(*words, "--calibration", dataset, "--keep-float", "stems.0.3") == 0
    kept = [name.name for name in onnx.load(tmp_path / "m.onnx").graph.initializer]
    assert not any("stems.0.3" in name and name.endswith(".int8") for name in kept)
    assert any("stems.1.3" in name and name.endswith(".int8") for name in kept)
    assert ssma(*words, "--calibration", dataset, "--keep-float", "stem") == 1
    assert "no quantised layer 'stem', expected some of stems.0.3" in capsys.readouterr().err


@pytest.mark.slow
def test_export_of_weights(tmp_path):
    import torch

    from ssma_ros.models import SSMA, save_model

    torch.manual_seed(0)
    network = SSMA(("color", "hha"), 5, preset="forest-mobilenet").eval()
    save_model(network, replace(toy_contract(), network=network.describe()), tmp_path)
    assert ssma("export", tmp_path, "-o", tmp_path / "model.onnx", "--compress-weights") == 0
    # A training run holds such a folder, "model".
    run = tmp_path / "run"
    save_model(network, replace(toy_contract(), network=network.describe()), run / "model")
    assert ssma("export", run, "-o", run / "model.onnx") == 0
    assert _reference_beside(run / "model.onnx") == run / "model" / "weights.safetensors"
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
    monkeypatch.setattr(driver, "LIBRARY", "libcuda_that_is_not_there.so.1")
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
    assert (found.gpu_mb, found.build_s) == (0.0, 0.0)


def test_measurement_in_a_process_of_its_own(toy_folder):
    case = Case("toy", 64, 32, "openvino", "fp32", str(toy_folder / "model.onnx"), 1, 0.05, 5)
    found = measure_apart(case)
    assert found.error == ""
    assert found.case == case
    assert found.memory_mb > 1
    assert found.file_mb > 0.01


def test_measurement_of_an_engine_tells_build_and_memory_apart(toy_folder, tmp_path, monkeypatch):
    pretend_machine(monkeypatch)
    for name in ("model.onnx", "contract.json"):
        shutil.copy(toy_folder / name, tmp_path)
    case = Case("toy", 64, 32, "tensorrt", "fp16", str(tmp_path / "model.engine"), 0, 0.05, 5)
    built, loaded = measure(case), measure(case)
    assert built.file_mb == loaded.file_mb == 400 / 1e6
    assert built.gpu_mb > 0.005
    assert built.build_s == loaded.build_s
    assert built.device_ms == 1.0  # of the stand-in's events
    assert built.identity["precision"] == "fp16"


def test_failed_measurement_is_a_line():
    missing = Case("toy", 64, 32, "openvino", "fp32", "/nowhere/model.onnx", 1, 0.05, 5)
    found = measure_apart(missing)
    assert "no such file" in found.error
    assert "no such file" in markdown_table([found], None)


def measurement(backend="openvino", size=(768, 384), **changes):
    case = Case("n", *size, backend, "bf16", "m", changes.pop("threads", 2))
    return replace(Measurement(case, 5, 30.0, 33.0, 31.0, 34.0, 60.0, 100.0, 0.0, 4.4, 1.0), **changes)


def test_table_keeps_a_labelled_column_for_the_gpu():
    table = markdown_table([measurement()], None).splitlines()
    assert "GPU ms, MB (not run: no GPU at hand)" in table[0]
    assert table[2] == "| 768×384 | openvino | bf16 | 2 | 30.0 / 33.0 |  | 31.0 / 34.0 | 60.0 | 100 | 4.4 | 1.0 |  |"
    on_gpu = markdown_table([measurement("tensorrt", gpu_mb=81.0, build_s=63.0)], "H200").splitlines()
    assert "GPU (H200) ms, MB" in on_gpu[0]
    assert on_gpu[2].startswith("| 768×384 | tensorrt | bf16 | – |  | 30.0 / 33.0, 81 | 31.0 / 34.0 |")
    assert on_gpu[2].endswith("| 63 |")
    failed = markdown_table([measurement(error="a | b")], None).splitlines()
    assert failed[2].startswith("| 768×384 | openvino | bf16 | 2 | – |  | a / b |")
    assert len({line.count("|") for line in (*table, *on_gpu, *failed)}) == 1


def test_tables_are_sorted_by_size_within_a_network():
    found = [measurement(size=(1024, 512)), measurement(size=(384, 192)), measurement("tensorrt", (384, 192))]
    lines = markdown_tables(found, None).splitlines()
    assert lines[0] == "### n"
    assert [line.split(" | ")[0][2:] for line in lines[4:]] == ["384×192", "384×192", "1024×512"]


@pytest.fixture
def quick_benchmark(toy_folder, tmp_path, monkeypatch):
    """``ssma benchmark inference`` on the toy's graphs, without processes of their own."""
    monkeypatch.setattr(benchmark, "prepare_model", lambda *arguments: toy_folder)
    monkeypatch.setattr(benchmark, "measure_apart", measure)
    common = ("--sizes", "64x32", "--json", tmp_path / "b.json", "--seconds", 0, "--frames", 2)

    def run(*words):
        assert ssma("benchmark", "inference", *common, *words) == 0
        return json.loads((tmp_path / "b.json").read_text())

    return run


def test_benchmark_of_threads_and_what_cannot_be_measured(quick_benchmark, capsys):
    words = ("--networks", "ssma-mobilenet-rgb-hha-evi", "--backends", "onnxruntime", "torch", "--threads", 1, 2)
    found = quick_benchmark(*words)["measurements"]
    assert [(m["case"]["backend"], m["case"]["precision"], m["case"]["threads"]) for m in found] == [
        (b, p, t) for t in (1, 2) for b, p in (("torch", "fp32"), ("torch", "bf16"), ("onnxruntime", "fp32"),
                                               ("onnxruntime", "int8"))
    ]  # fmt: skip
    # The toy folder has no weights: a line with the reason, and the others are measured.
    assert all(("input contract" in m["error"] or "weights" in m["error"]) == (m["case"]["backend"] == "torch")
               for m in found)
    assert all(m["frames"] == 2 for m in found if not m["error"])
    assert capsys.readouterr().out.count("| onnxruntime |") == 4


def test_benchmark_adds_to_what_was_measured(quick_benchmark, tmp_path, capsys):
    words = ("--networks", "ssma-mobilenet-rgb-hha-evi", "--backends", "onnxruntime")
    quick_benchmark(*words, "--threads", 1, "--note", "calm")
    found = quick_benchmark(*words, "--threads", 2, 1, "--add")["measurements"]
    assert [(m["case"]["precision"], m["case"]["threads"]) for m in found] == [
        ("fp32", 1), ("int8", 1), ("fp32", 2), ("int8", 2)
    ]  # fmt: skip
    late = quick_benchmark(*words, "--add", "--minutes", 0, "--markdown", tmp_path / "page.md")["measurements"]
    page = (tmp_path / "page.md").read_text()
    assert "* calm\n" in page
    assert "onnxruntime 1." in page
    assert "2 to 2 timed calls each" in page
    assert page.count("not run: time was up") == 2
    assert [m["error"] for m in late] == ["", "", "", "", "not run: time was up", "not run: time was up"]
    document = json.loads((tmp_path / "b.json").read_text())
    (tmp_path / "b.json").write_text(json.dumps({**document, "machine": "a Jetson"}))
    again = ("benchmark", "inference", "--add", "--json", tmp_path / "b.json")
    assert ssma(*again) == 1
    assert "were measured on ('a Jetson', None), expected this machine" in capsys.readouterr().err
    (tmp_path / "b.json").write_text("{}")
    assert ssma(*again) == 1
    assert "cannot be added to" in capsys.readouterr().err


def test_machine_is_named():
    assert "cores" in machine_description()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--networks", "unet"], "networks: got 'unet', expected some of ssma-resnet50-rgb-hha"),
        (["--sizes", "640x481"], "sizes: got '640x481', expected WIDTHxHEIGHT, multiples of 16"),
        (["--backends", "caffe"], "backends: got caffe, none of which this machine can run"),
        (["--frames", "0"], "frames, threads: got 0 and 0, expected at least 1 and 0"),
    ],
)
def test_benchmark_refuses_in_one_sentence(tmp_path, capsys, words, said):
    assert ssma("benchmark", "inference", "--models", tmp_path, "--json", tmp_path / "b.json", *words) == 1
    assert said in capsys.readouterr().err
