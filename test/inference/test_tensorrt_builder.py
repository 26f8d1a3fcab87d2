# SPDX-License-Identifier: Apache-2.0
"""Engine builds: logic on stand-ins; a real build where the wheels for it are (see docs/deployment.md)."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import onnx
import pytest
from inference.fake_gpu import FakeTensorRt
from inference.toy_network import toy_contract

from ssma_ros.contract import save_contract
from ssma_ros.errors import SsmaError
from ssma_ros.inference.runtime.gpu import Gpu
from ssma_ros.inference.tensorrt.builder import build_engine, ensure_engine
from ssma_ros.inference.tensorrt.fingerprint import StaleEngineError, load_fingerprint, sidecar_path

GPU = Gpu(0, "Orin", "8.7", 8 << 30, "12.6")


@pytest.fixture
def folder(toy_folder, tmp_path):
    for name in ("model.onnx", "model.int8.onnx", "contract.json"):
        shutil.copy(toy_folder / name, tmp_path)
    return tmp_path


def build(folder, trt=None, **arguments):
    return build_engine(
        folder / "model.onnx", folder / "model.engine", gpu=GPU, tensorrt=trt or FakeTensorRt(), **arguments
    )


def ensure(folder, trt=None, gpu=GPU, **arguments):
    return ensure_engine(folder / "model.engine", gpu=gpu, tensorrt=trt or FakeTensorRt(), **arguments)


def test_engine_comes_with_its_fingerprint(folder):
    fingerprint = build(folder)
    assert load_fingerprint(folder / "model.engine") == fingerprint
    assert fingerprint.gpu_name == "Orin"
    assert fingerprint.compute_capability == "8.7"
    assert fingerprint.tensorrt_version == "10.3.0"
    assert fingerprint.precision == "fp16"
    assert fingerprint.contract_digest == toy_contract().digest()
    assert fingerprint.plan_bytes == (folder / "model.engine").stat().st_size
    assert fingerprint.tensors["color"] == "uint8[32,64,3]"
    assert sorted(p.name for p in folder.glob("*.partial")) == []


def test_fitting_engine_is_read_back(folder):
    fingerprint = build(folder)
    plan, found, contract = ensure(folder)
    assert (plan, found, contract) == (b"plan" * 100, fingerprint, toy_contract())


@pytest.mark.parametrize(
    ("precision", "file", "types", "said"),
    [
        ("auto", "model.onnx", onnx.TensorProto.FLOAT16, "fp16"),
        ("fp32", "model.onnx", onnx.TensorProto.FLOAT, "fp32"),
        ("stored", "model.onnx", onnx.TensorProto.FLOAT, "fp32"),
        ("auto", "model.int8.onnx", onnx.TensorProto.INT8, "int8"),
    ],
)
def test_precision_is_in_the_graph(folder, precision, file, types, said):
    trt = FakeTensorRt()
    fingerprint = build_engine(folder / file, folder / "e.engine", precision=precision, gpu=GPU, tensorrt=trt)
    weights = {t.data_type for t in onnx.load_from_string(trt.graphs[0]).graph.initializer if len(t.dims) == 4}
    assert types in weights
    assert fingerprint.precision == said


def test_float32_means_float32_and_the_workspace_is_limited(folder):
    trt = FakeTensorRt()
    build(folder, trt, workspace_mb=256)
    assert trt.settings["tf32"] is False
    assert trt.settings["workspace"] == 256 << 20


def test_timing_cache_is_kept_and_a_damaged_one_replaced(folder):
    cache = folder / "model.timing"
    trt = FakeTensorRt()
    build(folder, trt)
    assert cache.read_bytes() == b"timings"
    build(folder, trt)
    assert trt.settings["timing_cache"] == b"timings"
    cache.write_bytes(b"damaged")
    build(folder, trt)
    assert trt.settings["timing_cache"] == b""
    assert cache.read_bytes() == b"timings"
    cache.unlink()
    build(folder, trt, timing_cache=False)
    assert not cache.exists()


class Recorder:
    def __init__(self, go_on=True):
        self.seen, self.go_on = [], go_on

    def start(self, phase, parent, steps):
        self.seen.append(("start", phase, parent, steps))

    def step(self, phase, step):
        self.seen.append(("step", phase, step))
        return self.go_on

    def finish(self, phase):
        self.seen.append(("finish", phase))


def test_progress_is_told(folder):
    recorder = Recorder()
    build(folder, progress=recorder)
    assert recorder.seen == [
        ("start", "Building engine", None, 2), ("step", "Building engine", 0), ("finish", "Building engine"),
    ]  # fmt: skip


def test_stopped_build_leaves_nothing(folder):
    before = sorted(folder.iterdir())
    with pytest.raises(SsmaError, match="built no engine"):
        build(folder, progress=Recorder(go_on=False))
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [
        ("parse_errors", ["no importer for Foo"], r"cannot parse it \(no importer for Foo\)"),
        ("fail_build", True, r"built no engine \(Error Code 4: no implementation found\)"),
    ],
)
def test_failed_build_keeps_the_older_engine(folder, attribute, value, words):
    build(folder)
    before = (folder / "model.engine").read_bytes(), sidecar_path(folder / "model.engine").read_bytes()
    trt = FakeTensorRt()
    setattr(trt, attribute, value)
    with pytest.raises(SsmaError, match=words):
        build(folder, trt)
    assert ((folder / "model.engine").read_bytes(), sidecar_path(folder / "model.engine").read_bytes()) == before


def stale(change, folder):
    """What ensure_engine says after ``change``."""
    build(folder)
    arguments = change(folder) or {}
    with pytest.raises(StaleEngineError) as caught:
        ensure(folder, **arguments)
    return str(caught.value)


def other_version():
    trt = FakeTensorRt()
    trt.__version__ = "10.7.0"
    return {"trt": trt}


def other_contract(folder):
    save_contract(replace(toy_contract(), temperature=2.0), folder / "contract.json")


def truncate(folder):
    path = folder / "model.engine"
    path.write_bytes(path.read_bytes()[:100])


def alter(folder):
    path = folder / "model.engine"
    path.write_bytes(path.read_bytes()[:-4] + b"PLAN")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: other_version(), "tensorrt version is '10.3.0', expected '10.7.0'"),
        (lambda f: {"gpu": replace(GPU, name="Xavier")}, "gpu name is 'Orin', expected 'Xavier'"),
        (lambda f: {"gpu": replace(GPU, compute_capability="7.2")}, "compute capability is '8.7', expected '7.2'"),
        (lambda f: {"precision": "fp32"}, "precision is 'fp16', expected 'fp32'"),
        (other_contract, "contract digest is "),
        (truncate, "has 100 bytes, expected 400 (truncated or overwritten)"),
        (alter, "altered since it was built"),
        (lambda f: (f / "model.onnx").write_bytes(b"newer") and None, "onnx sha256 is "),
        (lambda f: sidecar_path(f / "model.engine").unlink(), "no model.engine.json beside it"),
        (lambda f: sidecar_path(f / "model.engine").write_text("{}") and None, "is not an engine's fingerprint"),
        (lambda f: sidecar_path(f / "model.engine").write_text("{") and None, "is not an engine's fingerprint"),
        (lambda f: (f / "model.engine").unlink(), "no such file"),
    ],
)
def test_engine_that_does_not_fit_is_refused_with_what_differs(folder, change, words):
    message = stale(change, folder)
    assert words in message
    assert "rebuild_engine" in message


@pytest.mark.parametrize("change", [lambda f: other_version(), truncate, lambda f: (f / "model.engine").unlink()])
def test_stale_engine_is_rebuilt_where_allowed(folder, change):
    build(folder)
    arguments = change(folder) or {}
    trt = arguments.get("trt", FakeTensorRt())
    plan, fingerprint, _ = ensure(folder, trt, rebuild=True)
    assert trt.events == ["Builder"]
    assert plan == b"plan" * 100
    assert fingerprint.tensorrt_version == trt.__version__
    assert ensure(folder, trt)[1] == fingerprint


def test_fitting_engine_is_not_rebuilt(folder):
    build(folder)
    trt = FakeTensorRt()
    ensure(folder, trt, rebuild=True)
    assert trt.events == []


def test_rebuild_without_the_graph_says_so(folder):
    build(folder)
    (folder / "model.onnx").unlink()
    trt = other_version()["trt"]
    with pytest.raises(StaleEngineError, match=r"cannot be rebuilt, model\.onnx is not beside it"):
        ensure(folder, trt, rebuild=True)


def test_engine_alone_is_enough(folder):
    build(folder)
    (folder / "model.onnx").unlink()
    assert ensure(folder)[0] == b"plan" * 100


def test_engines_of_a_folder_that_is_not_to_be_written_go_to_the_cache(folder, tmp_path):
    before = sorted(folder.iterdir())
    cache = tmp_path.parent / f"{tmp_path.name}-cache" / "engines"
    trt = FakeTensorRt()
    with pytest.raises(StaleEngineError, match=r"model\.engine: no such file; engine .*-cache.*: no such file; build"):
        ensure(folder, trt, cache_dir=cache)
    assert not cache.exists()
    fingerprint = ensure(folder, trt, rebuild=True, cache_dir=cache)[1]
    assert sorted(folder.iterdir()) == before
    name = f"{folder.name}-model-{fingerprint.onnx_sha256[:12]}"
    kept = {file.name for file in cache.iterdir()}
    assert kept == {f"{name}{end}" for end in (".engine", ".engine.json", ".timing", ".contract.json")}
    assert ensure(folder, trt, rebuild=True, cache_dir=cache)[1] == fingerprint
    assert trt.events == ["Builder"], "what is in the cache is not built again"
    ensure(folder, trt, precision="fp32", rebuild=True, cache_dir=cache)
    assert ensure(folder, trt, cache_dir=cache)[1] == fingerprint, "another precision must not take its place"
    assert (cache / f"{name}-fp32.engine").is_file()


def test_an_engine_beside_its_graph_comes_before_the_cache(folder, tmp_path):
    fingerprint = build(folder)
    assert ensure(folder, cache_dir=tmp_path / "cache")[1] == fingerprint
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_made_is_one_sentence(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SsmaError, match=r"cache_dir .*engines: cannot be made \(Not a directory\)"):
        ensure(folder, rebuild=True, cache_dir=tmp_path / "file" / "engines")


def test_fingerprint_is_plain_json(folder):
    build(folder)
    document = json.loads(sidecar_path(folder / "model.engine").read_text())
    assert document["format"] == "ssma-engine"
    assert {"onnx_sha256", "contract_digest", "gpu_name", "created", "build_seconds"} <= set(document)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"precision": "int4"}, "precision is 'int4', expected one of auto, stored, fp16, fp32"),
    ],
)
def test_bad_wishes_are_refused(folder, arguments, words):
    with pytest.raises(SsmaError, match=words):
        build(folder, **arguments)


def test_quantised_graph_is_not_turned_into_float16(folder):
    with pytest.raises(SsmaError, match=r"precision is 'fp16', but .*model\.int8\.onnx is a int8 graph"):
        build_engine(
            folder / "model.int8.onnx", folder / "e.engine", precision="fp16", gpu=GPU, tensorrt=FakeTensorRt()
        )


def test_gpu_is_asked_for_before_tensorrt(folder, monkeypatch):
    from ssma_ros.inference.tensorrt import builder as tensorrt_builder
    from ssma_ros.kernels.cuda import driver

    def touched():
        raise AssertionError("TensorRT was imported without a GPU")

    monkeypatch.setattr(driver, "LIBRARY", "libcuda_that_is_not_there.so.1")
    monkeypatch.setattr(tensorrt_builder, "import_tensorrt", touched)
    with pytest.raises(SsmaError, match="no NVIDIA driver"):
        build_engine(folder / "model.onnx", folder / "model.engine")
    with pytest.raises(SsmaError, match="no NVIDIA driver"):
        ensure_engine(folder / "model.engine")
