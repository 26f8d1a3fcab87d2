# SPDX-License-Identifier: Apache-2.0
"""Learning rates as a function of the step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssma_ros.training.fit.config import StageConfig


def learning_rate_factor(stage: StageConfig, step: int) -> float:
    """Factor of the stage's learning rate at ``step`` (0 … steps−1).

    ``poly``: (1 − t)^power, at least end_lr_ratio, t the share of steps done. ``onecycle``: a cosine rise from
    1/25 over ``warmup``, then a cosine fall to end_lr_ratio. ``constant``: 1.
    """
    t = step / stage.steps
    if stage.schedule == "constant":
        return 1.0
    if stage.schedule == "poly":
        return float(max((1.0 - t) ** stage.power, stage.end_lr_ratio))
    if t < stage.warmup:
        low = 1.0 / 25.0
        return low + (1.0 - low) * 0.5 * (1.0 - math.cos(math.pi * t / stage.warmup))
    fall = (t - stage.warmup) / max(1.0 - stage.warmup, 1e-9)
    return stage.end_lr_ratio + (1.0 - stage.end_lr_ratio) * 0.5 * (1.0 + math.cos(math.pi * fall))
