"""Asking the NVIDIA driver, with and without one."""

from __future__ import annotations

import subprocess
import sys

import pytest
from inference.fake_gpu import FakeDriver

from ssma_ros.errors import SsmaError
from ssma_ros.inference.runtime import gpu
from ssma_ros.inference.runtime.gpu import CudaGraph, Gpu, probe_gpu


def test_device_is_described():
    assert probe_gpu(library=FakeDriver()) == Gpu(0, "Orin", "8.7", 8 << 30, "12.6")


def test_no_driver_is_one_sentence(monkeypatch):
    monkeypatch.setattr(gpu, "_LIBRARY", "libcuda_that_is_not_there.so.1")
    with pytest.raises(SsmaError, match="no NVIDIA driver on this machine"):
        probe_gpu()


def test_driver_without_device_says_so():
    with pytest.raises(SsmaError, match=r"cuInit failed with error 100 \(no CUDA-capable device is detected\)"):
        probe_gpu(library=FakeDriver(init_error=100))


def test_index_beyond_the_devices():
    with pytest.raises(SsmaError, match="GPU 2: no such device, the NVIDIA driver finds 1"):
        probe_gpu(2, library=FakeDriver())


def test_probe_loads_neither_tensorrt_nor_pycuda():
    program = (
        "import sys\n"
        "from ssma_ros.errors import SsmaError\n"
        "from ssma_ros.inference.runtime.gpu import probe_gpu\n"
        "try: probe_gpu()\n"
        "except SsmaError as error: print(error)\n"
        "assert not {'tensorrt', 'pycuda', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_capture_is_ended_when_the_work_fails():
    driver = FakeDriver()
    with pytest.raises(RuntimeError, match="work"), CudaGraph(driver, 1):
        raise RuntimeError("work")
    assert driver.calls == ["begin", "end"]
    assert driver.live_graphs == 0


def test_refused_capture_is_one_sentence():
    with pytest.raises(SsmaError, match="cuStreamBeginCapture failed"), CudaGraph(FakeDriver(capture_error=900), 1):
        pass


def test_graph_is_launched_and_released_once():
    driver = FakeDriver()
    graph = CudaGraph(driver, 1)
    with graph:
        pass
    graph.launch()
    graph.launch()
    assert (driver.launches, driver.live_graphs) == (2, 1)
    graph.close()
    graph.close()
    assert driver.live_graphs == 0
