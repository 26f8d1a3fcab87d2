# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the NVIDIA driver, pycuda and TensorRT that keep books.

Device memory is numpy memory, copies are copies, and the "engine" computes something simple from its inputs, so that
tests see whether the right bytes went to the right place in the right order and whether everything was given back.
They say nothing about a real GPU.
"""

from __future__ import annotations

import sys
import types
from collections import deque
from importlib.machinery import ModuleSpec

import numpy as np

from ssma_ros.inference.runtime import gpu
from ssma_ros.kernels.cuda import device, graph


class FakeDriver:
    """libcuda.so.1 with ``count`` devices; keeps a log of graph calls."""

    def __init__(self, count: int = 1, init_error: int = 0, capture_error: int = 0) -> None:
        self.count, self.init_error, self.capture_error = count, init_error, capture_error
        self.calls: list[str] = []
        self.live_graphs = 0
        self.launches = 0
        #: what to do on cuGraphLaunch, by executable handle
        self.work: dict[int, object] = {}
        self.capturing = False
        self.captured: list[object] = []
        #: how launches get onto a stream; set by FakeCuda
        self.enqueue = lambda stream, work: work()

    def cuInit(self, flags):
        self.calls.append("cuInit")
        return self.init_error

    def cuGetErrorString(self, status, text):
        text._obj.value = b"no CUDA-capable device is detected"
        return 0

    def cuDeviceGetCount(self, count):
        count._obj.value = self.count
        return 0

    def cuDeviceGet(self, device, index):
        device._obj.value = index
        return 0

    def cuDeviceGetName(self, name, length, device):
        name.value = b"Orin"
        return 0

    def cuDriverGetVersion(self, version):
        version._obj.value = 12060
        return 0

    def cuDeviceTotalMem_v2(self, memory, device):
        memory._obj.value = 8 << 30
        return 0

    def cuDeviceGetAttribute(self, value, which, device):
        value._obj.value = {75: 8, 76: 7}[which]
        return 0

    def cuStreamBeginCapture_v2(self, stream, mode):
        self.calls.append("begin")
        self.capturing = True
        self.captured = []
        return self.capture_error

    def cuStreamEndCapture(self, stream, graph):
        self.calls.append("end")
        self.capturing = False
        graph._obj.value = 1
        return 0

    def cuGraphInstantiateWithFlags(self, executable, graph, flags):
        handle = 100 + len(self.work)
        executable._obj.value = handle
        self.work[handle] = list(self.captured)
        self.live_graphs += 1
        return 0

    def cuGraphDestroy(self, graph):
        return 0

    def cuGraphExecDestroy(self, executable):
        self.live_graphs -= 1
        return 0

    def cuGraphLaunch(self, executable, stream):
        self.launches += 1
        work = self.work[executable.value]
        self.enqueue(stream.value, lambda: [step() for step in work])
        return 0


class Order:
    """In which order the streams' work is done, as far as they leave it open.

    ``None`` does everything at once, as it is enqueued. A number lets work wait until somebody waits for it, and then
    picks the stream to go on with at random: only what events and streams order is in order, as on a GPU.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._random = None if seed is None else np.random.default_rng(seed)
        self._queues: dict[int, deque] = {}
        self._enqueued = 0
        #: numbers of the work done, in the order it was done; numbered as it was enqueued
        self.history: list[int] = []

    def enqueue(self, stream: int, work, ready=lambda: True) -> None:
        self._queues.setdefault(stream, deque()).append((self._enqueued, work, ready))
        self._enqueued += 1
        if self._random is None:
            assert ready(), "a stream waits for an event that comes later"
            self._go_on(self._queues[stream])

    def run_until(self, over) -> None:
        while not over():
            able = [queue for queue in self._queues.values() if queue and queue[0][2]()]
            assert able, "every stream waits for another one"
            self._go_on(able[self._random.integers(len(able))])

    def idle(self, stream: int) -> bool:
        return not self._queues.get(stream)

    def _go_on(self, queue: deque) -> None:
        number, work, _ = queue.popleft()
        self.history.append(number)
        work()


