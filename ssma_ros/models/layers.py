# SPDX-License-Identifier: Apache-2.0
"""Layers every network here is made of: TensorFlow SAME convolutions, batch normalisation, multiscale convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

#: Batch-norm constants of the released networks (TensorFlow decay 0.99 is PyTorch momentum 0.01).
BN_EPSILON = 1e-5
BN_MOMENTUM = 0.01


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that also works when a channel has a single value.

    The image-pooling and attention branches normalise N×C×1×1 maps. With N = 1 the batch variance is zero and
    PyTorch raises in training. The rule here: where a channel has exactly one value, that step normalises with
    the running statistics, as in evaluation, and leaves them unchanged; gradients reach weight and bias as usual.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=BN_EPSILON, momentum=BN_MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise N×C×H×W."""
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


def same_padding(kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """Zeros before and after an axis as TensorFlow's SAME pads it, for an axis the stride divides.

    Stride 1 pads symmetrically; stride 2 puts the odd zero behind: 7×7 → (2, 3), 3×3 → (0, 1), 1×1 → (0, 0).
    """
    total = max(dilation * (kernel - 1) + 1 - stride, 0)
    return total // 2, total - total // 2


class Conv2d(nn.Conv2d):
    """Square convolution with TensorFlow SAME padding; the input's H and W must be multiples of ``stride``."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        before, after = same_padding(kernel, stride, dilation)
        super().__init__(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=before if before == after else 0,
            dilation=dilation,
            groups=groups,
            bias=bias,
        )
        self.asymmetric = None if before == after else (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        """N×in_channels×H×W → N×out_channels×H/stride×W/stride."""
        if self.asymmetric is not None:
            x = F.pad(x, self.asymmetric)
        return super().forward(x)


class MultiscaleConv2d(nn.Conv2d):
    """Two parallel 3×3 convolutions of half the width each on one input, concatenated (AdapNet++ multiscale unit).

    The halves share one kernel tensor, so weights do not depend on the dilations, and equal dilations run as one
    ordinary convolution.

    Args:
        in_channels: input channels.
        out_channels: output channels of both halves together, even.
        dilations: of the first and the second half.

    Attributes:
        halves: output channels of each; pruning may leave unequal ones.
    """

    def __init__(self, in_channels: int, out_channels: int, dilations: tuple[int, int]) -> None:
        if out_channels % 2:
            raise ValueError(f"multiscale convolution: out_channels is {out_channels}, expected an even number")
        super().__init__(in_channels, out_channels, 3, padding=dilations[0], dilation=dilations[0], bias=False)
        self.dilations = dilations
        self.halves = [out_channels // 2] * 2

    def forward(self, x: Tensor) -> Tensor:
        """N×in_channels×H×W → N×out_channels×H×W."""
        if self.dilations[0] == self.dilations[1]:
            return super().forward(x)
        parts = zip(self.weight.split(self.halves), self.dilations, strict=True)
        return cat([F.conv2d(x, w, padding=d, dilation=d) for w, d in parts if w.shape[0]])


class Deconv2d(nn.ConvTranspose2d):
    """Transposed convolution that enlarges H and W exactly ``stride`` times (kernel 2·stride, no bias).

    Args:
        in_channels, out_channels, stride: as usual.
        edge: what lies outside its input: ``zeros``, or ``replicate`` for the outermost pixels once more. With zeros
            the outermost results are sums of half as many terms, on another scale than all the others.
        bilinear: start as the bilinear enlargement of each channel by itself (Long et al. 2015), not at random; then
            ``in_channels`` equals ``out_channels``.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, edge: str = "zeros", *, bilinear: bool = False
    ) -> None:
        super().__init__(
            in_channels, out_channels, 2 * stride, stride=stride, padding=stride // 2, bias=False
        )
        self.edge = edge
        self.bilinear = bilinear

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """N×in_channels×H×W → N×out_channels×(stride·H)×(stride·W)."""
        if self.edge == "zeros":
            return super().forward(x, output_size)
        (step, _), (rows, columns) = self.stride, x.shape[-2:]
        y = super().forward(F.pad(x, (1, 1, 1, 1), mode="replicate"))
        return y[:, :, step : step * (rows + 1), step : step * (columns + 1)]


class ConvNorm(nn.Module):
    """Convolution and batch normalisation, with ReLU unless ``relu`` is false."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, *, relu: bool = True) -> None:
        super().__init__()
        self.conv = conv
        self.bn = BatchNorm2d(conv.out_channels)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, normalise, rectify."""
        y: Tensor = self.bn(self.conv(x))
        return F.relu(y) if self.relu else y


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    relu: bool = True,
) -> ConvNorm:
    """SAME convolution + BN (+ ReLU)."""
    conv = Conv2d(in_channels, out_channels, kernel, stride=stride, dilation=dilation, groups=groups)
    return ConvNorm(conv, relu=relu)


def separable_conv_norm(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    """Depthwise convolution + BN, then 1×1 + BN + ReLU: the cheap stand-in for :func:`conv_norm`."""
    return nn.Sequential(
        conv_norm(in_channels, in_channels, kernel, groups=in_channels, relu=False),
        conv_norm(in_channels, out_channels, 1),
    )


def cat(tensors: Sequence[Tensor]) -> Tensor:
    """Concatenate along channels; one tensor is passed on as it is, without a copy in the graph."""
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors), dim=1)


def global_mean(x: Tensor) -> Tensor:
    """Mean over H and W: N×C×1×1."""
    return F.adaptive_avg_pool2d(x, 1)


def keep_single_values(module: nn.Module) -> None:
    """Give every ordinary batch normalisation under ``module`` the rule of :class:`BatchNorm2d`; all else stays."""
    for parent in list(module.modules()):
        for name, norm in list(parent.named_children()):
            if type(norm) is nn.BatchNorm2d and norm.affine and norm.track_running_stats:
                ruled = BatchNorm2d(norm.num_features)
                ruled.load_state_dict(norm.state_dict())
                ruled.eps, ruled.momentum = norm.eps, norm.momentum
                setattr(parent, name, ruled)


def initialize(module: nn.Module) -> None:
    """He initialisation (variance 2 / fan-in) of every convolution under ``module``, zero biases; but not in what its
    parts say they keep (:attr:`~ssma_ros.models.backbones.base.Backbone.keeps_initialization`).

    A transposed convolution of stride s meets kernel²/s² taps for each output pixel, and its fan-in is counted so,
    unless it starts bilinear.
    """
    kept = {
        id(part) for owner in module.modules() for name in getattr(owner, "keeps_initialization", ())
        for part in getattr(owner, name).modules()
    }
    for part in module.modules():
        if id(part) in kept:
            continue
        if isinstance(part, Deconv2d) and part.bilinear:
            _start_bilinear(part)
        elif isinstance(part, nn.ConvTranspose2d):
            taps = part.kernel_size[0] * part.kernel_size[1] / (part.stride[0] * part.stride[1])
            nn.init.normal_(part.weight, std=(2.0 / (part.in_channels * taps)) ** 0.5)
        elif isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
        else:
            continue
        if part.bias is not None:
            nn.init.zeros_(part.bias)


def _start_bilinear(layer: Deconv2d) -> None:
    stride = layer.stride[0]
    distance = (torch.arange(2 * stride) - (stride - 0.5)).abs() / stride
    kernel = torch.outer(1 - distance, 1 - distance)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight.diagonal().copy_(kernel[..., None].expand(-1, -1, layer.out_channels))
