# SPDX-License-Identifier: Apache-2.0
"""OpenVINO: the default on x86 processors."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.inference.runtime.base import BackendBase
from ssma_ros.inference.runtime.fit import load_checked_contract
from ssma_ros.inference.runtime.onnx_file import META_CONTRACT, META_PRECISION, META_WEIGHTS
from ssma_ros.inference.runtime.private_imports import import_openvino
from ssma_ros.inference.runtime.protocol import OUTPUTS, PRESENT, RawOutputs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

#: Outputs of the light graph, which most frames need.
_LIGHT = frozenset(("mask", "confidence"))

#: Word of ours → OpenVINO element type of the computation.
_PRECISIONS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


class OpenVinoBackend(BackendBase):
    """An ONNX graph compiled for the CPU.

    Two graphs are compiled from the file: one that ends at mask and confidence, and, once somebody asks for more,
    one with all outputs – so that probabilities and gates cost nothing while nobody looks at them. The two are fused
    differently, so in bf16 a confidence may differ by one level between them.

    Args:
        path: ONNX file with its contract beside it.
        precision: ``auto`` (bf16 where the processor multiplies it natively, else fp32), ``fp32`` (pinned: no
            silent reduction) or ``bf16``. Quantised graphs keep their int8 layers whatever is said here.
        threads: of the computation; 0 leaves it to OpenVINO (all cores).
        cache_dir: folder for compiled graphs, which makes the next start quicker; None keeps none.

    Raises:
        SsmaError: OpenVINO is not installed, the file is not an ONNX model or does not fit its contract, or the
            processor lacks the precision.
    """

    def __init__(
        self, path: Path, *, precision: str = "auto", threads: int = 0, cache_dir: str | Path | None = None
    ) -> None:
        contract, facts = load_checked_contract(path)
        self._openvino = openvino = import_openvino()
        self._core = openvino.Core()
        native = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        stored = facts.metadata.get(META_PRECISION, "fp32")
        # What is not quantised in an int8 graph runs at the processor's preference.
        precision = _resolve_precision("auto" if precision == stored == "int8" else precision, native)
        self._config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
        }
        if threads > 0:
            self._config["INFERENCE_NUM_THREADS"] = str(threads)
        if cache_dir is not None:
            self._config["CACHE_DIR"] = str(cache_dir)
        try:
            self._model = self._core.read_model(str(path))
        except RuntimeError as error:
            raise SsmaError(f"model {path}: OpenVINO cannot read it ({_first_line(error)})") from None
        self._light: Any = self._compile(_LIGHT)
        self._full: Any = None
        super().__init__(
            contract,
            {
                "backend": "openvino",
                "device": str(self._core.get_property("CPU", "FULL_DEVICE_NAME")),
                "precision": f"int8/{precision}" if stored == "int8" else precision,
                "model": str(path),
                "version": str(openvino.__version__),
                "contract": facts.metadata[META_CONTRACT],
                **({"weights": facts.metadata[META_WEIGHTS]} if META_WEIGHTS in facts.metadata else {}),
            },
        )

    def _compile(self, wanted: frozenset[str]) -> Any:
        """An infer request of the graph cut down to ``wanted`` outputs."""
        outputs = [o for o in self._model.outputs if o.get_any_name() in wanted]
        model = self._openvino.Model(outputs, self._model.get_parameters(), "ssma_ros")
        try:
            return self._core.compile_model(model, "CPU", self._config).create_infer_request()
        except RuntimeError as error:
            raise SsmaError(f"backend openvino: cannot compile the graph ({_first_line(error)})") from None

    def _run(
        self, images: Mapping[str, NDArray[np.uint8]], present: NDArray[np.float32], wanted: frozenset[str]
    ) -> RawOutputs:
        if wanted <= _LIGHT:
            request = self._light
        else:
            if self._full is None:
                self._full = self._compile(frozenset(OUTPUTS))
            request = self._full
        start = time.perf_counter()
        request.infer({**images, PRESENT: present}, share_inputs=True)
        done = time.perf_counter()
        arrays = {name: np.array(request.get_tensor(name).data) for name in OUTPUTS if name in wanted}
        end = time.perf_counter()
        return RawOutputs(**arrays, timings_ms={"inference": 1e3 * (done - start), "download": 1e3 * (end - done)})

    def close(self) -> None:
        """Release the compiled graphs. Idempotent."""
        self._light = self._full = self._model = self._core = None


def _resolve_precision(precision: str, native: list[str]) -> str:
    if precision == "auto":
        return "bf16" if "BF16" in native else "fp32"
    if precision not in _PRECISIONS:
        raise SsmaError(f"backend openvino: precision is '{precision}', expected auto, {', '.join(_PRECISIONS)}")
    needed = {"bf16": "BF16", "fp16": "FP16"}.get(precision)
    if needed is not None and needed not in native:
        raise SsmaError(f"backend openvino: precision is '{precision}', but this processor offers {', '.join(native)}")
    return precision


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
