# SPDX-License-Identifier: Apache-2.0
"""Blanking modalities: which of them each sample has, and random dropout of them in training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ssma_ros.models.decoder import Decoded
from ssma_ros.models.modality_encoder import Encoded


def present_mask(present: Tensor | None, like: Tensor, modalities: int) -> Tensor | None:
    """``present`` in the dtype of ``like`` after a check of its shape (N×M), or None.

    Raises:
        ValueError: wrong shape.
    """
    if present is None:
        return None
    expected = (like.shape[0], modalities)
    if tuple(present.shape) != expected:
        raise ValueError(f"present: shape is {tuple(present.shape)}, expected {expected} (batch, modalities)")
    return present.to(like.dtype)


def gate_off(encoded: Encoded, present: Tensor | None, modality: int) -> Encoded:
    """Zero the features of samples that lack ``modality``."""
    if present is None:
        return encoded
    flag = present[:, modality].view(-1, 1, 1, 1)
    return Encoded(encoded.latent * flag, tuple(skip * flag for skip in encoded.skips))


def gate_off_decoded(decoded: Decoded, present: Tensor | None, modality: int) -> Decoded:
    """The same for trunk features, which are not zero although their input was."""
    if present is None:
        return decoded
    flag = present[:, modality].view(-1, 1, 1, 1)
    fine, coarse = decoded.upsampled
    return Decoded(decoded.last * flag, (fine * flag, coarse * flag))


def mean_upsampled(streams: Sequence[Decoded], present: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean of the upsampled features over the modalities that are there (blank ones already gated off)."""
    count: Tensor | float = float(len(streams))
    if present is not None:
        count = present.sum(dim=1).clamp(min=1.0).view(-1, 1, 1, 1)
    fine = torch.stack([s.upsampled[0] for s in streams]).sum(dim=0) / count
    coarse = torch.stack([s.upsampled[1] for s in streams]).sum(dim=0) / count
    return fine, coarse


def drop_modalities(present: Tensor, probability: float) -> Tensor:
    """Blank each modality of each sample with ``probability``, always leaving one that was there.

    Args:
        present: N×M, 1 or 0.
        probability: 0 ≤ p < 1.

    Returns:
        N×M of the same dtype. Drawn from the global generator of ``present``'s device.
    """
    kept = present * (torch.rand_like(present) >= probability)
    # One survivor for each sample, drawn among the modalities that were there.
    survivor = (torch.rand_like(present) * present).argmax(dim=1, keepdim=True)
    spared = torch.zeros_like(present).scatter(1, survivor, 1.0) * present
    empty = kept.sum(dim=1, keepdim=True) == 0
    return torch.where(empty, spared, kept)


def constant_gates(present: Tensor | None, encoded: Encoded, modalities: int, *, normalize: bool) -> Tensor:
    """Gates N×M×h×w of a fusion that weighs modalities the same everywhere.

    1 for each modality that is there, or 1/(number there) with ``normalize``.
    """
    batch, _, height, width = encoded.latent.shape
    weights = encoded.latent.new_ones(batch, modalities) if present is None else present
    if normalize:
        weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1.0)
    return weights[:, :, None, None].expand(-1, -1, height, width)
