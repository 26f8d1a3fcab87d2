# SPDX-License-Identifier: Apache-2.0
"""The whole way from a camera's frame to the mask, and whether everything is given back afterwards."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.inference.benchmark import load_case
from ssma_ros.kernels.cuda.device import current
from ssma_ros.segmenter import Segmenter
from ssma_ros.selftest.frames import camera_frames
from ssma_ros.selftest.networks import case_of

if TYPE_CHECKING:
    from ssma_ros.frame import Frame
    from ssma_ros.inference.benchmark import Case
    from ssma_ros.selftest.findings import Findings, Settings

_FRAMES = 6
#: Least share of pixels of equal class where GPU and processor preprocess: inputs differ by a level here and there.
_SAME = 0.99
#: Memory that may stay taken after a network was loaded and closed once more, in MB.
_GROWTH_MB = 2.0
#: Milliseconds from frame to mask at 768×384 that we hope for on an H200.
TARGET_MS = 2.0


def chain(settings: Settings, findings: Findings, backend: str, precision: str) -> None:
    """Masks with GPU and with processor preprocessing, times of both, and memory before and after."""
    import pycuda.driver as cuda

    cuda.init()
    context = cuda.Device(0).retain_primary_context()  # stays, so that what it takes itself is not counted
    try:
        case, frames = case_of(settings, backend, precision), camera_frames(_FRAMES, findings)
        masks = {where: _drive(case, where, frames, settings, findings) for where in ("gpu", "cpu")}
        same = float(np.mean([(a == b).mean() for a, b in zip(masks["gpu"], masks["cpu"], strict=True)]))
        findings.check("masks as with the processor's preprocessing", same >= _SAME,
                       f"{100 * same:.3f} % of pixels (expected: {100 * _SAME:g} %)")
        taken = [_taken_mb(cuda, context)]
        for _ in range(2):
            with Segmenter(load_case(case), preprocessing="gpu") as segmenter:
                segmenter(frames[0])
            del segmenter
            gc.collect()
            taken.append(_taken_mb(cuda, context))
        findings.check("memory is given back", taken[-1] - taken[-2] <= _GROWTH_MB,
                       f"{taken} MB taken after each close (expected: no more than {_GROWTH_MB:g} MB of growth)")
    finally:
        context.detach()


def _drive(case: Case, where: str, frames: list[Frame], settings: Settings, findings: Findings) -> list[np.ndarray]:
    """The masks of all frames; the times of many."""
    with Segmenter(load_case(case), preprocessing=where) as segmenter:
        segmenter.warm_up()
        masks = []
        for frame in frames:
            segmenter.reset()
            masks.append(segmenter(frame).mask)
        times: dict[str, list[float]] = {}
        for i in range(settings.rounds):
            for name, value in segmenter(frames[i % len(frames)]).timings_ms.items():
                times.setdefault(name, []).append(value)
        for name, values in times.items():
            target = TARGET_MS if (where, name) == ("gpu", "total") else None
            words = f"frame to mask, {case.backend}, preprocessing on {where}: {name}"
            findings.figure(words, float(np.median(values)), float(np.percentile(values, 95)), target)
        findings.fact(f"GPU memory, preprocessing on {where}", f"{(segmenter.memory_bytes or 0) / 1e6:.0f} MB")
    return masks


def _taken_mb(cuda: object, context: Any) -> float:
    """Memory of the GPU that is not free, in MB."""
    with current(context):
        free, total = cuda.mem_get_info()  # type: ignore[attr-defined]
    return round((total - free) / 1e6, 1)
