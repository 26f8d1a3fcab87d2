# SPDX-License-Identifier: Apache-2.0
"""Decoders: AdapNet++'s, with the attention of SSMA as an option, and ERFNet's own.

A decoder is a trunk (features at full decoder resolution), a classifier and auxiliary heads. Fusions that merge
behind the trunks share one classifier and one pair of heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch.nn.functional as F
from torch import nn

from ssma_ros.models.backbones.erfnet import NonBottleneck1D
from ssma_ros.models.layers import BatchNorm2d, ConvNorm, Deconv2d, cat, conv_norm, global_mean, separable_conv_norm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from ssma_ros.models.modality_encoder import Encoded, Encoder
    from ssma_ros.models.options import Options

#: Standard deviation that the logits start with. With the 1 of a fresh BatchNorm softmax is sure of nothing, so
#: the many pixels that are right already make up most of the loss, for some hundred steps.
_LOGIT_SCALE = 4.0


class Decoded(NamedTuple):
    """Trunk features.

    Attributes:
        last: what the classifier takes.
        upsampled: the two upsampled features, the finer one first, for the auxiliary heads.
    """

    last: Tensor
    upsampled: tuple[Tensor, Tensor]


class Attention(nn.Module):
    """Weigh a skip's channels by the upsampled features: z = ReLU(BN(1×1(mean(up)))); skip · z."""

    def __init__(self, up_channels: int, skip_channels: int) -> None:
        super().__init__()
        self.squeeze = conv_norm(up_channels, skip_channels, 1)

    def forward(self, up: Tensor, skip: Tensor) -> Tensor:
        """The weighted skip."""
        weighted: Tensor = skip * self.squeeze(global_mean(up))
        return weighted


class AdapNetPPTrunk(nn.Module):
    """Two transposed convolutions, each followed by a skip and two 3×3 convolutions (paper section 3.3).

    Args:
        in_channels: of the latent features at 1/16.
        channels: of the decoder.
        skip_channels: of the projected skips.
        attention: weigh each skip by :class:`Attention` before it is concatenated (SSMA).
        separable: depthwise separable 3×3 convolutions.
    """

    def __init__(
        self, in_channels: int, channels: int, skip_channels: int, *, attention: bool = False, separable: bool = False
    ) -> None:
        super().__init__()
        conv = separable_conv_norm if separable else conv_norm
        self.up1 = ConvNorm(Deconv2d(in_channels, channels, 2), relu=False)
        self.refine1 = nn.Sequential(conv(channels + skip_channels, channels, 3), conv(channels, channels, 3))
        self.up2 = ConvNorm(Deconv2d(channels, channels, 2), relu=False)
        self.refine2 = nn.Sequential(conv(channels + skip_channels, channels, 3), conv(channels, channels, 3))
        self.attention = nn.ModuleList(Attention(channels, skip_channels) for _ in range(2 if attention else 0))

    def forward(self, encoded: Encoded) -> Decoded:
        """Features at 1/4, upsampled features at 1/4 and 1/8."""
        up1 = self.up1(encoded.latent)
        x = self.refine1(cat([up1, self._skip(0, up1, encoded.skips[0])]))
        up2 = self.up2(x)
        x = self.refine2(cat([up2, self._skip(1, up2, encoded.skips[1])]))
        return Decoded(x, (up2, up1))

    def _skip(self, index: int, up: Tensor, skip: Tensor) -> Tensor:
        if not self.attention:
            return skip
        weighted: Tensor = self.attention[index](up, skip)
        return weighted


