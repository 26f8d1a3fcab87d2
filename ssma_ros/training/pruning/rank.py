# SPDX-License-Identifier: Apache-2.0
"""How much a network's loss needs each feature map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from ssma_ros.models.pruning.channels import Channels

    Scores = NDArray[np.float64]


def taylor_scores(network: nn.Module, channels: Channels, losses: Iterable[Callable[[], Tensor]]) -> Scores:
    """``|Σ gradient · activation|`` of each map, in the mean over training data.

    Molchanov et al. 2017; the paper's section 3.5.
    The sum over a map's pixels is the change of the loss, to first order, when the map is gone. It is had from the
    weights that read the map: Σ gradient · activation = Σ gradient of weight · weight, for the loss depends on the map
    through these products alone.

    Args:
        network: in the mode in which the losses are to be taken; its gradients are cleared.
        channels: of this network.
        losses: each gives the loss of one sample.

    Returns:
        For each of ``channels.maps``, not yet normalised.
    """
    modules = dict(network.named_modules())
    ends = {one.end for one in channels.maps if one.end}
    total, count = np.zeros(len(channels.maps)), 0
    for loss in losses:
        network.zero_grad(set_to_none=True)
        loss().backward()
        by_map = np.zeros(channels.count + 1)
        for path, layer in channels.layers.items():
            module: Any = modules[path]
            first = isinstance(module, torch.nn.ConvTranspose2d)
            if layer.read.size and not layer.depthwise:
                np.add.at(by_map, layer.read, _effect(module.weight, 0 if first else 1))
            if path in ends:
                own = _effect(module.weight, 1 if first else 0)
                np.add.at(by_map, layer.made, own if module.bias is None else own + _effect(module.bias, 0))
        total += np.abs([by_map[list(one.ids)].sum() for one in channels.maps])
        count += 1
    network.zero_grad(set_to_none=True)
    return total / max(count, 1)


def _effect(weight: Tensor, dim: int) -> Scores:
    """Σ weight · gradient over all dimensions but ``dim``."""
    if weight.grad is None:
        return np.zeros(weight.shape[dim])
    product = (weight.detach() * weight.grad).transpose(0, dim).reshape(weight.shape[dim], -1)
    return np.asarray(product.sum(dim=1).double().cpu().numpy())


def l1_scores(network: nn.Module, channels: Channels) -> Scores:
    """``Σ |weight|`` of the filter that makes each map (Li et al. 2017), for each of ``channels.maps``."""
    modules = dict(network.named_modules())
    norms = np.zeros(channels.count + 1)
    for path, layer in channels.layers.items():
        if layer.read.size and not layer.depthwise:
            module: Any = modules[path]
            dim = int(isinstance(module, torch.nn.ConvTranspose2d))
            norms[layer.made] = module.weight.detach().abs().transpose(0, dim).flatten(1).sum(dim=1).cpu().numpy()
    return np.array([norms[one.ids[0]] for one in channels.maps])


def normalise(channels: Channels, scores: Scores) -> Scores:
    """Scores over the Euclidean norm of those of the same layer, so that layers compare."""
    layers = np.unique([one.layer for one in channels.maps], return_inverse=True)[1]
    norms = np.sqrt(np.bincount(layers, scores**2))[layers]
    return np.divide(scores, norms, out=np.zeros_like(scores), where=norms > 0)
