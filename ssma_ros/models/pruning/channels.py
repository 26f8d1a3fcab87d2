# SPDX-License-Identifier: Apache-2.0
"""The feature maps of a network that may go, what goes with each, and what a network without them costs."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ssma_ros.models.decoder import AuxiliaryHeads, Head
from ssma_ros.models.pruning.flow import FIXED, Follow, Layer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ssma_ros.models.pruning.flow import Uses

_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)


@dataclass(frozen=True)
class FeatureMap:
    """What is pruned as one: a feature map, with those it is multiplied with.

    Attributes:
        ids: numbers of the maps.
        layer: that makes the first of them.
        end: layer behind which it is masked before it is added to a shortcut; "" for a map that convolutions read.
    """

    ids: tuple[int, ...]
    layer: str
    end: str


@dataclass(frozen=True)
class Channels:
    """A network in terms of feature maps.

    Attributes:
        layers: by module path.
        maps: that may be pruned.
        count: of all maps, prunable or not.
    """

    layers: Mapping[str, Layer]
    maps: tuple[FeatureMap, ...]
    count: int

    def alive(self, dead: Iterable[int]) -> NDArray[np.bool_]:
        """Whether each map is left without ``dead``; the last entry, which :data:`FIXED` indexes, always is."""
        alive = np.ones(self.count + 1, np.bool_)
        alive[list(dead)] = False
        return alive

    def macs(self, alive: NDArray[np.bool_]) -> int:
        """Multiply-accumulates of one evaluation pass with the maps that are ``alive``."""
        return sum(layer.taps * self._pairs(layer, alive) for layer in self.layers.values())

    def parameters(self, alive: NDArray[np.bool_]) -> int:
        """Trainable scalars with the maps that are ``alive``."""
        return sum(layer.weights * self._pairs(layer, alive) + layer.extra * int(alive[layer.made].sum())
                   for layer in self.layers.values())

    @staticmethod
    def _pairs(layer: Layer, alive: NDArray[np.bool_]) -> int:
        made = int(alive[layer.made].sum())
        return made if layer.depthwise else made * int(alive[layer.read].sum())


def find_channels(network: nn.Module, width: int = 64, height: int = 64) -> Channels:
    """Follow the feature maps of ``network``, which stays as it is, on images of ``width`` × ``height``."""
    shadow: Any = copy.deepcopy(network).to("meta").train()
    modules = dict(shadow.named_modules())
    names = {id(p): path for path, module in modules.items() if isinstance(module, _LAYERS)
             for p in module.parameters(recurse=False)}
    images = [torch.empty(2, 3, height, width, device="meta") for _ in shadow.modalities]
    with torch.no_grad(), Follow(names, modules) as follow:
        logits, auxiliary = shadow(*images)
        follow.finish([logits, *auxiliary])
    for path in follow.layers:
        inside = _parents(path, modules)
        if any(isinstance(module, Head) for module in inside):
            follow.uses.pin(follow.layers[path].made)
        if any(isinstance(module, AuxiliaryHeads) for module in inside):
            follow.layers[path].taps = 0  # they do not run in evaluation
    return Channels(follow.layers, tuple(_prunable(follow.uses)), len(follow.uses.owner))


def _parents(path: str, modules: Mapping[str, nn.Module]) -> list[nn.Module]:
    parts = path.split(".")
    return [modules[".".join(parts[:end])] for end in range(1, len(parts))]


def _prunable(uses: Uses) -> Iterable[FeatureMap]:
    for members in _tied(len(uses.owner), uses.tied):
        ends = {uses.end.get(number, "") for number in members}
        read = [number in uses.read for number in members]
        if uses.pinned.intersection(members):
            continue
        if ends == {""} and any(read):
            yield FeatureMap(tuple(members), uses.owner[members[0]], "")
        elif len(members) == 1 and not any(read) and ends != {""}:
            yield FeatureMap(tuple(members), uses.owner[members[0]], ends.pop())


def _tied(count: int, pairs: Sequence[tuple[int, int]]) -> Iterable[list[int]]:
    """Numbers 0 … count−1 in groups that ``pairs`` connect."""
    parent = list(range(count))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for one, other in pairs:
        a, b = sorted((root(one), root(other)))
        parent[b] = a
    groups: dict[int, list[int]] = {}
    for number in range(count):
        groups.setdefault(root(number), []).append(number)
    return groups.values()


assert FIXED == -1  # it indexes the last entry of what `alive` gives
