# SPDX-License-Identifier: Apache-2.0
"""Random modality dropout and the present mask."""

from __future__ import annotations

import pytest
import torch

from ssma_ros.models import SSMA
from ssma_ros.models.presence import drop_modalities, present_mask

SMALL = {"backbone": "mobilenet_v2", "width": 0.25, "easpp_channels": 16, "skip_channels": 8, "decoder_channels": 16}


def test_rate_and_survivors() -> None:
    torch.manual_seed(0)
    kept = drop_modalities(torch.ones(20_000, 3), 0.3)
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    assert kept.sum(1).min() == 1
    # Each goes with 0.3, but of the 0.027 that would lose all three one comes back at random.
    expected = 0.7 + 0.3**3 / 3
    for modality in range(3):
        assert kept[:, modality].mean().item() == pytest.approx(expected, abs=0.015)


def test_what_was_blank_stays_blank() -> None:
    torch.manual_seed(1)
    present = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]).repeat(500, 1)
    kept = drop_modalities(present, 0.9)
    assert (kept <= present).all()
    assert torch.equal(kept[0::3], present[0::3])
    assert kept[1::3].sum(1).min() == 1
    assert kept[2::3].max() == 0


def test_probability_zero_drops_nothing() -> None:
    assert torch.equal(drop_modalities(torch.ones(100, 2), 0.0), torch.ones(100, 2))


def test_mask_takes_the_dtype_of_the_images() -> None:
    images = torch.zeros(2, 3, 16, 16, dtype=torch.bfloat16)
    mask = present_mask(torch.tensor([[True, False], [True, True]]), images, 2)
    assert mask is not None
    assert mask.dtype == torch.bfloat16
    assert mask.tolist() == [[1, 0], [1, 1]]
    assert present_mask(None, images, 2) is None


def test_training_drops_and_evaluation_does_not() -> None:
    torch.manual_seed(2)
    network = SSMA(("rgb", "hha"), 3, modality_dropout=0.6, **SMALL)
    images = [torch.randn(64, 3, 16, 16) for _ in range(2)]
    network.train()
    gates = network(*images, return_gates=True)[2]
    blank = (gates.flatten(2).amax(2) == 0).float()
    assert 0.3 < blank.mean().item() < 0.6
    assert blank.sum(1).max() == 1
    network.eval()
    with torch.no_grad():
        assert network(*images, return_gates=True)[1].flatten(2).amax(2).min() > 0
