# SPDX-License-Identifier: Apache-2.0
"""What a training step costs on this machine: measured on one, before a configuration says how many."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ssma_ros.training.fit.losses import segmentation_loss
from ssma_ros.training.fit.trainer import build, choose_device

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from ssma_ros.training.fit.config import TrainConfig

#: Samples of the step that is measured: BatchNorm wants two.
_SAMPLES = 2
#: Gradients of activations and the workspace of convolutions come on top of what is kept for the backward pass.
_MORE = 1.5
#: Of the memory that is free, for the data's caches and everybody else want some.
_SHARE = 0.5


@dataclass(frozen=True)
class StepCost:
    """Of one sample at the contract's size.

    Attributes:
        device: ``cpu`` or ``cuda``.
        seconds: of forward and backward pass and the optimiser's step.
        bytes: of memory that a sample takes in it.
        free: bytes of memory that are free on the device.
    """

    device: str
    seconds: float
    bytes: int
    free: int

    def largest_batch(self, most: int) -> int:
        """The largest power of two up to ``most`` that fits half of the free memory, at least 1."""
        batch = 1
        while 2 * batch <= most and 2 * batch * self.bytes <= _SHARE * self.free:
            batch *= 2
        return batch


def measure_cost(config: TrainConfig) -> StepCost:
    """Train two steps on noise, the first to warm up.

    Args:
        config: its network, size, device, threads and precision count.

    Raises:
        SsmaError: the network cannot be built, or its starting weights do not fit.
    """
    device = choose_device(config)
    if config.threads:
        torch.set_num_threads(config.threads)
    contract, network = build(config)
    network = network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0)
    shape = (_SAMPLES, 3, contract.height, contract.width)
    images = [torch.randn(shape, device=device) for _ in contract.streams]
    label = torch.randint(0, contract.labels.num_classes, (shape[0], *shape[2:]), device=device)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            logits, auxiliary = network(*images)
            loss = segmentation_loss(logits, auxiliary, label, ignore_id=contract.labels.ignore_id)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        float(loss.detach())  # waits for the device

    kept = _kept_bytes(step, network)
    begun = time.perf_counter()
    step()
    seconds = time.perf_counter() - begun
    return StepCost(device.type, seconds / _SAMPLES, int(_MORE * kept / _SAMPLES), free_memory(device))


def _kept_bytes(step: Callable[[], None], network: nn.Module) -> int:
    """Bytes that one call of ``step`` keeps between its forward and backward pass, besides the network's own."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        step()
    return sum(kept.values())


def free_memory(device: torch.device) -> int:
    """Bytes that a process may still have: of the GPU, else of the machine and of the container's share of it."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    lines = _read("/proc/meminfo").splitlines()
    free = next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")), free)
    limit, used = _read("/sys/fs/cgroup/memory.max").strip(), _read("/sys/fs/cgroup/memory.current").strip()
    return min(free, max(int(limit) - int(used), 0)) if limit.isdigit() and used.isdigit() else free


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
