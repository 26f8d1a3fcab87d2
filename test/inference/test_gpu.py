# SPDX-License-Identifier: Apache-2.0
"""Asking the NVIDIA driver, with and without one."""

from __future__ import annotations

import subprocess
import sys

import pytest
from inference.fake_gpu import FakeDriver

from ssma_ros.errors import SsmaError
from ssma_ros.inference.runtime.gpu import Gpu, probe_gpu
from ssma_ros.kernels.cuda import driver
from ssma_ros.kernels.cuda.driver import NoGpuError


def test_device_is_described():
    assert probe_gpu(library=FakeDriver()) == Gpu(0, "Orin", "8.7", 8 << 30, "12.6")


def test_no_driver_is_one_sentence(monkeypatch):
    monkeypatch.setattr(driver, "LIBRARY", "libcuda_that_is_not_there.so.1")
    with pytest.raises(NoGpuError, match="no NVIDIA driver on this machine"):
        probe_gpu()


def test_driver_without_device_says_so():
    with pytest.raises(NoGpuError, match=r"cuInit failed with error 100 \(no CUDA-capable device is detected\)"):
        probe_gpu(library=FakeDriver(init_error=100))


def test_a_driver_that_counts_no_device_is_no_gpu():
    with pytest.raises(NoGpuError, match="the NVIDIA driver finds 0"):
        probe_gpu(library=FakeDriver(count=0))


def test_index_beyond_the_devices():
    with pytest.raises(SsmaError, match="GPU 2: no such device, the NVIDIA driver finds 1") as raised:
        probe_gpu(2, library=FakeDriver())
    assert not isinstance(raised.value, NoGpuError)


def test_a_broken_driver_is_not_told_as_no_gpu(monkeypatch, tmp_path):
    (tmp_path / "libcuda.so.1").write_text("a library of another machine")
    monkeypatch.setattr(driver, "LIBRARY", str(tmp_path / "libcuda.so.1"))
    with pytest.raises(SsmaError, match="library is there and cannot be loaded") as raised:
        probe_gpu()
    assert not isinstance(raised.value, NoGpuError)
    with pytest.raises(SsmaError, match="cuInit failed with error 999") as raised:
        probe_gpu(library=FakeDriver(init_error=999))
    assert not isinstance(raised.value, NoGpuError)


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
