"""A device in the host's memory: the CUDA sources compiled by the C++ compiler, launched as the driver would."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ssma_ros.preprocessing.cuda import compiler
from ssma_ros.preprocessing.cuda.device import SIGNATURES

HERE = Path(__file__).parent
KERNELS = Path(compiler.__file__).parent
#: Kernels whose threads wait for each other.
MEETING = {"refine_gravity", "find_floor"}
_TYPES = {"P": ctypes.c_void_p, "i": ctypes.c_int, "f": ctypes.c_float}


def build(folder: Path) -> dict[str, ctypes.CDLL] | None:
    """The three sources as host libraries, or None without a C++ compiler."""
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
                   str(program), "-o", str(library)]
        compilers[library] = subprocess.Popen(command)
        libraries[source] = library
    assert all(compiler.wait() == 0 for compiler in compilers.values())
    return {source: ctypes.CDLL(str(library)) for source, library in libraries.items()}


class HostDevice:
    """Implements the Device protocol; also counts what would have been allocations and launches."""

    def __init__(self, libraries: dict[str, ctypes.CDLL]) -> None:
        self._libraries = libraries
        self._memory: list[np.ndarray] = []
        self.launches: list[tuple[str, str]] = []

    @property
    def allocations(self) -> int:
        return len(self._memory)

    def allocate(self, size: int) -> int:
        self._memory.append(np.full(size, 0xA5, np.uint8))  # device memory is not zeroed either
        return self._memory[-1].ctypes.data

    def launch(self, source, kernel, grid, block, *arguments) -> None:
        signature = SIGNATURES[source][kernel]
        assert len(signature) == len(arguments), f"{kernel}: got {len(arguments)} arguments, expected {signature}"
        values = []
        for kind, value in zip(signature, arguments, strict=True):
            assert kind == "f" or isinstance(value, (int, np.integer)), f"{kernel}: {value!r} for {kind}"
            values.append(_TYPES[kind](value))
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(v) for v in values))
        getattr(self._libraries[source], f"run_{kernel}")(*grid, *block, pointers)
        self.launches.append((source, kernel))

    def upload(self, pointer, array) -> None:
        ctypes.memmove(pointer, np.ascontiguousarray(array).ctypes.data, array.nbytes)

    def put(self, array: np.ndarray) -> int:
        pointer = self.allocate(array.nbytes)
        self.upload(pointer, array)
        return pointer

    def get(self, pointer: int, shape, dtype) -> np.ndarray:
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return np.ctypeslib.as_array((ctypes.c_uint8 * count).from_address(pointer)).view(dtype).reshape(shape).copy()


def gpu_device():
    """A pycuda device with HostDevice's extras, in a context of its own; skips where there is no GPU."""
    driver = pytest.importorskip("pycuda.driver", reason="pycuda is not installed: the kernels run on the host only")
    from ssma_ros.preprocessing.cuda.device import PycudaDevice

    class GpuDevice(PycudaDevice):
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
    context = driver.Device(0).make_context()
    try:
        yield GpuDevice()
    finally:
        context.pop()
        context.detach()
