# SPDX-License-Identifier: Apache-2.0
"""The pycuda device against a pretended pycuda: what it calls, in which order, on which stream."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from ssma_ros.kernels.cuda import device as device_module
from ssma_ros.kernels.cuda.device import SIGNATURES, PycudaDevice


class Allocation:
    def __init__(self, driver: Driver, address: int) -> None:
        self._driver, self._address = driver, address

    def __int__(self) -> int:
        return self._address

    def free(self) -> None:
        self._driver.calls.append(("free", self._address))
        del self._driver.memory[self._address]


class Driver(ModuleType):
    """Records calls; device memory is a dictionary from address to bytes."""

    def __init__(self) -> None:
        super().__init__("pycuda.driver")
        self.calls: list[tuple] = []
        self.memory: dict[int, np.ndarray] = {}
        outer = self

        class Stream:
            def synchronize(self) -> None:
                outer.calls.append(("wait for stream",))

        class Event:
            def record(self, stream) -> None:
                outer.calls.append(("record", stream))

            def synchronize(self) -> None:
                outer.calls.append(("wait for event",))

        class Kernel:
            def __init__(self, name: str) -> None:
                self.name = name

            def prepare(self, signature: str) -> None:
                outer.calls.append(("prepare", self.name, signature))

            def prepared_async_call(self, grid, block, stream, *arguments) -> None:
                outer.calls.append(("launch", self.name, grid, block, stream, arguments))

        self.Stream, self.Event = Stream, Event
        self.module_from_buffer = lambda code: SimpleNamespace(get_function=Kernel)
        self.Context = SimpleNamespace(get_device=lambda: SimpleNamespace(compute_capability=lambda: (8, 7)))

    def mem_alloc(self, size: int) -> Allocation:
        memory = Allocation(self, 4096 * (len(self.memory) + 1))
        self.memory[int(memory)] = np.zeros(size, np.uint8)
        return memory

    def pagelocked_empty(self, size: int, dtype) -> np.ndarray:
        self.calls.append(("pin", size))
        return np.empty(size, dtype)

    def memcpy_htod_async(self, pointer: int, array: np.ndarray, stream) -> None:
        self.calls.append(("copy", pointer, stream))
        self.memory[pointer][: array.nbytes] = array

    def memcpy_dtoh_async(self, array: np.ndarray, pointer: int, stream) -> None:
        array.view(np.uint8).reshape(-1)[:] = self.memory[pointer][: array.nbytes]


@pytest.fixture
def driver(monkeypatch):
    found = Driver()
    package = ModuleType("pycuda")
    package.driver = found
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", found)
    compiled = []
    monkeypatch.setattr(device_module, "cubin", lambda source, architecture: compiled.append((source, architecture)))
    found.compiled = compiled
    return found


def test_kernels_are_compiled_for_the_gpu_and_prepared(driver):
    device = PycudaDevice()
    assert device.architecture == "sm_87"
    assert driver.compiled == [("fill", "sm_87"), ("hha", "sm_87"), ("images", "sm_87"), ("registration", "sm_87")]
    prepared = {call[1]: call[2] for call in driver.calls if call[0] == "prepare"}
    assert prepared == {name: s for kernels in SIGNATURES.values() for name, s in kernels.items()}


def test_launches_go_to_the_given_stream(driver):
    stream = driver.Stream()
    device = PycudaDevice(stream)
    device.launch("fill", "dilate_5", (24, 48), (32, 8), 1, 2, 768, 384)
    assert driver.calls[-1] == ("launch", "dilate_5", (24, 48, 1), (32, 8, 1), stream, (1, 2, 768, 384))


def test_upload_pins_once_and_never_overwrites_a_copy_under_way(driver):
    device = PycudaDevice()
    pointer = device.allocate(24)
    driver.calls.clear()
    first, second = np.arange(6, dtype=np.float32).reshape(2, 3), np.full((2, 3), 7, np.float32)
    device.upload(pointer, first[:, ::-1])
    device.upload(pointer, second)
    kinds = [call[0] for call in driver.calls]
    assert kinds == ["pin", "copy", "record", "wait for event", "copy", "record"]
    result = np.empty((2, 3), np.float32)
    device.download(result, pointer)
    np.testing.assert_array_equal(result, second)
    assert driver.calls[-1] == ("wait for stream",)


def test_memory_is_counted_and_given_back_once_the_stream_is_done(driver):
    device = PycudaDevice()
    small, large = device.allocate(24), device.allocate(1000)
    device.upload(small, np.arange(6, dtype=np.float32))
    assert device.memory_bytes == 1024
    driver.calls.clear()
    device.free(small)
    assert driver.calls == [("wait for stream",), ("free", small)]
    assert device.memory_bytes == 1000
    device.close()
    device.close()
    assert driver.memory == {}
    assert [call for call in driver.calls if call[0] == "free"] == [("free", small), ("free", large)]


def test_a_graph_is_captured_from_the_own_stream(driver, monkeypatch):
    made = []
    monkeypatch.setattr(device_module, "CapturedGraph", lambda *arguments: made.append(arguments))
    device = PycudaDevice(driver.Stream())
    device.capture(len)
    assert made == [(device.stream, len)]


def test_marks_are_recorded_on_the_stream(driver):
    device = PycudaDevice(driver.Stream())
    driver.calls.clear()
    device.mark()
    device.wait()
    assert driver.calls == [("record", device.stream), ("wait for stream",)]
