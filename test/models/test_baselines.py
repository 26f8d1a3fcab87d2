# SPDX-License-Identifier: Apache-2.0
"""What each fusion baseline computes, against its definition."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from models.battery import SMALL, settle
from torch import Tensor

from ssma_ros.models import LFC, Average, CMoDE, FuseNet, LateFusion, Maximum, SegmentationNetwork, Stacking

MODALITIES = ("rgb", "hha", "evi")


def _settled(kind: type[SegmentationNetwork], **options: Any) -> Any:
    torch.manual_seed(0)
    network = kind(MODALITIES, 4, **{**SMALL, **options})
    settle(network)
    return network


def _images() -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(2, 3, 32, 48, generator=generator) for _ in MODALITIES]


def _experts(network: Any, images: list[Tensor]) -> list[Tensor]:
    pairs = zip(network.encoders, network.decoders, images, strict=True)
    return [decoder(encoder(image))[0] for encoder, decoder, image in pairs]


@torch.no_grad()
def test_average_is_the_mean_probability() -> None:
    network, images = _settled(Average), _images()
    probabilities = torch.stack([e.softmax(1) for e in _experts(network, images)])
    torch.testing.assert_close(network(*images).exp(), probabilities.mean(0))
    present = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    blanked, gates = network(*images, present=present, return_gates=True)
    torch.testing.assert_close(blanked[0].exp(), (probabilities[0, 0] + probabilities[2, 0]) / 2)
    torch.testing.assert_close(blanked[1].exp(), probabilities[1, 1])
    assert gates[:, :, 0, 0].tolist() == [[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]


@torch.no_grad()
def test_maximum_is_the_highest_probability() -> None:
    network, images = _settled(Maximum), _images()
    probabilities = torch.stack([e.softmax(1) for e in _experts(network, images)])
    logits, gates = network(*images, return_gates=True)
    torch.testing.assert_close(logits.exp(), probabilities.amax(0))
    torch.testing.assert_close(gates.sum(1), torch.ones_like(gates[:, 0]))
    sureness = torch.stack([e.log_softmax(1) for e in _experts(network, images)]).amax(2)
    wins = (sureness == sureness.amax(0)).float()  # several where they round to the same
    for modality, share in enumerate((wins / wins.sum(0)).mean((1, 2, 3))):
        torch.testing.assert_close(gates[:, modality].mean(), share)


@torch.no_grad()
def test_late_fusion_is_linear_in_the_experts_logits() -> None:
    network, images = _settled(LateFusion), _images()
    expected = network.merge(torch.cat(_experts(network, images), 1))
    torch.testing.assert_close(network(*images), expected)


@torch.no_grad()
def test_lfc_classifies_the_sum_of_decoder_features() -> None:
    network, images = _settled(LFC), _images()
    streams = zip(network.trunks, network.encoders, images, strict=True)
    total = sum(trunk(encoder(image)).last for trunk, encoder, image in streams)
    torch.testing.assert_close(network(*images), network.head.classifier(network.merge(total)))


@torch.no_grad()
def test_cmode_weighs_experts_by_class() -> None:
    network, images = _settled(CMoDE), _images()
    latents = [encoder(image).latent for encoder, image in zip(network.encoders, images, strict=True)]
    pooled = network.gate_features(torch.cat(latents, 1)).relu().mean((2, 3), keepdim=True)
    weights = network.gate_weights(pooled).view(2, 3, 4, 1, 1).softmax(1)
    mixed = (torch.stack(_experts(network, images), 1) * weights).sum(1)
    logits, gates = network(*images, return_gates=True)
    torch.testing.assert_close(logits, network.merge(mixed))
    torch.testing.assert_close(gates.sum(1), torch.ones_like(gates[:, 0]))
    present = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    gates = network(*images, present=present, return_gates=True)[1]
    torch.testing.assert_close(gates.sum(1), torch.ones_like(gates[:, 0]))


@torch.no_grad()
def test_fusenet_with_one_modality_is_the_plain_network() -> None:
    network, images = _settled(FuseNet), _images()
    present = torch.tensor([[1.0, 0.0, 0.0]] * 2)
    plain = network.decoder(network.encoder(images[0]))[0]
    torch.testing.assert_close(network(*images, present=present), plain)
    assert not torch.allclose(network(*images), plain)


@torch.no_grad()
def test_fusenet_adds_after_every_stage() -> None:
    network, images = _settled(FuseNet), _images()
    outputs = []
    main, others = images[0], images[1:]
    for level, stage in enumerate(network.encoder.backbone.stages()):
        others = [b.stages()[level](x) for b, x in zip(network.branches, others, strict=True)]
        main = stage(main) + others[0] + others[1]
        outputs.append(main)
    encoded = network.encoder.project(network.encoder.backbone.taps(outputs))
    torch.testing.assert_close(network(*images), network.decoder(encoded)[0])


@torch.no_grad()
def test_stacking_sees_a_blank_modality_as_zeros() -> None:
    network, images = _settled(Stacking), _images()
    present = torch.tensor([[1.0, 0.0, 1.0]] * 2)
    zeroed = [images[0], torch.zeros_like(images[1]), images[2]]
    torch.testing.assert_close(network(*images, present=present), network(*zeroed))


def test_stacking_too_many_for_erfnet() -> None:
    with pytest.raises(ValueError, match="in_channels is 18, expected fewer than 16"):
        Stacking(tuple("abcdef"), 4, backbone="erfnet")
