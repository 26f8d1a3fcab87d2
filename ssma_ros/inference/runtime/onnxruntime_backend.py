# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime: the CPU anywhere, and whatever execution providers are installed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.inference.runtime.base import BackendBase
from ssma_ros.inference.runtime.fit import load_checked_contract
from ssma_ros.inference.runtime.onnx_file import META_CONTRACT, META_PRECISION, META_WEIGHTS
from ssma_ros.inference.runtime.onnxruntime_providers import CPU, select_providers
from ssma_ros.inference.runtime.private_imports import import_onnxruntime
from ssma_ros.inference.runtime.protocol import OUTPUTS, PRESENT, RawOutputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


class OnnxRuntimeBackend(BackendBase):
    """An ONNX graph run by ONNX Runtime.

    Args:
        path: ONNX file with its contract beside it.
        precision: ``auto`` or the graph's own: ONNX Runtime computes what the graph says.
        providers: execution providers in order of preference; the CPU always stands last. A provider that is
            asked for and not installed is an error, never a silent step down.
        threads: of the CPU provider; 0 leaves it to ONNX Runtime (all cores).

    Raises:
        SsmaError: ONNX Runtime or a provider is not installed, or the file is not an ONNX model or does not fit
            its contract.
    """

    def __init__(
        self,
        path: Path,
        *,
        precision: str = "auto",
        providers: Sequence[str] = (CPU,),
        threads: int = 0,
    ) -> None:
        contract, facts = load_checked_contract(path)
        stored = facts.metadata.get(META_PRECISION, "fp32")
        if precision not in ("auto", stored):
            raise SsmaError(f"backend onnxruntime: precision is '{precision}', but {path} is a {stored} graph")
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        chain = select_providers(onnxruntime, options, providers)
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=chain)
        except Exception as error:  # its exception types are private to the extension module
            if not type(error).__module__.startswith("onnxruntime"):
                raise
            raise SsmaError(f"model {path}: ONNX Runtime cannot load it ({str(error).splitlines()[0]})") from None
        # Without this, nodes that lead to outputs nobody asked for are computed as well.
        self._options = onnxruntime.RunOptions()
        self._options.only_execute_path_to_fetches = True
        super().__init__(
            contract,
            {
                "backend": "onnxruntime",
                "device": ", ".join(self._session.get_providers()),
                "precision": stored,
                "model": str(path),
                "version": str(onnxruntime.__version__),
                "contract": facts.metadata[META_CONTRACT],
                **({"weights": facts.metadata[META_WEIGHTS]} if META_WEIGHTS in facts.metadata else {}),
            },
        )

    def _run(
        self, images: Mapping[str, NDArray[np.uint8]], present: NDArray[np.float32], wanted: frozenset[str]
    ) -> RawOutputs:
        names = [name for name in OUTPUTS if name in wanted]
        start = time.perf_counter()
        arrays = dict(
            zip(names, self._session.run(names, {**images, PRESENT: present}, self._options), strict=True)
        )
        return RawOutputs(**arrays, timings_ms={"inference": 1e3 * (time.perf_counter() - start)})

    def close(self) -> None:
        """Release the session. Idempotent."""
        self._session = None
