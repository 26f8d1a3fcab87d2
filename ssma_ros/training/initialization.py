"""Encoders of a fusion network from trained unimodal networks (the paper's stage 1 of fusion)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError
from ssma_ros.models import load_model

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        try:
            encoders[network.modalities.index(stream)].load_state_dict(donor.state_dict())
        except RuntimeError as error:
            raise SsmaError(f"weights {path}: its encoder does not fit stream '{stream}' "
                            f"({str(error).splitlines()[1].strip()})") from None
