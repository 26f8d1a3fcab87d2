# SPDX-License-Identifier: Apache-2.0
"""A stand-in for torch's CUDA device, where torch has none: tensors lie in the host's memory, streams are pycuda's.

What torch does on a stream is done when it is called, after all that was enqueued on *that* stream before and on no
other: whoever lets torch run on the wrong stream reads what the kernels have not written yet. CUDA graphs are recorded
operation by operation and replayed into the same tensors.
"""

from __future__ import annotations

import contextlib
import weakref
from types import SimpleNamespace

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

CPU = torch.device("cpu")
#: The stream that torch works on by itself.
OWN = SimpleNamespace(handle=0)


class OnTheProcessor(TorchFunctionMode):
    """Turns every wish for a CUDA device into one for the processor; tells pycuda's stand-in of static inputs."""

    def __init__(self, fake_cuda) -> None:
        super().__init__()
        self._memory = fake_cuda.memory

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        wanted = any(_is_cuda(value) for value in (*args, *kwargs.values()))
        kwargs = {name: CPU if _is_cuda(value) else value for name, value in kwargs.items() if name != "pin_memory"}
        result = func(*(CPU if _is_cuda(value) else value for value in args), **kwargs)
        if wanted and func is torch.zeros:
            address = result.data_ptr()
            self._memory[address] = result.numpy().reshape(-1).view("u1")
            weakref.finalize(result, self._memory.pop, address, None)
        return result


def _is_cuda(value) -> bool:
    return isinstance(value, torch.device) and value.type == "cuda"


class FakeGraph:
    """What was done while it was recorded, done again into the same tensors by :meth:`replay`."""

    def __init__(self) -> None:
        self.steps: list[tuple] = []
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        with torch.inference_mode():
            for function, args, kwargs, result in self.steps:
                again = tree_flatten(function(*args, **kwargs))[0]
                for old, new in zip(tree_flatten(result)[0], again, strict=True):
                    if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)


class _Recorder(TorchDispatchMode):
    def __init__(self, graph: FakeGraph) -> None:
        super().__init__()
        self._graph = graph

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self._graph.steps.append((func, args, kwargs or {}, result))
        return result


def pretend_cuda(patch, fake_cuda):
    """Let torch have a CUDA device, beside pycuda's stand-in; what is to be entered while it has."""
    current = [OWN]
    graphs: weakref.WeakSet[FakeGraph] = weakref.WeakSet()

    @contextlib.contextmanager
    def stream(wanted):
        if wanted.handle:
            assert fake_cuda.depth > 0, "no context is current in this thread"
            fake_cuda.order.run_until(lambda: fake_cuda.order.idle(wanted.handle))
        current.append(wanted)
        try:
            yield
        finally:
            current.pop()

    @contextlib.contextmanager
    def record(graph):
        graphs.add(graph)
        with _Recorder(graph):
            yield

    class Event:
        def __init__(self, enable_timing=False) -> None:
            self._recorded = False

        def record(self, on) -> None:
            assert on is current[-1], "an event on another stream than the work it times"
            self._recorded = True

        def synchronize(self) -> None:
            assert self._recorded

        def elapsed_time(self, later) -> float:
            return 1.0

    def external(handle, device=None):
        return SimpleNamespace(handle=handle)

    def own(device=None):
        return SimpleNamespace(handle=0, wait_stream=lambda other: None)

    OWN.wait_stream = lambda other: None
    for name, value in {
        "is_available": lambda: True, "is_initialized": lambda: True, "empty_cache": lambda: None,
        "get_device_name": lambda device=None: "a card", "memory_reserved": lambda device=None: 1000,
        "synchronize": lambda device=None: None, "Stream": own, "ExternalStream": external, "stream": stream,
        "current_stream": lambda device=None: current[-1], "Event": Event, "CUDAGraph": FakeGraph, "graph": record,
    }.items():
        patch.setattr(torch.cuda, name, value)
    return SimpleNamespace(mode=OnTheProcessor(fake_cuda), graphs=graphs)
