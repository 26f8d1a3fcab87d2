# SPDX-License-Identifier: Apache-2.0
"""A device in the host's memory: the CUDA sources compiled by the C++ compiler, launched as the driver would."""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ssma_ros.kernels.cuda import compiler
from ssma_ros.kernels.cuda.device import SIGNATURES

HERE = Path(__file__).parent
KERNELS = Path(compiler.__file__).parent
#: Kernels whose threads wait for each other.
MEETING = {"refine_gravity", "find_floor", "find_percentile"}
_TYPES = {"P": ctypes.c_void_p, "i": ctypes.c_int, "f": ctypes.c_float}


def build(folder: Path, definitions: Sequence[str] = compiler.DEFINITIONS) -> dict[str, ctypes.CDLL] | None:
    """The sources that compile as host libraries, with ``SOURCE.log`` beside; None without a C++ compiler."""
    gxx = shutil.which("g++") or shutil.which("clang++")
    if gxx is None:
        return None
    libraries: dict[str, Path] = {}
    compilers = {}
    for source, kernels in SIGNATURES.items():
        runners = "\n".join(f"RUNNER({name}, {str(name in MEETING).lower()})" for name in kernels)
        text = f'#include "{HERE / "cuda_host.hpp"}"\n#include "{KERNELS / f"{source}.cu"}"\n{runners}\n'
        program, library = folder / f"{source}.cpp", folder / f"lib{source}.so"
        program.write_text(text)
        command = [gxx, "-std=c++20", "-O1", "-Wall", "-Wno-unknown-pragmas", "-Werror", "-shared", "-fPIC", "-pthread",
                   *definitions, str(program), "-o", str(library)]
        with (folder / f"{source}.log").open("w") as log:
            compilers[source] = subprocess.Popen(command, stderr=log)
        libraries[source] = library
    made = [source for source, compiler in compilers.items() if compiler.wait() == 0]
    return {source: ctypes.CDLL(str(libraries[source])) for source in made}


@functools.cache
def libraries() -> dict[str, ctypes.CDLL]:
    """What :func:`build` makes, once a process; skips without a C++ compiler."""
    with tempfile.TemporaryDirectory(prefix="ssma_cuda_host_") as folder:  # what is loaded stays loaded
        found = build(Path(folder))
        if found is not None:
            logs = {source: (Path(folder) / f"{source}.log").read_text() for source in SIGNATURES}
            assert found.keys() == logs.keys(), logs
    if found is None:
        pytest.skip("no C++ compiler to build the kernels for the host with")
    return found


def host_device() -> HostDevice:
    """A device in the host's memory."""
    return HostDevice(libraries())


class HostGraph:
    """Launches recorded with their arguments, as a CUDA graph has them."""

    def __init__(self, device: HostDevice, calls: list[tuple]) -> None:
        self._device, self._calls = device, calls
        self.closed = False

    def launch(self) -> None:
        assert not self.closed, "a graph was launched after it was freed"
        for call in self._calls:
            self._device.launch(*call)

    def close(self) -> None:
        self.closed = True


class HostDevice:
    """Implements the Device protocol; also counts what would have been allocations and launches."""

    def __init__(self, libraries: dict[str, ctypes.CDLL]) -> None:
        self._libraries = libraries
        self._memory: dict[int, np.ndarray] = {}
        self._recorded: list[tuple] | None = None
        self.graphs: list[HostGraph] = []
        self.allocations = 0
        self.launches: list[tuple[str, str]] = []

    def allocate(self, size: int) -> int:
        assert self._recorded is None, "a captured graph must not allocate"
        self.allocations += 1
        memory = np.full(size, 0xA5, np.uint8)  # device memory is not zeroed either
        self._memory[memory.ctypes.data] = memory
        return memory.ctypes.data

    def free(self, pointer: int) -> None:
        # Kept, and spoilt: whoever still reads it shall be seen.
        self._memory[pointer][:] = 0x5A

    def launch(self, source, kernel, grid, block, *arguments) -> None:
        if self._recorded is not None:
            self._recorded.append((source, kernel, grid, block, *arguments))
            return
        run_kernel(self._libraries, source, kernel, grid, block, *arguments)
        self.launches.append((source, kernel))

    def upload(self, pointer, array) -> None:
        assert self._recorded is None, "a captured graph would replay the upload of old images"
        ctypes.memmove(pointer, np.ascontiguousarray(array).ctypes.data, array.nbytes)

    def download(self, array, pointer) -> None:
        array[...] = self.get(pointer, array.shape, array.dtype)

    def capture(self, enqueue) -> HostGraph:
        self._recorded = []
        try:
            enqueue()
            self.graphs.append(HostGraph(self, self._recorded))
        finally:
            self._recorded = None
        return self.graphs[-1]

    def mark(self) -> SimpleNamespace:
        return SimpleNamespace(time_since=lambda earlier: 1.0)

    def wait(self) -> None:
        pass

    def put(self, array: np.ndarray) -> int:
        pointer = self.allocate(array.nbytes)
        self.upload(pointer, array)
        return pointer

    def get(self, pointer: int, shape, dtype) -> np.ndarray:
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return np.ctypeslib.as_array((ctypes.c_uint8 * count).from_address(pointer)).view(dtype).reshape(shape).copy()


def run_kernel(libraries, source, kernel, grid, block, *arguments) -> None:
    """Run one kernel on the host with arguments as :data:`SIGNATURES` say."""
    signature = SIGNATURES[source][kernel]
    assert len(signature) == len(arguments), f"{kernel}: got {len(arguments)} arguments, expected {signature}"
    values = []
    for kind, value in zip(signature, arguments, strict=True):
        assert kind == "f" or isinstance(value, (int, np.integer)), f"{kernel}: {value!r} for {kind}"
        values.append(_TYPES[kind](value))
    pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(v) for v in values))
    getattr(libraries[source], f"run_{kernel}")(*grid[:2], *block[:2], pointers)


def gpu_device():
    """A pycuda device with HostDevice's extras, in a context of its own; skips where there is no GPU."""
    driver = pytest.importorskip("pycuda.driver", reason="pycuda is not installed: the kernels run on the host only")
    from ssma_ros.kernels.cuda import device

    class GpuDevice(device.PycudaDevice):
        @property
        def allocations(self) -> int:
            return len(self._memory)

        put = HostDevice.put

        def get(self, pointer: int, shape, dtype) -> np.ndarray:
            result = np.empty(shape, dtype)
            self.download(result, pointer)
            return result

    driver.init()
    if driver.Device.count() == 0:
        pytest.skip("no GPU: the kernels run on the host only")
    with device.own_device() as found:
        found.__class__ = GpuDevice
        yield found
