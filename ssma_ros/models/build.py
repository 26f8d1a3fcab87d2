# SPDX-License-Identifier: Apache-2.0
"""A network from its description in the input contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssma_ros.errors import expected_one_of
from ssma_ros.models.adapnetpp import AdapNetPP
from ssma_ros.models.baselines import LFC, Average, CMoDE, FuseNet, LateFusion, Maximum, Stacking
from ssma_ros.models.ssma import SSMA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssma_ros.models.network import SegmentationNetwork

_ALL: tuple[type[SegmentationNetwork], ...] = (
    AdapNetPP,
    SSMA,
    Average,
    Maximum,
    Stacking,
    LateFusion,
    LFC,
    CMoDE,
    FuseNet,
)
#: Every network by the name its description has.
NETWORKS: Mapping[str, type[SegmentationNetwork]] = {network.name: network for network in _ALL}


def build_network(description: Mapping[str, Any], num_classes: int) -> SegmentationNetwork:
    """Inverse of :meth:`SegmentationNetwork.describe`: the network with fresh weights, in training mode.

    Args:
        description: ``name``, ``modalities`` and options, optionally ``variant`` or ``preset``.
        num_classes: output channels, from the contract's label set.

    Raises:
        ValueError: unknown network, variant or preset, or an option out of range.
        TypeError: unknown option, or one of the wrong type.
    """
    arguments = dict(description)
    name = arguments.pop("name", None)
    if name not in NETWORKS:
        raise ValueError(f"network name is {name!r}, {expected_one_of(str(name), NETWORKS)}")
    if "modalities" not in arguments:
        raise ValueError(f"network {name}: no modalities in its description, expected a list of names")
    return NETWORKS[name](num_classes=num_classes, **arguments)