class ERFNetTrunk(nn.Module):
    """ERFNet's upsamplers with two factorised residual units each: 64 channels at 1/4, 16 at 1/2."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.up1 = _Upsampler(in_channels, 64)
        self.refine1 = nn.Sequential(*(NonBottleneck1D(64, 0.0, 1) for _ in range(2)))
        self.up2 = _Upsampler(64, 16)
        self.refine2 = nn.Sequential(*(NonBottleneck1D(16, 0.0, 1) for _ in range(2)))

    def forward(self, encoded: Encoded) -> Decoded:
        """Features at 1/2, upsampled features at 1/2 and 1/4."""
        up1 = self.up1(encoded.latent)
        up2 = self.up2(self.refine1(up1))
        return Decoded(self.refine2(up2), (up2, up1))


class _Upsampler(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1)
        self.bn = BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class AuxiliaryHeads(nn.ModuleList):
    """1×1 + BN classifiers on the upsampled features, enlarged bilinearly; the finer head first.

    Args:
        heads: the classifiers.
        grid: ``corner`` or ``center``, see :func:`enlarge`.
    """

    def __init__(self, heads: Iterable[nn.Module], grid: str) -> None:
        super().__init__(heads)
        self.grid = grid

    def forward(self, upsampled: tuple[Tensor, Tensor], size: tuple[int, int]) -> tuple[Tensor, ...]:
        """Auxiliary logits N×C×H×W for ``size`` (H, W), the finer head first; empty without heads."""
        return tuple(enlarge(head(x), size, self.grid) for head, x in zip(self, upsampled, strict=False))


def enlarge(x: Tensor, size: tuple[int, int], grid: str) -> Tensor:
    """Bilinear enlargement of N×C×h×w to ``size`` (H, W), multiples of h and w.

    ``center`` lays pixel centres over each other (u_small = (u + ½)/f − ½) as transposed convolutions do;
    ``corner`` takes u_small = u/f and repeats the last row and column, as the released graph does.
    """
    if grid == "center":
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
    # With one repeated row and column the two end points of the grid are exact multiples of the factor.
    padded = F.pad(x, (0, 1, 0, 1), mode="replicate")
    y = F.interpolate(padded, size=(size[0] + 1, size[1] + 1), mode="bilinear", align_corners=True)
    return y[:, :, : size[0], : size[1]]


class Head(nn.Module):
    """From trunk features to logits: classifier and auxiliary heads.

    Args:
        classifier: logits at the input's size from :attr:`Decoded.last`.
        channels: of the last and of the two upsampled features.
        num_classes: of the auxiliary logits.
        grid: of their enlargement.
        auxiliary_heads: build the two heads.
    """

    def __init__(
        self,
        classifier: nn.Module,
        channels: tuple[int, int, int],
        num_classes: int,
        *,
        grid: str,
        auxiliary_heads: bool,
    ) -> None:
        super().__init__()
        self.channels = channels[0]
        self.classifier = classifier
        heads = (conv_norm(c, num_classes, 1, relu=False) for c in (channels[1:] if auxiliary_heads else ()))
        self.auxiliary = AuxiliaryHeads(heads, grid)

    def forward(self, decoded: Decoded) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Logits N×C×H×W and, in training, auxiliary logits of the same shape."""
        logits: Tensor = self.classifier(decoded.last)
        size = (int(logits.shape[2]), int(logits.shape[3]))
        return logits, self.auxiliary(decoded.upsampled, size) if self.training else ()


class Decoder(nn.Module):
    """Trunk and head in a row: logits and auxiliary logits from encoded features."""

    def __init__(self, trunk: nn.Module, head: Head) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head

    def forward(self, encoded: Encoded) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Logits and auxiliary logits as :class:`Head` gives them."""
        outputs: tuple[Tensor, tuple[Tensor, ...]] = self.head(self.trunk(encoded))
        return outputs


def build_trunk(options: Options, encoder: Encoder, *, attention: bool = False) -> nn.Module:
    """The trunk that fits ``encoder``: ERFNet's for a backbone without skips, else AdapNet++'s."""
    if not encoder.num_skips:
        return ERFNetTrunk(encoder.latent_channels)
    return AdapNetPPTrunk(
        encoder.latent_channels,
        options.decoder_channels,
        options.skip_channels,
        attention=attention,
        separable=options.separable_decoder,
    )


def build_head(options: Options, encoder: Encoder, num_classes: int) -> Head:
    """The head that fits the trunk of ``encoder``."""
    if encoder.num_skips:
        channels = (options.decoder_channels,) * 3
        last = ConvNorm(Deconv2d(num_classes, num_classes, 4, options.upsampling_edge, bilinear=True), relu=False)
        nn.init.constant_(last.bn.weight, _LOGIT_SCALE)
        classifier: nn.Module = nn.Sequential(conv_norm(channels[0], num_classes, 1), last)
    else:
        channels = (16, 16, 64)
        classifier = nn.ConvTranspose2d(16, num_classes, 2, stride=2)
    return Head(
        classifier, channels, num_classes, grid=options.auxiliary_grid, auxiliary_heads=options.auxiliary_heads
    )


def build_decoder(options: Options, encoder: Encoder, num_classes: int, *, attention: bool = False) -> Decoder:
    """Trunk and head that fit ``encoder``."""
    return Decoder(
        build_trunk(options, encoder, attention=attention), build_head(options, encoder, num_classes)
    )