class FakeCuda(types.ModuleType):
    """pycuda.driver on numpy memory; copies want the context to be current.

    Args:
        driver: what captures are told to; None where nothing is captured.
        order: of work on several streams.
        run_kernel: called as run_kernel(source, kernel, grid, block, *arguments) for launches; the "machine code" of a
            module is the name of its source.
    """

    def __init__(self, driver: FakeDriver | None = None, order: Order | None = None, run_kernel=None) -> None:
        super().__init__("pycuda.driver")
        self.memory: dict[int, np.ndarray] = {}
        self.depth = 0
        self.attached = 0
        self.copies: list[tuple[str, int]] = []
        self.modules = 0
        self.fail_to_load = False
        self.least_memory_left: int | None = None
        self.order = order or Order()
        self._handles = 0
        fake = self
        if driver is not None:
            driver.enqueue = self.order.enqueue

        class Error(Exception):
            pass

        class Allocation:
            def __init__(self, size: int) -> None:
                assert fake.depth > 0, "no context is current in this thread"
                assert driver is None or not driver.capturing, "nothing may be allocated during a capture"
                if fake.least_memory_left is not None and size > fake.least_memory_left:
                    raise Error("cuMemAlloc failed: out of memory")
                self._array = np.full(size, 0xA5, np.uint8)
                self._address = self._array.ctypes.data
                fake.memory[self._address] = self._array

            def __int__(self) -> int:
                return self._address

            def free(self) -> None:
                del fake.memory[self._address]

        class Context:
            @staticmethod
            def get_device() -> types.SimpleNamespace:
                assert fake.depth > 0, "no context is current in this thread"
                return types.SimpleNamespace(compute_capability=lambda: (8, 7))

            def push(self) -> None:
                fake.depth += 1

            def pop(self) -> None:
                fake.depth -= 1

            def detach(self) -> None:
                fake.attached -= 1
                assert fake.attached or not fake.modules, "kernels outlive their context"

        class Device:
            def __init__(self, index: int) -> None:
                self.index = index

            def retain_primary_context(self) -> Context:
                fake.attached += 1
                return Context()

            def make_context(self) -> Context:
                context = self.retain_primary_context()
                context.push()
                return context

        class Stream:
            def __init__(self) -> None:
                fake._handles += 1
                self.handle = fake._handles

            def enqueue(self, work) -> None:
                assert fake.depth > 0, "no context is current in this thread"
                if driver is not None and driver.capturing:
                    driver.captured.append(work)
                else:
                    fake.order.enqueue(self.handle, work)

            def synchronize(self) -> None:
                assert fake.depth > 0
                fake.order.run_until(lambda: fake.order.idle(self.handle))

        class Event:
            recorded: dict | None = None

            def record(self, stream) -> None:
                recorded = self.recorded = {"over": False}
                stream.enqueue(lambda: recorded.update(over=True))

            def synchronize(self) -> None:
                assert self.recorded is not None
                recorded = self.recorded
                fake.order.run_until(lambda: recorded["over"])

            def time_since(self, other) -> float:
                assert self.recorded["over"], "the time of an event that is not over"
                assert other.recorded["over"]
                return 1.0

        class Function:
            def __init__(self, source: str, name: str) -> None:
                self._source, self._name = source, name

            def prepare(self, signature: str) -> None:
                self.signature = signature

            def prepared_async_call(self, grid, block, stream, *arguments) -> None:
                stream.enqueue(lambda: run_kernel(self._source, self._name, grid, block, *arguments))

        class Module:
            def __init__(self, code: bytes) -> None:
                if fake.fail_to_load:
                    raise Error("cuModuleLoadDataEx failed: no kernel image is available")
                self._source = code.decode()
                fake.modules += 1

            def get_function(self, name: str) -> Function:
                return Function(self._source, name)

            def __del__(self) -> None:
                if hasattr(self, "_source"):
                    fake.modules -= 1

        self.Error, self.Context, self.Device, self.Stream, self.Event = Error, Context, Device, Stream, Event
        self.mem_alloc, self.module_from_buffer = Allocation, Module

    def init(self) -> None:
        pass

    def mem_get_info(self):
        assert self.depth > 0, "no context is current in this thread"
        return (8 << 30) - sum(array.nbytes for array in self.memory.values()), 8 << 30

    def pagelocked_empty(self, shape, dtype):
        return np.full(shape, 77, dtype)

    def memcpy_htod(self, device, host):
        self._at(device, host.nbytes)[:] = host.view(np.uint8).ravel()

    def memcpy_htod_async(self, device, host, stream):
        self.copies.append(("up", host.nbytes))
        stream.enqueue(lambda: self.memcpy_htod(device, host))

    def memcpy_dtoh_async(self, host, device, stream):
        self.copies.append(("down", host.nbytes))

        def copy() -> None:
            host[...] = self._at(device, host.nbytes).view(host.dtype).reshape(host.shape)

        stream.enqueue(copy)

    def _at(self, device, size: int) -> np.ndarray:
        return self.memory[int(device)][:size]


