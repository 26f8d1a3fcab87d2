# SPDX-License-Identifier: Apache-2.0
"""From camera images to network inputs on the GPU, beside the processor's encoder; graphs captured and replayed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.frame import Frame
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.inputs.resident import CudaInputEncoder
from ssma_ros.kernels.cuda.agreement import TOLERANCES, difference, few_readings
from ssma_ros.selftest.frames import camera_frames

if TYPE_CHECKING:
    from ssma_ros.contract import Contract
    from ssma_ros.kernels.cuda.device import Device
    from ssma_ros.selftest.findings import Findings, Settings

_FRAMES = 4


def encoder(settings: Settings, findings: Findings) -> None:
    """Compare on frames of the demonstration, complete and with sensors missing."""
    from ssma_ros.contract import load_contract
    from ssma_ros.inference.loading import locate_model
    from ssma_ros.kernels.cuda.device import own_device
    from ssma_ros.selftest.networks import SHIPPED

    contract = replace(
        load_contract(locate_model(SHIPPED) / "contract.json"), width=settings.width, height=settings.height
    )
    with own_device() as device:
        compare(device, contract, camera_frames(_FRAMES, findings), findings, settings.rounds)


def compare(device: Device, contract: Contract, frames: list[Frame], findings: Findings, rounds: int) -> None:
    """Encode the frames with both encoders, compare, then time the GPU's over and over."""
    size = 3 * contract.width * contract.height
    on_gpu = CudaInputEncoder(contract, device, {name: device.allocate(size) for name in contract.modalities})
    on_cpu = InputEncoder(contract)
    layouts = {"complete": (), "without depth": ("depth",), "without colour": ("color",), "complete again": ()}
    for words, gone in layouts.items():
        for index, frame in enumerate(frames):
            # Each frame by itself: a difference of one level of gravity does not add up.
            for one in (on_gpu, on_cpu):
                one.reset()
            _compare_one(on_gpu, on_cpu, _without(frame, gone), findings, f"frame {index} {words}")
    found: dict[str, list[float]] = {"enqueue": [], "preprocessing_gpu": []}
    for i in range(rounds):
        made = on_gpu.encode(frames[i % len(frames)])
        on_gpu.collect(made)
        for name, values in found.items():
            values.append(made.timings_ms[name])
    for name, values in found.items():
        findings.figure(f"encoder, {name}", float(np.median(values)), float(np.percentile(values, 95)))
    on_gpu.close()


def _without(frame: Frame, gone: tuple[str, ...]) -> Frame:
    kept = {name: image for name, image in frame.images.items() if name not in gone}
    return Frame(
        frame.stamp_ns, frame.frame_id, intrinsics=frame.intrinsics, images=kept, full_scales=frame.full_scales
    )


def _compare_one(
    on_gpu: CudaInputEncoder, on_cpu: InputEncoder, frame: Frame, findings: Findings, words: str
) -> None:
    expected, got = on_cpu.encode(frame), on_gpu.encode(frame)
    on_gpu.collect(got, inputs=True, depth=True)
    findings.check(f"{words}: streams", got.present == expected.present, f"{got.present}")
    few = None
    if expected.depth is not None and got.depth is not None:
        found = difference("fill", got.depth, expected.depth)
        findings.check(f"{words}: depth", found.within, found)
        few = ~few_readings(expected.depth > 0)
    for name, image in expected.inputs.items():
        # HHA's gravity is estimated here: the tolerance is that of the tests on real images.
        kind = name if name in TOLERANCES else "resize"
        found = difference(kind, got.inputs[name], image, few if name == "hha" else None)
        findings.check(f"{words}: {name}", found.within, found)
