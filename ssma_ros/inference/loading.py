# SPDX-License-Identifier: Apache-2.0
"""From the name or path of a model to a backend that runs it."""

from __future__ import annotations

import importlib.util
import logging
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError, expected_one_of
from ssma_ros.options import option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssma_ros.inference.runtime.protocol import Backend
    from ssma_ros.inference.tensorrt.builder import Progress

logger = logging.getLogger(__name__)

#: Values of the ``backend`` argument.
BACKENDS = ("auto", "openvino", "onnxruntime", "tensorrt", "torch")


@dataclass(frozen=True)
class ModelOptions:
    """Which network runs, and how."""

    model: str = option(
        "forest_rgb_hha_evi",
        "Network: name of a shipped model, a model folder, a training run, or a .onnx, .engine or .safetensors file.",
    )
    backend: str = option("auto", "What runs the network.", choices=BACKENDS)
    precision: str = option(
        "auto", "Arithmetic of the network, as far as the backend has it.",
        choices=("auto", "fp32", "bf16", "fp16", "int8"),
    )
    threads: int = option(0, "CPU threads of the network; 0 = all cores.", low=0, high=1024)
    rebuild_engine: bool = option(
        False, "With TensorRT, build a missing or stale engine from the .onnx beside it at configure; takes minutes.",
    )
    cache_dir: str = option(
        "", "Folder where OpenVINO keeps compiled networks and TensorRT engines it builds; empty: none are kept, and "
        "engines lie beside their .onnx.",
    )


#: File of a model folder that each kind of backend reads.
ONNX_NAME = "model.onnx"
INT8_NAME = "model.int8.onnx"
WEIGHTS_NAME = "weights.safetensors"
#: Folders of a training run: its result, and the best of its validations.
RUN_RESULT = "model"
RUN_BEST = "best"

_SHIPPED = Path(__file__).parents[1] / "weights"
_SUFFIXES = {".onnx": "graph", ".engine": "engine", ".safetensors": "weights"}


def shipped_models() -> tuple[str, ...]:
    """Names of the models that come with the package."""
    return tuple(sorted(p.parent.name for p in _SHIPPED.glob(f"*/{ONNX_NAME}")))


def load_backend(
    model: str | Path,
    *,
    backend: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    providers: Sequence[str] = ("CPUExecutionProvider",),
    cache_dir: str | Path | None = None,
    rebuild_engine: bool = False,
    progress: Progress | None = None,
) -> Backend:
    """Load a frozen network, checked against its input contract, on the device of choice.

    Args:
        model: name of a shipped model (:func:`shipped_models`), a model folder or the training run it lies in, or a
            ``.onnx``, ``.engine`` or ``.safetensors`` file with its contract beside it. For TensorRT a ``.onnx``
            stands for the engine of the same name.
        backend: one of :data:`BACKENDS`. ``auto``: TensorRT for an engine, PyTorch for bare weights; for an ONNX
            graph OpenVINO on x86 where it is installed, else ONNX Runtime.
        precision: ``auto``, ``fp32``, ``bf16``, ``fp16`` or ``int8``, as far as the backend has it. In a model
            folder ``int8`` picks the quantised graph.
        threads: of a CPU backend; 0 uses all cores.
        providers: ONNX Runtime's execution providers in order of preference.
        cache_dir: where OpenVINO keeps compiled graphs between runs and TensorRT the engines it builds; None or ""
            keeps no graphs, and engines beside their ``.onnx``.
        rebuild_engine: with TensorRT, build a missing or stale engine from the graph beside it (takes minutes).
        progress: told how far that is; None says it as warnings in the log, which are seen wherever nothing else is
            set up.

    Raises:
        SsmaError: no such model; the file is not what its name says; contract and graph do not fit; a package or
            device is missing. Never an import error.
    """
    cache_dir = cache_dir or None
    if backend not in BACKENDS:
        raise SsmaError(f"backend: got '{backend}', {expected_one_of(backend, BACKENDS)}")
    if threads < 0:
        raise SsmaError(f"threads: got {threads}, expected 0 (all cores) or more")
    path = find_model(model, backend=backend, precision=precision)
    kind = _SUFFIXES[path.suffix]
    if backend == "auto":
        backend = {"engine": "tensorrt", "weights": "torch", "graph": _default_graph_backend()}[kind]
    if backend == "openvino":
        from ssma_ros.inference.runtime.openvino_backend import OpenVinoBackend

        return OpenVinoBackend(path, precision=precision, threads=threads, cache_dir=cache_dir)
    if backend == "onnxruntime":
        from ssma_ros.inference.runtime.onnxruntime_backend import OnnxRuntimeBackend

        return OnnxRuntimeBackend(path, precision=precision, providers=providers, threads=threads)
    if backend == "tensorrt":
        return _tensorrt(path, precision, rebuild_engine, cache_dir, progress)
    from ssma_ros.inference.runtime.torch_cuda import open_torch

    return open_torch(path, precision=precision, threads=threads)


