# SPDX-License-Identifier: Apache-2.0
"""Which feature maps go: the lowest in rank, until the network costs what it may."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ssma_ros.models.pruning.channels import Channels


def select(
    channels: Channels,
    scores: NDArray[np.float64],
    cost: Callable[[NDArray[np.bool_]], int],
    allowed: float,
    *,
    least: int = 1,
    multiple: int = 1,
    shortcuts: bool = True,
) -> set[int]:
    """Numbers of the maps to take out.

    Args:
        channels: of the network.
        scores: of each of ``channels.maps``; the lowest go first.
        cost: of a network by which of its maps are alive, as :meth:`Channels.macs`.
        allowed: the cost shall be at most this; as few maps go as bring it there.
        least: each layer keeps at least so many of its maps, or all where it has fewer.
        multiple: what it keeps is rounded up to a multiple of this, where it has so many.
        shortcuts: maps may go that are added to a shortcut.

    Returns:
        Numbers of maps; where even all that may go leave more than ``allowed``, all of them.
    """
    ranks = _ranks(channels, scores)
    candidates = [i for i in np.argsort(scores, kind="stable") if shortcuts or not channels.maps[i].end]
    sizes = {path: len(layer.made) for path, layer in channels.layers.items()}

    def dead(count: int) -> set[int]:
        gone: dict[str, list[int]] = {}
        for i in candidates[:count]:
            gone.setdefault(channels.maps[i].layer, []).append(i)
        numbers: set[int] = set()
        for layer, members in gone.items():
            stay = max(sizes[layer] - len(members), least)
            stay = min(-(-stay // multiple) * multiple, sizes[layer])
            for i in sorted(members, key=ranks.__getitem__)[: sizes[layer] - stay]:
                numbers.update(channels.maps[i].ids)
        return numbers

    low, high = 0, len(candidates)
    while low < high:  # the fewest that are enough
        middle = (low + high) // 2
        if cost(channels.alive(dead(middle))) <= allowed:
            high = middle
        else:
            low = middle + 1
    return dead(low)


def _ranks(channels: Channels, scores: NDArray[np.float64]) -> NDArray[np.int64]:
    ranks = np.empty(len(channels.maps), np.int64)
    ranks[np.argsort(scores, kind="stable")] = np.arange(len(channels.maps))
    return ranks
