# SPDX-License-Identifier: Apache-2.0
"""PyTorch networks: AdapNet++, SSMA for any number of modalities, fusion baselines, their weights."""

from ssma_ros.models.adapnetpp import AdapNetPP
from ssma_ros.models.baselines import LFC, Average, CMoDE, FuseNet, LateFusion, Maximum, Stacking
from ssma_ros.models.build import NETWORKS, build_network
from ssma_ros.models.complexity import count_macs, count_parameters
from ssma_ros.models.network import SegmentationNetwork
from ssma_ros.models.options import PRESETS, VARIANTS, Options
from ssma_ros.models.ssma import SSMA
from ssma_ros.models.weights import holds_model, load_model, save_model

__all__ = [
    "LFC",
    "NETWORKS",
    "PRESETS",
    "SSMA",
    "VARIANTS",
    "AdapNetPP",
    "Average",
    "CMoDE",
    "FuseNet",
    "LateFusion",
    "Maximum",
    "Options",
    "SegmentationNetwork",
    "Stacking",
    "build_network",
    "count_macs",
    "count_parameters",
    "holds_model",
    "load_model",
    "save_model",
]