def pretend_machine(
    patch, order: Order | None = None, run_kernel=None, tensorrt=None
) -> types.SimpleNamespace:
    """A machine with a GPU, pycuda and TensorRT as far as Python can tell: its driver, cuda and trt.

    ``patch`` is a ``pytest.MonkeyPatch`` to put them in place with; ``tensorrt`` a class to take for TensorRT.
    """
    driver = FakeDriver()
    cuda = FakeCuda(driver, order, run_kernel)
    trt = (tensorrt or FakeTensorRt)(cuda, driver)
    package = types.ModuleType("pycuda")
    package.driver = cuda
    for module in (package, cuda, trt):
        module.__spec__ = ModuleSpec(module.__name__, None)  # others ask whether there is one
    patch.setitem(sys.modules, "pycuda", package)
    patch.setitem(sys.modules, "pycuda.driver", cuda)
    patch.setitem(sys.modules, "tensorrt", trt)
    patch.setattr(gpu, "load_driver", lambda: driver)
    patch.setattr(graph, "load_driver", lambda: driver)
    patch.setattr(device, "cubin", lambda source, architecture: source.encode())
    return types.SimpleNamespace(driver=driver, cuda=cuda, trt=trt)


#: Tensors of the toy graph, name → (dtype, shape); the first three are inputs.
TENSORS = {
    "color": (np.uint8, (32, 64, 3)),
    "hha": (np.uint8, (32, 64, 3)),
    "present": (np.float32, (2,)),
    "mask": (np.uint8, (32, 64)),
    "confidence": (np.uint8, (32, 64)),
    "probabilities": (np.uint8, (5, 32, 64)),
    "gates": (np.float32, (2, 8, 16)),
}


