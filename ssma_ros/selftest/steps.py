# SPDX-License-Identifier: Apache-2.0
"""The steps of the self-test in order of value, and what runs one of them in its process."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import NotInstalledError
from ssma_ros.selftest.findings import Findings, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssma_ros.apart import Tell

#: Packages that steps need and not every machine has: how to get them.
PACKAGES: Mapping[str, str] = {
    "pycuda": "pip install pycuda (builds against the machine's CUDA toolkit)",
    "tensorrt": "JetPack brings it; elsewhere pip install tensorrt",
    "torch": "pip install torch, in the build for this GPU's CUDA",
    "safetensors": "pip install safetensors",
    "onnx_ir": "pip install onnx-ir",
    "onnxruntime": "pip install onnxruntime-gpu, or onnxruntime with a provider's package",
    "rclpy": "source a ROS 2 installation, or pip install 'ssma_ros[ros]'",
}


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: short, unique, for ``--steps``.
        title: for people.
        function: ``module:name`` in this room, called with settings, findings and ``options``.
        limit_s: after which it is ended.
        needs: of :data:`PACKAGES`.
        options: its own arguments.
    """

    name: str
    title: str
    function: str
    limit_s: float
    needs: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


#: Backend as :data:`ssma_ros.inference.benchmark.GPU_CASES` writes it: packages it needs, seconds it may take.
_BACKENDS: Mapping[str, tuple[tuple[str, ...], float]] = {
    "torch:eager": (("torch", "safetensors"), 180.0),
    "torch:cuda_graph": (("torch", "safetensors"), 180.0),
    "torch:compile": (("torch", "safetensors"), 300.0),
    "onnxruntime:CUDAExecutionProvider": (("onnxruntime", "onnx_ir"), 180.0),
    "onnxruntime:NvTensorRTRTXExecutionProvider": (("onnxruntime", "onnx_ir"), 300.0),
    "tensorrt": (("tensorrt", "pycuda", "onnx_ir"), 600.0),
}
#: Of the networks of :data:`ssma_ros.inference.benchmark.NETWORKS`, with what is compared first.
_MEASURED = (
    "ssma-resnet50-rgb-hha", "ssma-mobilenet-rgb-hha-evi", "ssma-resnet50-rgb-hha-evi",
)
_ORDER = (
    ("tensorrt", "fp16"), ("torch:compile", "fp16"), ("torch:cuda_graph", "fp16"), ("torch:eager", "fp16"),
    ("onnxruntime:CUDAExecutionProvider", "fp16"), ("onnxruntime:NvTensorRTRTXExecutionProvider", "fp16"),
    ("tensorrt", "int8"),
)


def _short(backend: str) -> str:
    return backend.replace("ExecutionProvider", "").replace("onnxruntime", "ort").replace(":", "-").lower()


def _shipped(backend: str, precision: str = "fp16") -> Step:
    needs, limit = _BACKENDS[backend]
    return Step(
        f"shipped-{_short(backend)}-{precision}", f"the shipped network with {backend}, {precision}",
        "networks:shipped", limit, needs, {"backend": backend, "precision": precision},
    )


def _chain(backend: str) -> Step:
    needs, limit = _BACKENDS[backend]
    return Step(
        f"chain-{_short(backend)}", f"camera frame to mask with {backend}, memory and its release", "chain:chain",
        limit, tuple(dict.fromkeys((*needs, "pycuda"))), {"backend": backend, "precision": "fp16"},
    )


def _measured(network: str, backend: str, precision: str) -> Step:
    needs, limit = _BACKENDS[backend]
    return Step(
        f"{network}-{_short(backend)}-{precision}", f"{network} with {backend}, {precision}", "networks:measured",
        limit + 120.0, tuple(dict.fromkeys((*needs, "torch", "onnx_ir"))),  # whose graph torch exports
        {"network": network, "backend": backend, "precision": precision},
    )


STEPS: tuple[Step, ...] = (
    Step("machine", "driver, device, packages", "machine:machine", 60.0),
    Step("kernels", "every kernel against the processor", "kernels:kernels", 240.0, ("pycuda",)),
    Step("preprocessing", "preprocessing as captured graphs", "kernels:timings", 120.0, ("pycuda",)),
    Step("encoder", "camera images to network inputs", "encoder:encoder", 180.0, ("pycuda",)),
    *(_shipped(backend) for backend in _BACKENDS),
    *(_chain(backend) for backend in ("tensorrt", "torch:cuda_graph")),
    _shipped("tensorrt", "int8"),
    *(_measured(_MEASURED[0], *case) for case in _ORDER[:3]),
    Step("node", "the live node at 30 Hz", "node:node", 240.0, ("rclpy",)),
    *(_measured(_MEASURED[0], *case) for case in _ORDER[3:]),
    *(_measured(network, *case) for network in _MEASURED[1:] for case in _ORDER),
)


def run_step(argument: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """Run one step in this process.

    Args:
        argument: ``step``, a name of :data:`STEPS`, and ``settings``, the fields of
            :class:`~ssma_ros.selftest.findings.Settings`.
        tell: gets the findings as they come.

    Raises:
        NoGpuError: there is no GPU.
        NotInstalledError: what the step needs is not installed.
        SsmaError: something else is not as it must be.
    """
    from ssma_ros.inference.runtime.gpu import probe_gpu

    step = next(step for step in STEPS if step.name == argument["step"])
    if step.needs:  # the one that needs nothing tells what it can without a GPU, too
        probe_gpu()
    missing = [name for name in step.needs if not _there(name)]
    if missing:
        ways = "; ".join(f"{name}: {PACKAGES[name]}" for name in missing)
        raise NotInstalledError(f"{', '.join(missing)} not installed. {ways}")
    findings = Findings(tell)
    module, _, name = step.function.partition(":")
    work = getattr(importlib.import_module(f"ssma_ros.selftest.{module}"), name)
    work(Settings(**argument["settings"]), findings, **step.options)
    return findings.document()


def _there(package: str) -> bool:
    return package in sys.modules or importlib.util.find_spec(package) is not None
