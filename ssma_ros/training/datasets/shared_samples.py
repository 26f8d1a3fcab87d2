# SPDX-License-Identifier: Apache-2.0
"""Samples for several networks at once: every distinct input is encoded once and shared."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError
from ssma_ros.inputs.encoded import completion_of
from ssma_ros.training.datasets.cache import Sample
from ssma_ros.training.datasets.survey import refuse_blank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ssma_ros.contract import Contract, Stream
    from ssma_ros.training.datasets.cache import Samples


class SharedSamples:
    """Random access to samples as each of several contracts wants them.

    Args:
        contracts: all with the same classes.
        open_samples: opens the data for one contract.

    Raises:
        SsmaError: the contracts' classes differ, or the data cannot be opened.
    """

    def __init__(self, contracts: Sequence[Contract], open_samples: Callable[[Contract], Samples]) -> None:
        _check_labels(contracts)
        joint, self._views = join_contracts(contracts)
        self._joint = joint
        self._parts = [open_samples(contract) for contract in joint]

    def __len__(self) -> int:
        return len(self._parts[0])

    def name(self, index: int) -> str:
        """Name of a sample."""
        return self._parts[0].name(index)

    def group(self, index: int) -> str | None:
        """Group of a sample, for example the condition it was taken under; None where the data tells none."""
        return self._parts[0].group(index)

    def refuse_blank(self, indices: Sequence[int], where: str) -> None:
        """See :func:`ssma_ros.training.datasets.survey.refuse_blank`."""
        for part, contract in zip(self._parts, self._joint, strict=True):
            refuse_blank(part, contract.streams, indices, where)

    def __getitem__(self, index: int) -> list[Sample]:
        """The sample for each contract, in their order."""
        encoded = [part[index] for part in self._parts]
        return [
            Sample(
                images=tuple(encoded[part].images[i] for i in streams),
                present=tuple(encoded[part].present[i] for i in streams),
                label=encoded[part].label,
            )
            for part, streams in self._views
        ]


def join_contracts(contracts: Sequence[Contract]) -> tuple[list[Contract], list[tuple[int, tuple[int, ...]]]]:
    """Few contracts that hold every stream of all the given ones.

    One with more streams comes first and keeps its streams' names and order, so that a cache made for it is found.

    Returns:
        The joint contracts, and for each given one the index of its joint contract and those of its streams there.
    """
    joint: list[Contract] = []
    views: dict[int, tuple[int, tuple[int, ...]]] = {}
    for index in sorted(range(len(contracts)), key=lambda i: -len(contracts[i].streams)):
        contract = contracts[index]
        for place, candidate in enumerate(joint):
            merged = _merged(candidate, contract)
            if merged is not None:
                joint[place] = merged
                break
        else:
            place = len(joint)
            joint.append(contract)
        keys = [_key(stream) for stream in joint[place].streams]
        views[index] = (place, tuple(keys.index(_key(stream)) for stream in contract.streams))
    return joint, [views[index] for index in range(len(contracts))]


def _merged(joint: Contract, other: Contract) -> Contract | None:
    """``joint`` with the streams of ``other`` that it lacks; None if the two cannot be encoded together."""
    if (joint.width, joint.height) != (other.width, other.height):
        return None
    streams = list(joint.streams)
    keys = {_key(stream) for stream in streams}
    for stream in other.streams:
        if _key(stream) not in keys:
            streams.append(replace(stream, name=_free_name(stream.name, [s.name for s in streams])))
    merged = replace(joint, streams=tuple(streams))
    try:
        completion_of(merged)  # one encoder completes depth in one way only
    except SsmaError:
        return None
    return merged


def _key(stream: Stream) -> str:
    """What decides the image; mean and scale are the network's own business."""
    return json.dumps([stream.encoding, dict(stream.parameters)], sort_keys=True)


def _free_name(name: str, taken: Sequence[str]) -> str:
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def _check_labels(contracts: Sequence[Contract]) -> None:
    first = contracts[0].labels
    for contract in contracts[1:]:
        other = contract.labels
        if (other.names, other.ignore_id, other.void_class) != (first.names, first.ignore_id, first.void_class):
            raise SsmaError(f"evaluation: one model has the classes {', '.join(other.names)}, "
                            f"expected {', '.join(first.names)} as the first has")
