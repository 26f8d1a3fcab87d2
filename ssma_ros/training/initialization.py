"""Parts of a fusion network from trained unimodal networks (the paper's stage 1 of fusion)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ssma_ros.errors import SsmaError
from ssma_ros.models import AdapNetPP, load_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from ssma_ros.models.network import SegmentationNetwork


def load_encoders(network: SegmentationNetwork, weights: Mapping[str, str]) -> None:
    """Copy the encoder of a one-stream model into each named stream's encoder of ``network``.

    Args:
        network: a fusion network.
        weights: stream name → path of a unimodal model.

    Raises:
        SsmaError: unknown stream, a model of several streams, or an encoder of another shape.
    """
    if not weights:
        return
    encoders = getattr(network, "encoders", None)
    if encoders is None:
        raise SsmaError(f"training configuration: encoders are given, but {type(network).__name__} has none of its own")
    for stream, path in weights.items():
        if stream not in network.modalities:
            raise SsmaError(f"training configuration: encoders name stream '{stream}', "
                            f"expected one of {', '.join(network.modalities)}")
        source = load_model(path)
        own = getattr(source, "encoders", None)
        donor = getattr(source, "encoder", None) if own is None else own[0]
        if donor is None or len(source.modalities) != 1:
            raise SsmaError(f"weights {path}: model of the streams {', '.join(source.modalities)}, "
                            "expected a unimodal one")
        _copy(donor, encoders[network.modalities.index(stream)], stream, f"{path}: its encoder")


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
            _copy(donor, target, stream, f"of '{stream}': its {what}")
            filled.update(id(p) for p in target.parameters())
    return tuple(name for name, p in network.named_parameters() if id(p) not in filled)


def _copy(donor: nn.Module, target: nn.Module, stream: str, where: str) -> None:
    try:
        target.load_state_dict(donor.state_dict())
    except RuntimeError as error:
        raise SsmaError(f"weights {where} does not fit stream '{stream}' "
                        f"({str(error).splitlines()[1].strip()})") from None