def engine_function(color, hha, present):
    """What the fake engine computes."""
    mask = (color[..., 0] // 64).astype(np.uint8)
    confidence = hha[..., 1].copy()
    probabilities = np.stack([color[..., 2] + np.uint8(i) for i in range(5)])
    gates = np.broadcast_to(present[:, None, None], (2, 8, 16)).astype(np.float32)
    return mask, confidence, probabilities, gates


class FakeTensorRt(types.ModuleType):
    """The part of TensorRT that the builder and the backend use."""

    def __init__(self, cuda: FakeCuda | None = None, driver: FakeDriver | None = None) -> None:
        super().__init__("tensorrt")
        self.__version__ = "10.3.0"
        self.tensors = dict(TENSORS)
        self.inputs: tuple[str, ...] = ("color", "hha", "evi", "present")
        self.refuse_plan = False
        self.events: list[str] = []
        self.live = {"runtime": 0, "engine": 0, "context": 0}
        self.released: list[str] = []
        self.executions = 0
        self.parse_errors: list[str] = []
        self.graphs: list[bytes] = []
        self.fail_build = False
        self.cancelled = False
        self.settings: dict[str, object] = {}
        self.NetworkDefinitionCreationFlag = types.SimpleNamespace(STRONGLY_TYPED=1)
        self.MemoryPoolType = types.SimpleNamespace(WORKSPACE="workspace")
        self.BuilderFlag = types.SimpleNamespace(TF32="tf32")
        self.TensorIOMode = types.SimpleNamespace(INPUT="in", OUTPUT="out")
        self.nptype = lambda dtype: dtype
        fake = self

        class ILogger:
            ERROR, INTERNAL_ERROR, WARNING = 1, 0, 2

            def __init__(self) -> None:
                pass

        class IProgressMonitor:
            def __init__(self) -> None:
                pass

        class Context:
            def __init__(self, engine) -> None:
                self._addresses: dict[str, int] = {}
                self._engine = engine  # the bindings keep it alive as well
                fake.live["context"] += 1

            def __del__(self) -> None:
                fake.live["context"] -= 1
                fake.released.append("context")

            def set_tensor_address(self, name, address) -> bool:
                assert name in fake.tensors
                self._addresses[name] = address
                return True

            def execute_async_v3(self, stream) -> bool:
                addresses = dict(self._addresses)

                def work() -> None:
                    fake.executions += 1
                    views = {}
                    for name, (dtype, shape) in fake.tensors.items():
                        views[name] = cuda.memory[addresses[name]].view(dtype).reshape(shape)
                    for name, result in fake.compute(views).items():
                        views[name][...] = result

                if driver is not None and driver.capturing:
                    driver.captured.append(work)
                else:
                    cuda.order.enqueue(stream, work)
                return True

        class Engine:
            def __init__(self) -> None:
                fake.live["engine"] += 1
                self.num_io_tensors = len(fake.tensors)
                self.device_memory_size_v2 = 5000

            def __del__(self) -> None:
                fake.live["engine"] -= 1
                fake.released.append("engine")

            def get_tensor_name(self, index):
                return list(fake.tensors)[index]

            def get_tensor_dtype(self, name):
                return fake.tensors[name][0]

            def get_tensor_shape(self, name):
                return fake.tensors[name][1]

            def get_tensor_mode(self, name):
                return "in" if name in fake.inputs else "out"

            def create_execution_context(self):
                return Context(self)

        class Runtime:
            def __init__(self, logger) -> None:
                self._logger = logger
                fake.events.append("Runtime")
                fake.live["runtime"] += 1

            def __del__(self) -> None:
                fake.live["runtime"] -= 1
                fake.released.append("runtime")

            def deserialize_cuda_engine(self, plan):
                if fake.refuse_plan:
                    self._logger.log(1, "Version tag does not match")
                    return None
                fake.open(plan)
                return Engine()

        class Cache:
            def __init__(self, content: bytes) -> None:
                self.content = content

            def serialize(self):
                return memoryview(b"timings")

        class Config:
            progress_monitor = None

            def set_memory_pool_limit(self, pool, size) -> None:
                fake.settings[pool] = size

            def clear_flag(self, flag) -> None:
                fake.settings[flag] = False

            def create_timing_cache(self, content):
                return None if content == b"damaged" else Cache(bytes(content))

            def set_timing_cache(self, cache, ignore_mismatch) -> bool:
                assert ignore_mismatch is False
                fake.settings["timing_cache"] = cache.content
                return True

        class Parser:
            def __init__(self, network, logger) -> None:
                self.num_errors = len(fake.parse_errors)

            def parse(self, graph) -> bool:
                fake.graphs.append(graph)
                return not fake.parse_errors

            def get_error(self, index):
                return types.SimpleNamespace(desc=lambda: fake.parse_errors[index])

        class Builder:
            def __init__(self, logger) -> None:
                self._logger = logger
                fake.events.append("Builder")

            def create_network(self, flags):
                assert flags == 1 << 1
                return object()

            def create_builder_config(self):
                return Config()

            def build_serialized_network(self, network, config):
                monitor = config.progress_monitor
                if monitor is not None:
                    monitor.phase_start("Building engine", None, 2)
                    if not monitor.step_complete("Building engine", 0):
                        fake.cancelled = True
                        return None
                    monitor.phase_finish("Building engine")
                if fake.fail_build:
                    self._logger.log(1, "Error Code 4: no implementation found")
                    return None
                return memoryview(fake.plan())

        self.ILogger, self.IProgressMonitor = ILogger, IProgressMonitor
        self.Runtime, self.Builder, self.OnnxParser = Runtime, Builder, Parser

    def plan(self) -> bytes:
        """What a build makes of the graph parsed last."""
        return b"plan" * 100

    def open(self, plan: bytes) -> None:
        """A plan is about to become the engine."""

    def compute(self, views):
        """Outputs of the engine from its tensors, by name."""
        results = engine_function(views["color"], views["hha"], views["present"])
        return dict(zip(("mask", "confidence", "probabilities", "gates"), results, strict=True))


class OnnxTensorRt(FakeTensorRt):
    """A TensorRT whose plans are the graphs themselves, which ONNX Runtime computes on the processor."""

    def plan(self) -> bytes:
        return bytes(self.graphs[-1])

    def open(self, plan: bytes) -> None:
        import onnxruntime

        self._session = onnxruntime.InferenceSession(bytes(plan), providers=["CPUExecutionProvider"])
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        types = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}
        self.tensors = {t.name: (types[t.type], tuple(t.shape)) for t in (*inputs, *outputs)}
        self.inputs = tuple(t.name for t in inputs)

    def compute(self, views):
        names = [name for name in self.tensors if name not in self.inputs]
        results = self._session.run(names, {name: views[name] for name in self.inputs})
        return dict(zip(names, results, strict=True))
