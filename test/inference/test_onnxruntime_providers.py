# SPDX-License-Identifier: Apache-2.0
"""Provider lists: compiled in, or plugin packages; never a silent step down to the CPU."""

from __future__ import annotations

import sys
import types

import onnxruntime
import pytest
from inference.fake_gpu import FakeDriver

from ssma_ros.errors import SsmaError
from ssma_ros.inference import load_backend
from ssma_ros.inference.runtime import gpu, onnxruntime_providers
from ssma_ros.inference.runtime.onnxruntime_providers import CPU, select_providers
from ssma_ros.kernels.cuda import driver

PLUGIN = "NvTensorRTRTXExecutionProvider"


def test_the_cpu_stands_last():
    available = onnxruntime.get_available_providers()
    other = next(name for name in available if name != CPU)
    assert select_providers(onnxruntime, None, [other]) == [other, CPU]
    assert select_providers(onnxruntime, None, [CPU]) == [CPU]


def test_provider_that_is_not_there(toy_folder):
    with pytest.raises(SsmaError, match=r"provider 'CUDAExecutionProvider' is not installed, expected one of .*CPU"):
        load_backend(toy_folder, backend="onnxruntime", providers=["CUDAExecutionProvider"])


def test_plugin_without_a_gpu_never_loads(toy_folder, monkeypatch):
    monkeypatch.setattr(driver, "LIBRARY", "libcuda_that_is_not_there.so.1")
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_nv_tensorrt_rtx", None)
    with pytest.raises(SsmaError, match="no NVIDIA driver"):
        load_backend(toy_folder, backend="onnxruntime", providers=[PLUGIN])


@pytest.fixture
def gpu_there(monkeypatch):
    monkeypatch.setattr(gpu, "load_driver", FakeDriver)
    monkeypatch.setattr(onnxruntime_providers, "_registered", set())


def test_plugin_that_is_not_installed(gpu_there, monkeypatch, toy_folder):
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_nv_tensorrt_rtx", None)
    with pytest.raises(SsmaError, match="try 'pip install onnxruntime-ep-nv-tensorrt-rtx-cu13'"):
        load_backend(toy_folder, backend="onnxruntime", providers=[PLUGIN])


class FakeRuntime:
    """The part of onnxruntime that plugin providers need."""

    def __init__(self, names):
        self.names, self.registered = names, []

    def get_available_providers(self):
        return [CPU, "CUDAExecutionProvider"]

    def register_execution_provider_library(self, name, path):
        self.registered.append((name, path))

    def get_ep_devices(self):
        return [types.SimpleNamespace(ep_name=name) for name in self.names]


class FakeOptions:
    def __init__(self):
        self.devices = []

    def add_provider_for_devices(self, devices, options):
        self.devices += [device.ep_name for device in devices]


@pytest.fixture
def plugin(gpu_there, monkeypatch):
    module = types.ModuleType("onnxruntime_ep_nv_tensorrt_rtx")
    module.get_library_path = lambda: "/there/lib.so"
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_plugin_is_registered_once_and_given_its_devices(plugin):
    runtime, options = FakeRuntime([CPU, PLUGIN]), FakeOptions()
    assert select_providers(runtime, options, [PLUGIN]) is None
    assert select_providers(runtime, FakeOptions(), [PLUGIN, CPU]) is None
    assert runtime.registered == [(PLUGIN, "/there/lib.so")]
    assert options.devices == [PLUGIN]


def test_plugin_without_devices(plugin):
    with pytest.raises(SsmaError, match="finds no device it can use"):
        select_providers(FakeRuntime([CPU]), FakeOptions(), [PLUGIN])


def test_plugin_beside_a_compiled_in_provider(plugin):
    with pytest.raises(SsmaError, match="cannot be combined"):
        select_providers(FakeRuntime([PLUGIN]), FakeOptions(), [PLUGIN, "CUDAExecutionProvider"])
