# SPDX-License-Identifier: Apache-2.0
"""Parts of a network from trained ones: encoders as in the paper's stage 1 of fusion, and from other data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

from ssma_ros.errors import SsmaError
from ssma_ros.inference.loading import locate_model
from ssma_ros.models import AdapNetPP, load_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from ssma_ros.models.network import SegmentationNetwork


def load_encoders(network: SegmentationNetwork, weights: Mapping[str, str]) -> None:
    """Start the named streams' encoders of ``network`` as those of trained models.

    A network with one encoder for all its streams (Stacking) takes the first named donor's, and for its first
    convolution each stream's own, scaled so that their sum keeps its size; it needs a donor for every stream.

    Args:
        network: of any kind.
        weights: stream name → path of a unimodal model, or ``PATH#STREAM`` for one stream's encoder of a fusion model;
            PATH may be the name of a shipped model.

    Raises:
        SsmaError: unknown stream, a model of several streams without ``#STREAM``, or an encoder of another shape.
    """
    if not weights:
        return
    donors = {}
    for stream, path in weights.items():
        if stream not in network.modalities:
            raise SsmaError(f"training configuration: encoders name stream '{stream}', "
                            f"expected one of {', '.join(network.modalities)}")
        donors[stream] = _donor(path)
    if hasattr(network, "encoders"):
        for stream, donor in donors.items():
            target = cast("nn.ModuleList", network.encoders)[network.modalities.index(stream)]
            _copy(donor.state_dict(), target, f"{weights[stream]}: its encoder does not fit stream '{stream}'")
        return
    if len(donors) < len(network.modalities):
        raise SsmaError(f"training configuration: encoders name {', '.join(donors)}, but {network.name} has one "
                        f"encoder for all its streams; expected {', '.join(network.modalities)}")
    paths = " and ".join(dict.fromkeys(weights.values()))
    joined = _joined([donors[stream].state_dict() for stream in network.modalities])
    _copy(joined, cast("nn.Module", network.encoder), f"{paths}: the encoder does not fit {network.name}")


def _donor(path: str) -> nn.Module:
    """The encoder that ``PATH`` or ``PATH#STREAM`` stands for."""
    place, _, stream = path.partition("#")
    model = load_model(locate_model(place))
    if stream and stream not in model.modalities:
        raise SsmaError(f"weights {place}: no stream '{stream}', expected one of {', '.join(model.modalities)}")
    own = getattr(model, "encoders", None)
    if own is not None and (stream or len(model.modalities) == 1):
        return cast("nn.Module", own[model.modalities.index(stream) if stream else 0])
    if own is None and len(model.modalities) == 1:
        return cast("nn.Module", model.encoder)
    raise SsmaError(f"weights {place}: model of the streams {', '.join(model.modalities)}, expected a unimodal one, "
                    "or one with an encoder for each stream and PATH#STREAM")


def _joined(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The first encoder's weights, its first convolution widened for all streams."""
    joined = dict(states[0])
    if len(states) > 1:
        first = next(key for key, value in joined.items() if value.dim() == 4)
        joined[first] = torch.cat([state[first] for state in states], dim=1) / len(states)
    return joined


def load_experts(network: SegmentationNetwork, experts: Mapping[str, AdapNetPP]) -> tuple[str, ...]:
    """Copy all that ``network`` has in common with the unimodal networks: encoders, and decoders where each stream
    has one of its own.

    Args:
        network: a fusion network.
        experts: stream name → trained network, for every stream.

    Returns:
        Parameters of ``network`` that came from no expert, by name; empty for a fusion without a trained part.

    Raises:
        SsmaError: the network keeps no encoder for each stream, or a part is of another shape.
    """
    encoders = getattr(network, "encoders", None)
    if encoders is None:
        raise SsmaError(f"{network.name}: has no encoder for each stream, so nothing of unimodal networks fits it")
    decoders, trunks = getattr(network, "decoders", None), getattr(network, "trunks", ())
    filled: set[int] = set()
    for index, stream in enumerate(network.modalities):
        expert = experts[stream]
        pairs = [(cast("nn.Module", expert.encoder), encoders[index], "encoder")]
        if decoders is not None:
            pairs.append((cast("nn.Module", expert.decoder), decoders[index], "decoder"))
        elif len(trunks) == len(network.modalities) > 1:
            pairs.append((expert.decoder.trunk, trunks[index], "decoder trunk"))
        for donor, target, what in pairs:
            _copy(donor.state_dict(), target, f"of '{stream}': its {what} does not fit stream '{stream}'")
            filled.update(id(p) for p in target.parameters())
    return tuple(name for name, p in network.named_parameters() if id(p) not in filled)


def _copy(weights: Mapping[str, Any], target: nn.Module, what: str) -> None:
    try:
        target.load_state_dict(weights)
    except RuntimeError as error:
        raise SsmaError(f"weights {what} ({str(error).splitlines()[1].strip()})") from None
