# SPDX-License-Identifier: Apache-2.0
"""Execution providers of ONNX Runtime: those compiled in, and those that are packages of their own."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import NotInstalledError, SsmaError
from ssma_ros.inference.runtime.gpu import probe_gpu

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CPU = "CPUExecutionProvider"

#: Providers that come as plugin packages: provider name → importable package, pip package.
PLUGINS: Mapping[str, tuple[str, str]] = {
    "NvTensorRTRTXExecutionProvider": (
        "onnxruntime_ep_nv_tensorrt_rtx",
        "onnxruntime-ep-nv-tensorrt-rtx-cu13",
    ),
}

_registered: set[str] = set()


def select_providers(onnxruntime: Any, options: Any, providers: Sequence[str]) -> list[str] | None:
    """Check that every provider is there; the list for the session, or None where ``options`` carries it.

    Args:
        onnxruntime: the package.
        options: SessionOptions that plugin providers are added to.
        providers: in order of preference; the CPU is added last where it is not named.

    Raises:
        NotInstalledError: a provider is not installed.
        SsmaError: its device is missing.
    """
    available = onnxruntime.get_available_providers()
    plugins = [name for name in providers if name in PLUGINS]
    for name in providers:
        if name not in available and name not in PLUGINS:
            remedy = "; try 'pip install onnxruntime-gpu'" if name == "CUDAExecutionProvider" else ""
            raise NotInstalledError(
                f"backend onnxruntime: provider '{name}' is not installed, expected one of {', '.join(available)}"
                f"{remedy}"
            )
    if not plugins:
        return [*providers, *([CPU] if CPU not in providers else [])]
    others = [name for name in providers if name not in PLUGINS and name != CPU]
    if others:
        raise SsmaError(f"backend onnxruntime: providers {plugins[0]} and {others[0]} cannot be combined, choose one")
    for name in plugins:
        _add_plugin(onnxruntime, options, name)
    return None


def _add_plugin(onnxruntime: Any, options: Any, name: str) -> None:
    probe_gpu()  # the plugins load GPU libraries, which do not fail politely without a driver
    module, package = PLUGINS[name]
    if name not in _registered:
        try:
            plugin = importlib.import_module(module)
        except ImportError:
            raise NotInstalledError(
                f"backend onnxruntime: provider '{name}' is not installed, try 'pip install {package}'"
            ) from None
        onnxruntime.register_execution_provider_library(name, plugin.get_library_path())
        _registered.add(name)
    devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == name]
    if not devices:
        raise SsmaError(f"backend onnxruntime: provider '{name}' finds no device it can use")
    options.add_provider_for_devices(devices, {})
