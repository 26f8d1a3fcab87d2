# SPDX-License-Identifier: Apache-2.0
"""A network without some of its feature maps: physically smaller, and equal to the one where they are masked."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import nn

from ssma_ros.models.fusion import SSMABlock
from ssma_ros.models.layers import MultiscaleConv2d
from ssma_ros.models.pruning.channels import find_channels
from ssma_ros.models.pruning.flow import FIXED
from ssma_ros.models.pruning.spread import add_spread, spread_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from ssma_ros.models.pruning.channels import Channels

    _Mask = NDArray[np.bool_]


#: What was found of architectures, the latest few.
_FOUND: dict[Any, Channels] = {}
_REMEMBERED = 4
#: A :class:`ssma_ros.models.network.SegmentationNetwork`, which itself calls this module.
_Network = TypeVar("_Network", bound=nn.Module)


def shrunk(network: _Network, channels: Channels, dead: Iterable[int]) -> _Network:
    """A copy of ``network`` without the feature maps ``dead``; its options tell which maps it has kept.

    Args:
        network: stays as it is.
        channels: of this network.
        dead: numbers of maps, whole members of ``channels.maps``.
    """
    smaller: Any = copy.deepcopy(network)
    options: Any = smaller.options
    alive = channels.alive(dead)
    kept = dict(options.kept)
    for path, layer in channels.layers.items():
        if layer.depthwise or not layer.read.size or alive[layer.made].all():
            continue
        before = _parse(kept[path]) if path in kept else list(range(len(layer.made)))
        kept[path] = _written([index for index, stays in zip(before, alive[layer.made], strict=True) if stays])
    _take_out(smaller, channels, alive)
    smaller.options = replace(options, kept=kept)
    result: _Network = smaller
    return result


def masked(network: _Network, channels: Channels, dead: Iterable[int]) -> _Network:
    """A copy of ``network`` of the same size in which the feature maps ``dead`` are zero where they are read or added:
    what a pruned network is compared with."""
    same = copy.deepcopy(network)
    alive = channels.alive(dead)
    modules = dict(same.named_modules())
    ends = {channels.layers[m.end].made.tobytes(): m.end for m in channels.maps if m.end}
    with torch.no_grad():
        for path, layer in channels.layers.items():
            module: Any = modules[path]
            if layer.read.size and not layer.depthwise:
                gone = torch.from_numpy(~alive[layer.read])
                module.weight[(slice(None), gone) if _reads_second(module) else gone] = 0
        for path in ends.values():
            module = modules[path]
            gone = torch.from_numpy(~alive[channels.layers[path].made])
            module.weight[gone if _reads_second(module) else (slice(None), gone)] = 0
            if module.bias is not None:
                module.bias[gone] = 0
    return same


def keep_maps(network: nn.Module, kept: Mapping[str, str]) -> None:
    """Take out of a whole network, in place, the feature maps that ``kept`` does not name; its weights stay random.

    Args:
        network: freshly built.
        kept: layer → indices of its maps that stay.

    Raises:
        ValueError: a layer that the network does not have, indices out of range, or maps that cannot go.
    """
    channels = _channels_of(network)
    alive = np.ones(channels.count + 1, np.bool_)
    for path, text in kept.items():
        layer = channels.layers.get(path)
        if layer is None or layer.depthwise or not layer.read.size:
            raise ValueError(f"network option kept: '{path}' is no convolution of the network")
        indices = _parse(text)
        if not indices or indices != sorted(set(indices)) or indices[-1] >= len(layer.made):
            raise ValueError(f"network option kept: {path} is '{text}', expected rising indices below "
                             f"{len(layer.made)}, as 0-5,8")
        stays = np.zeros(len(layer.made), np.bool_)
        stays[indices] = True
        alive[layer.made] = stays
    dead = set(np.flatnonzero(~alive).tolist())
    known = {number for one in channels.maps if dead.issuperset(one.ids) for number in one.ids}
    if dead != known:
        owner = next(path for path, layer in channels.layers.items() if set(layer.made.tolist()) & (dead - known))
        raise ValueError(f"network option kept: maps of {owner} cannot go alone, expected them to stay")
    _take_out(network, channels, alive)


def _channels_of(network: Any) -> Channels:
    """As :func:`find_channels`, once for each architecture: a pruning loads networks of one again and again."""
    key = (type(network), network.modalities, network.num_classes, replace(network.options, kept={}))
    if key not in _FOUND:
        if len(_FOUND) >= _REMEMBERED:
            del _FOUND[next(iter(_FOUND))]
        _FOUND[key] = find_channels(network)
    return _FOUND[key]


def _take_out(network: nn.Module, channels: Channels, alive: _Mask) -> None:
    """Slice every layer, in place."""
    modules = dict(network.named_modules())
    ends = {m.end for m in channels.maps if m.end and not all(alive[list(m.ids)])}
    for path, layer in channels.layers.items():
        module: Any = modules[path]
        made, read = alive[layer.made], alive[layer.read]
        if path in ends:
            places = spread_of(module) or tuple(range(len(made)))
            total = module.spread.channels if spread_of(module) else len(made)
            add_spread(module, [place for place, stays in zip(places, made, strict=True) if stays], total)
        if isinstance(module, MultiscaleConv2d):
            first = module.halves[0]
            module.halves = [int(made[:first].sum()), int(made[first:].sum())]
        if isinstance(module, nn.BatchNorm2d):
            _slice_norm(module, made)
        else:
            _slice_convolution(module, made, read, depthwise=layer.depthwise)
    for path, block in modules.items():
        if isinstance(block, SSMABlock):
            stays = alive[channels.layers[f"{path}.expand"].made]
            block.widths = [int(part.sum()) for part in np.split(stays, np.cumsum(block.widths)[:-1])]


def _slice_norm(module: nn.BatchNorm2d, made: _Mask) -> None:
    module.weight, module.bias = _part(module.weight, made, 0), _part(module.bias, made, 0)
    for name in ("running_mean", "running_var"):
        module.register_buffer(name, _selected(getattr(module, name), made, 0))
    module.num_features = int(made.sum())


def _slice_convolution(module: Any, made: _Mask, read: _Mask, *, depthwise: bool) -> None:
    reads = int(_reads_second(module))
    weight = _part(module.weight, made, 0 if depthwise else 1 - reads)
    module.weight = weight if depthwise else _part(weight, read, reads)
    if module.bias is not None:
        module.bias = _part(module.bias, made, 0)
    module.out_channels, module.in_channels = int(made.sum()), int(read.sum())
    if depthwise:
        module.groups = module.out_channels


def _reads_second(module: Any) -> bool:
    """Whether a kernel's second dimension is of the channels that it reads: a transposed convolution has them first."""
    return not isinstance(module, nn.ConvTranspose2d)


def _part(values: Tensor, stays: _Mask, dim: int) -> nn.Parameter:
    return nn.Parameter(_selected(values.detach(), stays, dim), requires_grad=values.requires_grad)


def _selected(values: Tensor, stays: _Mask, dim: int) -> Tensor:
    return values.index_select(dim, torch.tensor(np.flatnonzero(stays), device=values.device))


def _parse(text: str) -> list[int]:
    """Indices of ``0-5,8``."""
    try:
        bounds = [part.partition("-") for part in str(text).split(",")]
        return [i for low, dash, high in bounds for i in range(int(low), int(high if dash else low) + 1)]
    except ValueError:
        return []


def _written(indices: Iterable[int]) -> str:
    """Indices as ``0-5,8``."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


assert FIXED == -1  # the last entry of `alive` stands for it, and stays
