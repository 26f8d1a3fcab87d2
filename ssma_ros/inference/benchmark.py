# SPDX-License-Identifier: Apache-2.0
"""Measure backends: time of a frame, memory, file size, time to load. One process per measurement."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.apart import run_apart
from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract
    from ssma_ros.inference.build.verify import EncodedFrame
    from ssma_ros.inference.runtime.protocol import Backend

#: Networks to measure: words → name, modalities, number of classes, preset (None: the released SSMA-ResNet50).
NETWORKS: Mapping[str, tuple[tuple[str, ...], int, str | None]] = {
    "ssma-resnet50-rgb-hha": (("rgb", "hha"), 12, None),
    "ssma-resnet50-rgb-hha-evi": (("rgb", "hha", "evi"), 12, None),
    "ssma-mobilenet-rgb-hha-evi": (("rgb", "hha", "evi"), 5, "forest-mobilenet"),
}

#: Backend and precision of each column, and the file of the model folder it reads.
CPU_CASES = (
    ("torch", "fp32", "weights.safetensors"),
    ("torch", "bf16", "weights.safetensors"),
    ("onnxruntime", "fp32", "model.onnx"),
    ("onnxruntime", "int8", "model.int8.onnx"),
    ("openvino", "fp32", "model.onnx"),
    ("openvino", "bf16", "model.onnx"),
    ("openvino", "int8", "model.int8.onnx"),
)
GPU_CASES = (
    ("torch:eager", "fp16", "weights.safetensors"),
    ("torch:compile", "fp16", "weights.safetensors"),
    ("torch:cuda_graph", "fp16", "weights.safetensors"),
    ("onnxruntime:CUDAExecutionProvider", "fp16", "model.fp16.onnx"),
    ("onnxruntime:NvTensorRTRTXExecutionProvider", "fp16", "model.fp16.onnx"),
    ("tensorrt", "fp16", "model.fp16.engine"),
    ("tensorrt", "int8", "model.int8-fp16.engine"),
)


@dataclass(frozen=True)
class Case:
    """What to measure.

    Attributes:
        network: words for the table.
        width, height: of the input, pixels.
        backend: name, with a mode or provider after a colon.
        precision: of the computation.
        model: file to load.
        threads: of a CPU backend, 0 = all cores.
        seconds: how long to go on.
        frames: at least so many.
    """

    network: str
    width: int
    height: int
    backend: str
    precision: str
    model: str
    threads: int = 0
    seconds: float = 5.0
    frames: int = 5


    @property
    def on_gpu(self) -> bool:
        """Whether the network runs on a GPU."""
        return ":" in self.backend or self.backend == "tensorrt"

    @property
    def key(self) -> tuple[str, int, int, str, str, int]:
        """What is measured, whatever it takes to measure it."""
        return self.network, self.width, self.height, self.backend, self.precision, self.threads


@dataclass(frozen=True)
class Measurement:
    """What was found, times in milliseconds.

    Attributes:
        case: what was measured.
        frames: number of timed calls.
        device_ms, device_p95_ms: the network itself (between its copies).
        call_ms, call_p95_ms: the whole call with copies.
        processor_ms: processor time of the process a call, all threads together: what other work on the machine
            stretches least.
        memory_mb: peak resident memory of the process, less what it had before loading.
        gpu_mb: GPU memory the backend accounts for.
        file_mb: of the model file (of the engine with TensorRT).
        load_s: from the file to a warm backend, less the build of an engine.
        build_s: of the engine, when it was built.
        identity: the backend's own words.
        error: why it could not be measured, or "".
    """

    case: Case
    frames: int = 0
    device_ms: float = 0.0
    device_p95_ms: float = 0.0
    call_ms: float = 0.0
    call_p95_ms: float = 0.0
    processor_ms: float = 0.0
    memory_mb: float = 0.0
    gpu_mb: float = 0.0
    file_mb: float = 0.0
    load_s: float = 0.0
    build_s: float = 0.0
    identity: Mapping[str, str] | None = None
    error: str = ""


def measure_apart(case: Case, timeout_s: float = 1800.0) -> Measurement:
    """Measure in a process of its own, so that memory is its own and a crash is a line in the table.

    A timeout kills it: a network that would take the whole afternoon is a line, too.
    """
    outcome = run_apart(f"{__name__}:measure_document", asdict(case), timeout_s)
    if outcome.error:
        return Measurement(case, error=outcome.error)
    return Measurement(**{**outcome.result, "case": case})


def measure_document(argument: Mapping[str, Any], _tell: object = None) -> dict[str, Any]:
    """What :func:`measure_apart` runs: a case's fields in, a measurement's out."""
    return asdict(measure(Case(**argument)))


def measure(case: Case) -> Measurement:
    """Load, warm up and time one case in this process."""
    path = Path(case.model)
    before_mb = _peak_mb()
    built_before = _build_of(path)
    start = time.perf_counter()
    try:
        backend = load_case(case)
    except SsmaError as error:
        return Measurement(case, error=str(error))
    images, present = random_inputs(backend.contract)
    backend.infer(images, present)  # the second call is the first one without first-use costs
    load_s = time.perf_counter() - start
    build = _build_of(path)
    found = time_calls(case, backend, images, present)
    backend.close()
    return replace(
        found,
        memory_mb=_peak_mb() - before_mb,
        load_s=load_s - (build[1] if build != built_before else 0.0),
        build_s=build[1],
    )


def time_calls(
    case: Case, backend: Backend, images: Mapping[str, NDArray[np.uint8]], present: Mapping[str, bool]
) -> Measurement:
    """Time a loaded backend on one frame, as long and as often as ``case`` says; what loading tells is left out."""
    path = Path(case.model)
    calls: list[float] = []
    inner: list[float] = []
    processor: list[float] = []
    end = time.perf_counter() + case.seconds
    while len(calls) < case.frames or time.perf_counter() < end:
        begin, used = time.perf_counter(), time.process_time()
        result = backend.infer(images, present)
        calls.append(1e3 * (time.perf_counter() - begin))
        processor.append(1e3 * (time.process_time() - used))
        inner.append(result.timings_ms.get("inference", calls[-1]))
    return Measurement(
        case=case,
        frames=len(calls),
        device_ms=float(np.median(inner)),
        device_p95_ms=float(np.percentile(inner, 95)),
        call_ms=float(np.median(calls)),
        call_p95_ms=float(np.percentile(calls, 95)),
        processor_ms=float(np.median(processor)),
        gpu_mb=(backend.memory_bytes or 0) / 1e6,
        file_mb=path.stat().st_size / 1e6 if path.is_file() else 0.0,
        identity=backend.identity,
    )


def random_inputs(contract: Contract) -> tuple[dict[str, NDArray[np.uint8]], dict[str, bool]]:
    """Images of noise for every stream: time does not depend on them."""
    random = np.random.default_rng(0)
    shape = (contract.height, contract.width, 3)
    images = {name: random.integers(0, 256, shape, dtype=np.uint8) for name in contract.modalities}
    return images, dict.fromkeys(contract.modalities, True)


def _build_of(path: Path) -> tuple[str, float]:
    """When an engine was built and how many seconds it took; ("", 0) for anything else."""
    if path.suffix != ".engine":
        return "", 0.0
    from ssma_ros.inference.tensorrt.fingerprint import StaleEngineError, load_fingerprint

    try:
        fingerprint = load_fingerprint(path)
    except StaleEngineError:
        return "", 0.0
    return fingerprint.created, fingerprint.build_seconds


def load_case(case: Case) -> Backend:
    """The network of a case, ready.

    Raises:
        SsmaError: it cannot be loaded so.
    """
    path = Path(case.model)
    name, _, detail = case.backend.partition(":")
    if name == "torch":
        from ssma_ros.inference.runtime.torch_cuda import open_torch

        device = "cuda" if detail else "cpu"
        return open_torch(path, precision=case.precision, device=device, mode=detail or "auto", threads=case.threads)
    from ssma_ros.inference import load_backend

    if name == "onnxruntime":
        providers = [detail] if detail else ["CPUExecutionProvider"]
        return load_backend(path, backend=name, providers=providers, threads=case.threads)
    if name == "tensorrt":
        return load_backend(path, backend=name, precision="auto", rebuild_engine=True)
    return load_backend(path, backend=name, precision=case.precision, threads=case.threads)


def prepare_model(network: str, width: int, height: int, folder: Path, precisions: Sequence[str]) -> Path:
    """A model folder with untrained weights (time does not depend on them) and the graphs asked for.

    Args:
        network: key of :data:`NETWORKS`.
        width, height: of the input, pixels.
        folder: parent of the model folder; what is there already is used again.
        precisions: of the graphs, ``fp32`` always among them.
    """
    target = folder / f"{network}-{width}x{height}"
    target.mkdir(parents=True, exist_ok=True)
    from ssma_ros.contract import load_contract

    if not (target / "model.onnx").is_file():
        _export(network, width, height, target)
    for precision in precisions:
        if precision != "fp32" and not (target / f"model.{precision}.onnx").is_file():
            add_graph(target, precision, [random_inputs(load_contract(target / "contract.json"))])
    return target


def add_graph(folder: Path, precision: str, frames: Sequence[EncodedFrame]) -> Path:
    """Convert the float32 graph of a model folder, where that has not been done.

    Args:
        folder: with ``model.onnx``.
        precision: of the graph wanted.
        frames: with every stream, to calibrate int8 with.

    Returns:
        The graph, ``model.PRECISION.onnx``.

    Raises:
        SsmaError: it cannot be converted so, or int8 has no frames.
    """
    graph = folder / f"model.{precision}.onnx"
    if not graph.is_file():
        from ssma_ros.inference.build.conversion import convert_file
        from ssma_ros.inference.runtime.protocol import PRESENT

        feeds: list[dict[str, NDArray]] = [
            {**images, PRESENT: np.ones(len(present), np.float32)}
            for images, present in frames if all(present.values())
        ]
        convert_file(folder / "model.onnx", graph, precision, feeds)
    return graph


def _export(network: str, width: int, height: int, target: Path) -> None:
    """Write weights, contract and float32 graph of an untrained network."""
    import torch

    from ssma_ros.contract import Contract, Stream
    from ssma_ros.inference.build.export import export_onnx
    from ssma_ros.labels.label_set import LabelClass, LabelSet
    from ssma_ros.models import SSMA, save_model

    modalities, classes, preset = NETWORKS[network]
    torch.manual_seed(0)
    model = SSMA(modalities, classes, preset=preset).eval()
    encodings = {"rgb": "bgr", "hha": "hha", "evi": "evi"}
    labels = LabelSet("benchmark", tuple(LabelClass(i, f"class_{i}", (i, i, i)) for i in range(classes)), 255, None, {})
    streams = tuple(Stream(name, encodings[name]) for name in modalities)
    contract = Contract(width, height, streams, labels, model.describe())
    save_model(model, contract, target)
    export_onnx(model, contract, target / "model.onnx")


def machine_description() -> str:
    """Processor and number of cores, in words."""
    return f"{processor_name()}, {len(os.sched_getaffinity(0))} cores"


def processor_name() -> str:
    """The processor's name as Linux gives it, else the kind of machine."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _peak_mb() -> float:
    """Largest resident memory of this process so far (getrusage would count the parent's before exec)."""
    with open("/proc/self/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) / 1024.0 for line in file if line.startswith("VmHWM"))
