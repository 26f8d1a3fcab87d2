# SPDX-License-Identifier: Apache-2.0
"""A fusion network put together from trained unimodal networks, without training."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from ssma_ros.errors import SsmaError
from ssma_ros.models import NETWORKS, AdapNetPP, LateFusion, build_network, load_model
from ssma_ros.training.fit.initialization import load_experts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ssma_ros.contract import Contract, Stream
    from ssma_ros.models.network import SegmentationNetwork


def assemble(
    name: str, members: Mapping[str, str | Path], *, seed: int = 1
) -> tuple[SegmentationNetwork, Contract, tuple[str, ...]]:
    """Build the fusion ``name`` from one AdapNet++ a stream.

    All members must agree on size, labels and network options. Encoders are copied, and decoders where the fusion
    has one for each stream. What is left is drawn at random; only the merging convolution of LateFusion starts as the
    mean of the experts' logits. The members' calibrations are dropped: the fused logits want their own.

    Args:
        name: key of :data:`ssma_ros.models.NETWORKS`, in any case of letters.
        members: stream name → model folder or .safetensors file, in the order that the streams shall have.
        seed: of the parameters that no member has.

    Returns:
        The network in evaluation mode, its contract, and the names of the parameters that are not trained yet:
        empty for Average and Maximum.

    Raises:
        SsmaError: unknown fusion, too few members, or members that are not unimodal AdapNet++ or do not fit together.
    """
    kind = _find_network(name)
    if len(members) < 2:
        raise SsmaError(f"assemble: {len(members)} unimodal models, expected two or more to fuse")
    experts = {stream: _load_expert(path) for stream, path in members.items()}
    first = next(iter(experts))
    for stream, expert in experts.items():
        _check_agreement(experts[first], expert, first, stream)
    streams = tuple(_stream_of(expert, stream) for stream, expert in experts.items())
    description = {**experts[first].describe(), "name": kind, "modalities": list(experts)}
    torch.manual_seed(seed)
    network = build_network(description, experts[first].num_classes)
    missing = load_experts(network, experts)
    if isinstance(network, LateFusion):
        _start_at_mean(network)
    contract = replace(
        _contract_of(experts[first]), streams=streams, network=network.describe(), temperature=1.0, vector_scaling=None,
        description=f"{kind} of {', '.join(experts)}, assembled from unimodal networks",
    )
    network.contract = contract
    return network.eval(), contract, missing


def _find_network(name: str) -> str:
    fusions = {key.lower(): key for key in NETWORKS if key != AdapNetPP.name}
    if name.lower() not in fusions:
        raise SsmaError(f"assemble: network is '{name}', expected one of {', '.join(fusions.values())}")
    return fusions[name.lower()]


def _load_expert(path: str | Path) -> AdapNetPP:
    network = load_model(path)
    if not isinstance(network, AdapNetPP):
        raise SsmaError(f"model {path}: is {network.name} of {', '.join(network.modalities)}, "
                        "expected an AdapNetPP of one stream")
    return network


def _contract_of(network: SegmentationNetwork) -> Contract:
    assert network.contract is not None  # load_model sets it
    return network.contract


def _stream_of(expert: AdapNetPP, name: str) -> Stream:
    return replace(_contract_of(expert).streams[0], name=name)


def _check_agreement(first: AdapNetPP, other: AdapNetPP, first_stream: str, stream: str) -> None:
    """Size, labels and options of both are the same."""
    ours, theirs = _contract_of(first), _contract_of(other)
    if (ours.width, ours.height) != (theirs.width, theirs.height):
        raise SsmaError(f"assemble: the model of '{stream}' takes {theirs.width}x{theirs.height}, "
                        f"expected {ours.width}x{ours.height} as that of '{first_stream}'")
    if ours.labels != theirs.labels:
        raise SsmaError(f"assemble: the model of '{stream}' has the label set '{theirs.labels.name}', "
                        f"expected '{ours.labels.name}' as that of '{first_stream}', with the same classes")
    expected, found = first.options.to_document(), other.options.to_document()
    different = [key for key in expected if expected[key] != found[key]]
    if different:
        key = different[0]
        raise SsmaError(f"assemble: the model of '{stream}' has {key} {found[key]}, "
                        f"expected {expected[key]} as that of '{first_stream}'")


def _start_at_mean(network: LateFusion) -> None:
    """The merging convolution as the mean of the experts' logits: right from the first step, and free to leave it."""
    count = len(network.modalities)
    with torch.no_grad():
        network.merge.weight.copy_(torch.eye(network.num_classes).repeat(1, count)[:, :, None, None] / count)
        assert network.merge.bias is not None
        network.merge.bias.zero_()
