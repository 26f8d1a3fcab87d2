# SPDX-License-Identifier: Apache-2.0
"""The authors' TensorFlow checkpoints as networks of this package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ssma_ros.contract import Contract, Stream
from ssma_ros.encodings.table import ENCODINGS
from ssma_ros.errors import SsmaError
from ssma_ros.models.adapnetpp import AdapNetPP
from ssma_ros.models.network import SIZE_MULTIPLE, SegmentationNetwork
from ssma_ros.models.ssma import SSMA
from ssma_ros.models.tensorflow.checkpoint import read_checkpoint
from ssma_ros.models.tensorflow.names import (
    SCOPE,
    adapnetpp_names,
    is_training_only,
    plain_name,
    ssma_names,
    to_torch,
)
from ssma_ros.models.weights import assign

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.labels import LabelSet

_SHOWN = 3
_CLASSIFIER = "conv5/weights"
_AUXILIARY = f"{SCOPE}conv911/weights"
_STEM = f"{SCOPE}conv1/weights"


@dataclass(frozen=True)
class Imported:
    """Result of an import.

    Attributes:
        network: in evaluation mode, with its contract.
        contract: the same contract.
        used: number of variables that went into the network.
        training_only: optimiser slots and counters that were left out.
        unused: names of other variables that no part of the network takes.
    """

    network: SegmentationNetwork
    contract: Contract
    used: int
    training_only: int
    unused: tuple[str, ...]


def import_checkpoint(
    path: str | Path,
    labels: LabelSet,
    *,
    encodings: Sequence[str] | None = None,
    width: int = 768,
    height: int = 384,
) -> Imported:
    """Read a released AdapNet++ or SSMA checkpoint; which one it is shows in its variable names.

    Args:
        path: prefix, folder or zip, see :func:`ssma_ros.models.tensorflow.checkpoint.read_checkpoint`.
        labels: the classes it was trained on, void included.
        encodings: how each input is made, names of the table of encodings; default ``bgr``, and ``hha`` for
            the second stream.
        width, height: of the contract, multiples of 16.

    Raises:
        SsmaError: not a checkpoint, not one of these networks, a missing or misshapen variable, another number of
            classes than ``labels`` has, or encodings or a size that do not fit.
    """
    where = f"TensorFlow checkpoint {path}"
    if width <= 0 or height <= 0 or width % SIZE_MULTIPLE or height % SIZE_MULTIPLE:
        raise SsmaError(f"{where}: size is {width}x{height}, expected positive multiples of {SIZE_MULTIPLE}")
    raw = read_checkpoint(path)
    variables = {plain_name(name): value for name, value in raw.items() if not is_training_only(name)}
    streams = _streams(variables, where)
    _check_classes(variables, labels, where)
    network: SegmentationNetwork
    modalities = _modalities(encodings, max(len(streams), 1), where)
    if streams:
        network, names = SSMA(tuple(modalities), labels.num_classes), ssma_names(streams)
    else:
        heads = _AUXILIARY in variables
        network = AdapNetPP(labels.num_classes, tuple(modalities), auxiliary_heads=heads)
        names = adapnetpp_names(auxiliary_heads=heads)
    _fill(network, names, variables, where)
    network.contract = Contract(
        width=width,
        height=height,
        streams=tuple(
            Stream(name, encoding, parameters=_PARAMETERS.get(encoding, {})) for name, encoding in modalities.items()
        ),
        labels=labels,
        network=network.describe(),
        description=f"{network.name} imported from a TensorFlow checkpoint of the authors.",
    )
    unused = tuple(name for name in variables if name not in set(names.values()))
    return Imported(network.eval(), network.contract, len(names), len(raw) - len(variables), unused)


def _streams(variables: Mapping[str, object], where: str) -> tuple[str, ...]:
    """Scopes of SSMA's encoders, colour first; empty for a unimodal network."""
    scopes = sorted(
        (name.removesuffix(f"/{_STEM}") for name in variables if name.endswith(f"/{_STEM}")),
        key=lambda scope: (scope != "rgb", scope),
    )
    if len(scopes) >= 2 and "conv511/weights" in variables:
        return tuple(scopes)
    if _STEM in variables and SCOPE + _CLASSIFIER in variables:
        return ()
    if _STEM in variables:
        raise SsmaError(
            f"{where}: holds an encoder but no decoder ({SCOPE}{_CLASSIFIER} is missing), "
            "expected a whole AdapNet++ or SSMA network"
        )
    shown = ", ".join(list(variables)[:_SHOWN]) or "nothing"
    raise SsmaError(f"{where}: holds {shown}, … and no AdapNet++ or SSMA network of the authors")


def _check_classes(variables: Mapping[str, NDArray[np.generic]], labels: LabelSet, where: str) -> None:
    kernel = variables.get(_CLASSIFIER, variables.get(SCOPE + _CLASSIFIER))
    if kernel is not None and kernel.shape[-1:] != (labels.num_classes,):
        raise SsmaError(
            f"{where}: the network tells {kernel.shape[-1] if kernel.ndim else 0} classes apart, "
            f"expected {labels.num_classes} as label set '{labels.name}' has (void included)"
        )


#: What the authors' programs fed their networks where it is not what an encoding does by itself: filled depth, its
#: millimetres / 7000 over the whole colour map.
_PARAMETERS: Mapping[str, Mapping[str, Any]] = {"depth_jet": {"near": 0.0, "far": 7.0}}


def _modalities(encodings: Sequence[str] | None, count: int, where: str) -> dict[str, str]:
    """Stream name → encoding."""
    if encodings is None:
        encodings = ("bgr", "hha")[:count]
    if len(encodings) != count:
        raise SsmaError(f"{where}: {len(encodings)} encodings ({', '.join(encodings)}), expected {count}")
    unknown = [e for e in encodings if e not in ENCODINGS]
    if unknown:
        raise SsmaError(f"{where}: encoding is '{unknown[0]}', expected one of {', '.join(ENCODINGS)}")
    modalities = {"rgb" if e in ("bgr", "rgb") else e: e for e in encodings}
    if len(modalities) != count:
        raise SsmaError(f"{where}: encodings are {', '.join(encodings)}, expected different ones")
    return modalities


def _fill(
    network: SegmentationNetwork, names: Mapping[str, str], variables: Mapping[str, NDArray[np.generic]], where: str
) -> None:
    missing = [name for name in names.values() if name not in variables]
    if missing:
        raise SsmaError(f"{where}: {_some(missing)} missing, expected every variable of the released {network.name}")
    state = network.state_dict()
    arrays = to_torch(names, variables)
    wrong = [
        f"{names[ours]} is {value.shape}, expected {tuple(state[ours].shape)} (in PyTorch's order)"
        for ours, value in arrays.items()
        if value.shape != tuple(state[ours].shape)
    ]
    wrong += [f"{names[ours]} is {v.dtype}, expected floats" for ours, v in arrays.items() if v.dtype.kind != "f"]
    if wrong:
        raise SsmaError(f"{where}: {_some(wrong)}")
    assign(network, {ours: torch.from_numpy(value.astype(np.float32)) for ours, value in arrays.items()}, where)


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return "; ".join(items[:_SHOWN]) + more