def _tensorrt(
    path: Path, precision: str, rebuild: bool, cache_dir: str | Path | None, progress: Progress | None
) -> Backend:
    from ssma_ros.inference.tensorrt.backend import TensorRtBackend
    from ssma_ros.inference.tensorrt.build_log import BuildLog

    # Quantisation is in the graph already; the builder takes it as it is.
    precision = "stored" if precision == "int8" else precision
    progress = progress or BuildLog(logger.warning, lambda: True)
    return TensorRtBackend(path, precision=precision, rebuild_engine=rebuild, cache_dir=cache_dir, progress=progress)


def find_model(model: str | Path, *, backend: str = "auto", precision: str = "auto") -> Path:
    """The file that ``backend`` would load for ``model``; see :func:`load_backend`.

    Raises:
        SsmaError: there is no such file, or it is of a kind the backend does not read.
    """
    path = Path(model)
    if not (path.is_dir() and (path / _wanted(backend, precision)).is_file()):
        path = locate_model(model)  # a run's folder may hold a graph of its own beside the result
    if path.is_dir():
        path = _in_folder(path, backend, precision)
    if path.suffix not in _SUFFIXES:
        raise SsmaError(f"model {path}: suffix is '{path.suffix}', expected one of {', '.join(_SUFFIXES)}")
    if backend == "tensorrt" and path.suffix == ".onnx":
        return path.with_suffix(".engine")  # may not exist yet: the backend builds it or says why not
    if not path.is_file() and backend != "tensorrt":
        raise SsmaError(f"model {path}: no such file")
    readers = {"graph": ("openvino", "onnxruntime"), "engine": ("tensorrt",), "weights": ("torch",)}
    kind = _SUFFIXES[path.suffix]
    if backend != "auto" and backend not in readers[kind]:
        raise SsmaError(f"model {path}: backend {backend} does not read it, expected {' or '.join(readers[kind])}")
    return path


def locate_model(model: str | Path) -> Path:
    """Where ``model`` is: a path as it stands, the result of a training run of that path, or the folder of a shipped
    model of that name.

    Raises:
        SsmaError: there is none of these, or the run has not ended. A missing file with the suffix of a model is left
            to its reader to name.
    """
    path = Path(model)
    if path.is_dir():
        return _result_of(path)
    if path.exists() or path.suffix in _SUFFIXES:
        return path
    if path.name != str(model) or not (_SHIPPED / path.name).is_dir():
        raise SsmaError(
            f"model '{model}': no such file, folder or shipped model, {expected_one_of(str(model), shipped_models())} "
            "or the path of a .onnx, .engine or .safetensors file"
        )
    return _SHIPPED / path.name


def _result_of(folder: Path) -> Path:
    """The model of a training run's folder; any other folder is a model's own."""
    result, best = folder / RUN_RESULT, folder / RUN_BEST
    if (folder / WEIGHTS_NAME).is_file():
        return folder
    if (result / WEIGHTS_NAME).is_file():
        return result
    if (folder / "checkpoint.pt").is_file():
        instead = f", or {best} with the best of its validations so far" if best.is_dir() else ""
        raise SsmaError(f"model {folder}: is a training run that has not ended, expected one with {RUN_RESULT}/ in it; "
                        f"start it again and it goes on{instead}")
    return folder


def _wanted(backend: str, precision: str) -> str:
    """The file of a model folder."""
    return WEIGHTS_NAME if backend == "torch" else INT8_NAME if precision == "int8" else ONNX_NAME


def _in_folder(folder: Path, backend: str, precision: str) -> Path:
    name = _wanted(backend, precision)
    path = folder / name
    if not path.is_file():
        remedy = ""
        if backend != "torch" and (folder / WEIGHTS_NAME).is_file():
            how = " --precision int8 --calibration SOURCE" if name == INT8_NAME else ""
            remedy = f"; its weights become one with 'ssma export {folder} -o {path}{how}', or run in backend torch"
        raise SsmaError(f"model folder {folder}: no {name} in it, expected one for backend {backend}{remedy}")
    return path


def _default_graph_backend() -> str:
    on_x86 = platform.machine().lower() in ("x86_64", "amd64")
    return "openvino" if on_x86 and importlib.util.find_spec("openvino") is not None else "onnxruntime"
