# SPDX-License-Identifier: Apache-2.0
"""TensorFlow's SAME padding, the batch-1 rule, the multiscale convolution, initialisation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ssma_ros.models.decoder import enlarge
from ssma_ros.models.layers import (
    BatchNorm2d,
    Conv2d,
    Deconv2d,
    MultiscaleConv2d,
    initialize,
    same_padding,
    separable_conv_norm,
)


def _same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int, int]:
    """Output size, zeros before, zeros after, by the definition in TensorFlow's documentation."""
    out = math.ceil(size / stride)
    total = max((out - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return out, total // 2, total - total // 2


@pytest.mark.parametrize("kernel", [1, 3, 7, 8])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (1, 2), (1, 16), (2, 1)])
@pytest.mark.parametrize("size", [16, 48, 384])
def test_same_padding(kernel: int, stride: int, dilation: int, size: int) -> None:
    assert same_padding(kernel, stride, dilation) == _same(size, kernel, stride, dilation)[1:]


def test_padding_of_the_released_networks() -> None:
    assert same_padding(7, 2) == (2, 3)
    assert same_padding(3, 2) == (0, 1)
    assert same_padding(1, 2) == (0, 0)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(7, 2, 1), (3, 2, 1), (1, 2, 1), (3, 1, 1), (3, 1, 4)])
def test_convolution_equals_the_sum_by_hand(kernel: int, stride: int, dilation: int) -> None:
    torch.manual_seed(0)
    layer = Conv2d(2, 3, kernel, stride=stride, dilation=dilation)
    image = torch.randn(1, 2, 8, 12)
    actual = layer(image).detach().numpy()[0]
    (rows, top, bottom), (columns, left, right) = (_same(n, kernel, stride, dilation) for n in (8, 12))
    padded = np.pad(image.numpy()[0], ((0, 0), (top, bottom), (left, right)))
    weight = layer.weight.detach().numpy()
    expected = np.zeros((3, rows, columns))
    for i in range(kernel):
        for j in range(kernel):
            patch = padded[:, i * dilation :: stride, j * dilation :: stride][:, :rows, :columns]
            expected += np.einsum("oc,chw->ohw", weight[:, :, i, j], patch)
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_max_pool_hangs_over_the_edge_like_same() -> None:
    image = -torch.rand(1, 1, 8, 12) - 1
    expected = F.max_pool2d(F.pad(image, (0, 1, 0, 1), value=-math.inf), 3, 2)
    assert torch.equal(nn.MaxPool2d(3, 2, ceil_mode=True)(image), expected)


@pytest.mark.parametrize("stride", [2, 4])
def test_deconvolution_enlarges_exactly_and_symmetrically(stride: int) -> None:
    layer = Deconv2d(1, 1, stride)
    nn.init.ones_(layer.weight)
    image = torch.rand(1, 1, 3, 4)
    out = layer(image)
    assert out.shape == (1, 1, 3 * stride, 4 * stride)
    torch.testing.assert_close(layer(image.flip(2, 3)), out.flip(2, 3))


def test_multiscale_halves_have_their_own_dilation() -> None:
    torch.manual_seed(0)
    layer = MultiscaleConv2d(4, 6, (1, 5))
    x = torch.randn(2, 4, 16, 16)
    first = F.conv2d(x, layer.weight[:3], padding=1)
    second = F.conv2d(x, layer.weight[3:], padding=5, dilation=5)
    assert torch.equal(layer(x), torch.cat([first, second], 1))


def test_multiscale_with_equal_dilations_is_one_convolution() -> None:
    layer = MultiscaleConv2d(4, 6, (2, 2))
    x = torch.randn(2, 4, 16, 16)
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight, padding=2, dilation=2))


def test_multiscale_needs_two_equal_halves() -> None:
    with pytest.raises(ValueError, match="out_channels is 5, expected an even number"):
        MultiscaleConv2d(4, 5, (1, 2))


def test_batch_norm_has_the_released_constants() -> None:
    norm = BatchNorm2d(4)
    assert (norm.eps, norm.momentum) == (1e-5, 0.01)


def test_one_value_per_channel_uses_and_keeps_running_statistics() -> None:
    norm = BatchNorm2d(3).train()
    with torch.no_grad():
        norm.running_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
        norm.running_var.copy_(torch.tensor([4.0, 9.0, 16.0]))
    x = torch.tensor([5.0, 5.0, 5.0]).view(1, 3, 1, 1)
    y = norm(x)
    torch.testing.assert_close(y.flatten(), torch.tensor([2.0, 1.0, 0.5]), rtol=1e-5, atol=1e-5)
    assert norm.running_mean.tolist() == [1.0, 2.0, 3.0]
    assert norm.running_var.tolist() == [4.0, 9.0, 16.0]
    y.sum().backward()
    assert norm.weight.grad is not None
    torch.testing.assert_close(norm.weight.grad, y.detach().flatten())
    torch.testing.assert_close(norm(x), norm.eval()(x))


def test_more_values_per_channel_normalise_as_usual() -> None:
    ours, theirs = BatchNorm2d(3).train(), nn.BatchNorm2d(3, momentum=0.01).train()
    for shape in ((2, 3, 1, 1), (1, 3, 1, 2), (4, 3, 5, 5)):
        x = torch.randn(shape)
        assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_var, theirs.running_var)


def test_initialisation_keeps_the_variance() -> None:
    torch.manual_seed(0)
    for layer in (Conv2d(64, 64, 3), Deconv2d(64, 64, 2), nn.Conv2d(64, 64, 3, padding=1, groups=64)):
        initialize(layer)
        out = layer(torch.randn(1, 64, 64, 64).relu() * math.sqrt(2))
        assert 1.4 < out.var().item() < 2.8


def test_separable_stand_in_is_cheaper() -> None:
    layer = separable_conv_norm(16, 8, 3)
    assert layer(torch.randn(2, 16, 4, 4)).shape == (2, 8, 4, 4)
    weights = [m.weight.numel() for m in layer.modules() if isinstance(m, nn.Conv2d)]
    assert weights == [16 * 9, 16 * 8]


def test_corner_grid_is_the_one_of_the_released_graph() -> None:
    ramp = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 2, 4)
    out = enlarge(ramp, (4, 8), "corner")[0, 0, 0]
    torch.testing.assert_close(out, torch.tensor([0, 0.5, 1, 1.5, 2, 2.5, 3, 3]))
    centered = enlarge(ramp, (4, 8), "center")[0, 0, 0]
    torch.testing.assert_close(centered, torch.tensor([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]))


def test_a_replicated_edge_treats_the_outermost_pixels_as_all_others() -> None:
    torch.manual_seed(0)
    zeros, replicated = Deconv2d(3, 2, 4), Deconv2d(3, 2, 4, "replicate")
    replicated.load_state_dict(zeros.state_dict())
    x = torch.randn(1, 3, 5, 7)
    plain, enlarged = zeros(x), replicated(x)
    assert plain.shape == enlarged.shape == (1, 2, 20, 28)
    torch.testing.assert_close(enlarged[..., 2:-2, 2:-2], plain[..., 2:-2, 2:-2])
    assert not torch.allclose(enlarged[..., 0, :], plain[..., 0, :])
    # A constant image has one result for each phase of the kernel, at the edge as well.
    flat = replicated(torch.ones(1, 3, 5, 7))
    torch.testing.assert_close(flat[..., :4, :4], flat[..., 8:12, 8:12])
    torch.testing.assert_close(flat[..., -4:, -4:], flat[..., 8:12, 8:12])
