# SPDX-License-Identifier: Apache-2.0
"""The fusions the paper compares SSMA with, on the same backbones and decoders."""

from ssma_ros.models.baselines.cmode import CMoDE
from ssma_ros.models.baselines.fusenet import FuseNet
from ssma_ros.models.baselines.late import LFC, LateFusion
from ssma_ros.models.baselines.prediction import Average, Maximum
from ssma_ros.models.baselines.stacking import Stacking

__all__ = ["LFC", "Average", "CMoDE", "FuseNet", "LateFusion", "Maximum", "Stacking"]
