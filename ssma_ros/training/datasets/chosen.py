# SPDX-License-Identifier: Apache-2.0
"""Some of a split's samples: fewer to train on, and some that are held out of training."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ssma_ros.training.datasets.cache import Sample, Samples

#: Draws what is held out, whatever the seed of the run: all runs are judged by the same samples.
_HELD_OUT_SEED = 20


class ChosenSamples:
    """The samples at ``indices`` of ``samples``, in that order."""

    def __init__(self, samples: Samples, indices: Sequence[int]) -> None:
        self._samples = samples
        self._indices = list(indices)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[self._indices[index]]

    def name(self, index: int) -> str:
        """Name of a sample."""
        return self._samples.name(self._indices[index])

    def group(self, index: int) -> str | None:
        """Group of a sample."""
        return self._samples.group(self._indices[index])

    def blank(self, index: int) -> Mapping[str, str]:
        """Streams that a sample lacks, each with the reason."""
        return self._samples.blank(self._indices[index])

    @property
    def digest(self) -> str:
        """Of the data and the choice."""
        return hashlib.sha256(f"{self._samples.digest} {self._indices}".encode()).hexdigest()


def divide(count: int, held_out: int, most: int, seed: int, where: str) -> tuple[list[int], list[int]]:
    """Which of ``count`` samples are trained on and which are held out, both in ascending order.

    Args:
        count: of the split.
        held_out: how many are held out, the same ones for every ``most`` and ``seed``.
        most: how many of the others are trained on, 0 = all; of one seed fewer are among more.
        seed: of the draw.
        where: begins the message.

    Raises:
        SsmaError: none is left to train on, or fewer than ``most``.
    """
    order = np.random.default_rng(_HELD_OUT_SEED).permutation(count)
    left = order[held_out:]
    if len(left) < max(most, 1):
        raise SsmaError(f"{where}: has {count} samples, expected at least {held_out + max(most, 1)} (held_out: "
                        f"{held_out}, samples: {most})")
    chosen = np.random.default_rng([_HELD_OUT_SEED, seed]).permutation(left)[: most or None]
    return sorted(int(i) for i in chosen), sorted(int(i) for i in order[:held_out])
