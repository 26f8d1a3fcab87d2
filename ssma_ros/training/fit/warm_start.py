# SPDX-License-Identifier: Apache-2.0
"""A fusion that starts as one of its sensors' unimodal networks and learns what the others add.

With the encoders alone SSMA's decoder and fusion are left to be learnt from nothing in the fusion stage, and the
attention on its skips worst of all: its BatchNorm sees one value a sample, so a fresh one blanks about half of the skip
channels, other ones in every batch. In the paper's 150 000 steps that is soon over; of some hundred it takes most. Here
the fusion blocks start as the identity on one stream (as in Net2Net, Chen et al. 2016, and in residual blocks whose
last BatchNorm starts at 0, Goyal et al. 2017), so that nothing of what the unimodal network has learnt is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

from ssma_ros.errors import SsmaError
from ssma_ros.models import SSMA, AdapNetPP, load_model
from ssma_ros.models.layers import ConvNorm

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from ssma_ros.models.decoder import AdapNetPPTrunk, Attention
    from ssma_ros.models.easpp import EASPP
    from ssma_ros.models.fusion import SSMABlock
    from ssma_ros.models.network import SegmentationNetwork


def start_as_expert(network: SegmentationNetwork, stream: str, path: str | Path) -> None:
    """Make ``network`` answer what the unimodal network of ``stream`` answers, whatever the other streams show.

    The other streams' encoders stay as they are; their first weights in the fusion are 0.

    Args:
        network: an SSMA with ``fusion="encoder"``.
        stream: one of its streams.
        path: weights of this stream's AdapNet++ with the same options.

    Raises:
        SsmaError: another network, an unknown stream, or weights that do not fit.
    """
    if not isinstance(network, SSMA) or network.options.fusion != "encoder" or not network.skip_fusions:
        raise SsmaError(f"training configuration: decoder_of is '{stream}', which only an SSMA with fusion: encoder "
                        "and skips can start from")
    if stream not in network.modalities:
        raise SsmaError(f"training configuration: decoder_of is '{stream}', "
                        f"expected one of {', '.join(network.modalities)}")
    expert = load_model(path)
    if not isinstance(expert, AdapNetPP):
        raise SsmaError(f"weights {path}: are of the network {expert.name}, expected AdapNetPP")
    index = network.modalities.index(stream)
    try:
        network.encoders[index].load_state_dict(expert.encoder.state_dict())
        network.head.load_state_dict(expert.decoder.head.state_dict())
        own = network.trunks[0].state_dict()
        network.trunks[0].load_state_dict({**own, **expert.decoder.trunk.state_dict()})
    except RuntimeError as error:
        raise SsmaError(f"weights {path}: do not fit the network ({str(error).splitlines()[1].strip()})") from None
    with torch.no_grad():
        _pass_through(network.fusion, index)
        # The latent features leave the eASPP through a BatchNorm, whose weight and bias are their deviation and mean.
        last = cast("EASPP", expert.encoder.easpp).merge.bn
        _undo(cast("ConvNorm", network.fusion.merge).bn, mean=last.bias, variance=last.weight.square())
        for fusion in network.skip_fusions:
            _pass_through(cast("SSMABlock", fusion), index)
        for attention in cast("AdapNetPPTrunk", network.trunks[0]).attention:
            _open(cast("Attention", attention))


def _pass_through(block: SSMABlock, index: int) -> None:
    """All gates equal; the merging convolution undoes them for stream ``index`` and ignores the others."""
    block.expand.weight.zero_()
    _zero_bias(block.expand)
    gate = 0.5 if block.gating == "sigmoid" else 1.0 / block.modalities
    convolution = block.merge.conv if isinstance(block.merge, ConvNorm) else block.merge
    assert isinstance(convolution, torch.nn.Conv2d)
    convolution.weight.zero_()
    centre = convolution.kernel_size[0] // 2
    for channel in range(block.channels):
        convolution.weight[channel, index * block.channels + channel, centre, centre] = 1.0 / gate
    _zero_bias(convolution)


def _open(attention: Attention) -> None:
    """Every skip channel weighs 1, whatever the batch."""
    norm = attention.squeeze.bn
    norm.weight.zero_()
    norm.bias.fill_(1.0)


def _zero_bias(layer: nn.Conv2d) -> None:
    if layer.bias is not None:
        layer.bias.zero_()


def _undo(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Let ``norm`` give back what it is given, where its input has this mean and variance by channel."""
    norm.running_mean.copy_(mean)  # type: ignore[union-attr]
    norm.running_var.copy_(variance)  # type: ignore[union-attr]
    norm.weight.copy_((variance + norm.eps).sqrt())
    norm.bias.copy_(mean)
