# SPDX-License-Identifier: Apache-2.0
"""Build a TensorRT engine from an exported graph: once, identified, and never inside a callback.

Serves TensorRT 10.3 to 11.x. Only names that both have are used: strongly typed networks, the tensor-address API,
no precision flags. Tests compare every name against lists taken from both versions' bindings.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ssma_ros.contract import FILE_NAME, contract_path_for, load_contract, save_contract
from ssma_ros.errors import SsmaError
from ssma_ros.files import check_file_writable, sha256_of, write_atomically
from ssma_ros.inference.runtime.fit import load_checked_contract
from ssma_ros.inference.runtime.gpu import probe_gpu
from ssma_ros.inference.runtime.onnx_file import META_PRECISION
from ssma_ros.inference.tensorrt.fingerprint import Fingerprint, StaleEngineError, read_engine, save_fingerprint

if TYPE_CHECKING:
    from ssma_ros.contract import Contract
    from ssma_ros.inference.runtime.gpu import Gpu
    from ssma_ros.inference.runtime.onnx_file import OnnxFacts

#: Precisions an engine can be asked for; ``auto`` is fp16 for a float32 graph and the graph's own otherwise.
PRECISIONS = ("auto", "stored", "fp16", "fp32")


class Progress(Protocol):
    """Told about the build's phases, which nest; called from TensorRT's threads."""

    def start(self, phase: str, parent: str | None, steps: int) -> None:
        """A phase of ``steps`` steps begins."""

    def step(self, phase: str, step: int) -> bool:
        """Step ``step`` of a phase is done; False stops the build."""

    def finish(self, phase: str) -> None:
        """A phase ends."""


def build_engine(
    onnx_path: str | Path,
    engine_path: str | Path,
    *,
    precision: str = "auto",
    workspace_mb: int = 1024,
    optimization_level: int | None = None,
    timing_cache: bool = True,
    progress: Progress | None = None,
    gpu: Gpu | None = None,
    tensorrt: Any = None,
) -> Fingerprint:
    """Build, identify and store an engine for the GPU of this machine.

    Beside ``X.engine`` come ``X.engine.json`` (fingerprint), ``X.timing`` (timing cache: the next build is quicker)
    and, unless the folder's ``contract.json`` says the same, ``X.contract.json``. Each is written whole or not at all.

    Args:
        onnx_path: graph from ``ssma export``.
        engine_path: file to write.
        precision: one of :data:`PRECISIONS`. ``fp16`` converts a float32 graph.
        workspace_mb: GPU memory that a layer's tactic may use while building and running.
        optimization_level: 0 (quick build) to 5 (fast engine); None is TensorRT's default.
        timing_cache: read and write the timing cache.
        progress: told how far the build is.
        gpu: from :func:`~ssma_ros.inference.runtime.gpu.probe_gpu`; None asks the driver.
        tensorrt: the bindings; None imports them.

    Raises:
        SsmaError: no GPU, no TensorRT, a file that is not what it should be, or TensorRT refuses the graph.
    """
    onnx_path, engine_path = Path(onnx_path), Path(engine_path)
    check_file_writable(engine_path)
    contract, facts = load_checked_contract(onnx_path)
    gpu = gpu or probe_gpu()
    trt = tensorrt or import_tensorrt()
    graph, precision = _graph_bytes(onnx_path, facts, precision)
    start = time.monotonic()
    cache_path = engine_path.with_suffix(".timing") if timing_cache else None
    plan = _build_plan(trt, graph, f"model {onnx_path}", workspace_mb, optimization_level, cache_path, progress)
    fingerprint = Fingerprint(
        onnx_sha256=sha256_of(onnx_path.read_bytes()),
        contract_digest=contract.digest(),
        tensorrt_version=str(trt.__version__),
        gpu_name=gpu.name,
        compute_capability=gpu.compute_capability,
        precision=precision,
        tensors={name: str(tensor) for name, tensor in {**facts.inputs, **facts.outputs}.items()},
        plan_sha256=sha256_of(plan),
        plan_bytes=len(plan),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        build_seconds=round(time.monotonic() - start, 1),
    )
    _store(engine_path, plan, fingerprint, contract)
    return fingerprint


def ensure_engine(
    engine_path: Path,
    *,
    precision: str = "auto",
    rebuild: bool = False,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    gpu: Gpu | None = None,
    tensorrt: Any = None,
) -> tuple[bytes, Fingerprint, Contract]:
    """A plan that fits this machine, built anew where allowed.

    Args:
        engine_path: ``X.engine``; ``X.onnx`` beside it is what it is (re)built from.
        precision: for a rebuild; ``fp16`` and ``fp32`` are also what an existing engine must be.
        rebuild: build where the engine is missing or stale and the ONNX file is there.
        cache_dir: folder for engines that are built (made where it is missing) and their timing caches, for models in
            folders that cannot be written; looked into after ``engine_path``. None = beside the ONNX file.
        progress, gpu, tensorrt: as for :func:`build_engine`.

    Raises:
        StaleEngineError: the engine does not fit and may not or cannot be rebuilt; says what differs.
        SsmaError: no GPU, no TensorRT, or the build fails.
    """
    gpu = gpu or probe_gpu()
    trt = tensorrt or import_tensorrt()
    onnx_path = engine_path.with_suffix(".onnx")
    places = [engine_path]
    if cache_dir is not None and onnx_path.is_file():
        places.append(_cached_path(cache_dir, onnx_path, precision))
    reasons = []
    for place in places:
        try:
            return _read_fitting(place, onnx_path, precision, gpu, trt)
        except StaleEngineError as error:
            reasons.append(str(error))
    why = "; ".join(reasons)
    if not rebuild:
        raise StaleEngineError(f"{why}; build it with 'ssma build-engine' or allow rebuild_engine")
    if not onnx_path.is_file():
        raise StaleEngineError(f"{why}; it cannot be rebuilt, {onnx_path.name} is not beside it")
    if cache_dir is not None:
        _make_folder(cache_dir)
    build_engine(onnx_path, places[-1], precision=precision, progress=progress, gpu=gpu, tensorrt=trt)
    return _read_fitting(places[-1], onnx_path, precision, gpu, trt)


def _cached_path(cache_dir: Path, onnx_path: Path, precision: str) -> Path:
    """Where the engine of an ONNX file lies in a folder for the engines of all; a person can still tell which it is."""
    digest = sha256_of(onnx_path.read_bytes())[:12]
    name = f"{onnx_path.resolve().parent.name}-{onnx_path.stem}-{digest}"
    return cache_dir / (f"{name}.engine" if precision == "auto" else f"{name}-{precision}.engine")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SsmaError(f"cache_dir {folder}: cannot be made ({error.strerror}), expected one of your own") from None


def import_tensorrt() -> Any:
    """The TensorRT bindings. Ask for the GPU first.

    Raises:
        SsmaError: they are not installed.
    """
    try:
        import tensorrt
    except ImportError:
        raise SsmaError(
            "TensorRT: its Python package is not installed, expected that of JetPack or 'pip install tensorrt'"
        ) from None
    return tensorrt


def _read_fitting(
    engine_path: Path, onnx_path: Path, precision: str, gpu: Gpu, trt: Any
) -> tuple[bytes, Fingerprint, Contract]:
    # The contract that counts is the ONNX file's where there is one: a newer export makes the engine stale.
    contract = load_contract(contract_path_for(onnx_path if onnx_path.is_file() else engine_path))
    expected = {
        "contract_digest": contract.digest(),
        "tensorrt_version": str(trt.__version__),
        "gpu_name": gpu.name,
        "compute_capability": gpu.compute_capability,
    }
    if onnx_path.is_file():
        expected["onnx_sha256"] = sha256_of(onnx_path.read_bytes())
    if precision in ("fp16", "fp32"):
        expected["precision"] = precision
    plan, fingerprint = read_engine(engine_path, expected)
    return plan, fingerprint, contract


def _graph_bytes(onnx_path: Path, facts: OnnxFacts, precision: str) -> tuple[bytes, str]:
    """The graph to parse, converted where asked, and its precision."""
    stored = facts.metadata.get(META_PRECISION, "fp32")
    if precision not in PRECISIONS:
        raise SsmaError(f"build-engine: precision is '{precision}', expected one of {', '.join(PRECISIONS)}")
    if precision == "auto":
        precision = "fp16" if stored == "fp32" else stored
    elif precision == "stored":
        precision = stored
    if precision == stored:
        return onnx_path.read_bytes(), stored
    if stored != "fp32":
        raise SsmaError(f"build-engine: precision is '{precision}', but {onnx_path} is a {stored} graph")
    try:
        import onnx_ir
    except ImportError:
        raise SsmaError(
            "build-engine: package onnx_ir is not installed, which turns a float32 graph into float16; "
            "try 'pip install onnx-ir', or export with --precision fp16"
        ) from None
    from ssma_ros.inference.build.float16 import to_float16

    model = onnx_ir.load(onnx_path)
    to_float16(model)
    return onnx_ir.to_proto(model).SerializeToString(), "fp16"


def _build_plan(
    trt: Any,
    graph: bytes,
    where: str,
    workspace_mb: int,
    optimization_level: int | None,
    cache_path: Path | None,
    progress: Progress | None,
) -> bytes:
    logger = make_logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(graph):
        reasons = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise SsmaError(f"{where}: TensorRT {trt.__version__} cannot parse it ({reasons})")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_mb << 20)
    config.clear_flag(trt.BuilderFlag.TF32)  # float32 in the graph means float32
    if optimization_level is not None:
        config.builder_optimization_level = optimization_level
    cache = _attach_timing_cache(config, cache_path)
    monitor = _monitor(trt, progress) if progress is not None else None
    if monitor is not None:
        config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise SsmaError(f"{where}: TensorRT {trt.__version__} built no engine ({logger.last_error or 'stopped'})")
    if cache is not None and cache_path is not None:
        write_atomically(cache_path, bytes(cache.serialize()))
    return bytes(plan)


def _attach_timing_cache(config: Any, path: Path | None) -> Any:
    """A timing cache from ``path``, or a fresh one where the file is missing or for another GPU."""
    if path is None:
        return None
    stored = path.read_bytes() if path.is_file() else b""
    for content in (stored, b""):
        cache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
    return None


def make_logger(trt: Any) -> Any:
    """A logger that keeps quiet and remembers the last error for our own message."""

    class _Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last_error = ""

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.last_error = message

    return _Logger()


def _monitor(trt: Any, progress: Progress) -> Any:
    """``progress`` as the interface that TensorRT calls."""

    class _Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            progress.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return progress.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            progress.finish(phase_name)

    return _Monitor()


def _store(engine_path: Path, plan: bytes, fingerprint: Fingerprint, contract: Contract) -> None:
    common = engine_path.with_name(FILE_NAME)
    if not (common.is_file() and load_contract(common).digest() == contract.digest()):
        save_contract(contract, engine_path.with_name(engine_path.stem + ".contract.json"))
    write_atomically(engine_path, plan)
    save_fingerprint(fingerprint, engine_path)
