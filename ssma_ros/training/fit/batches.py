# SPDX-License-Identifier: Apache-2.0
"""Batches as a pure function of (seed, stage, step): a resumed run sees what an unbroken one would have seen."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.training.fit.augmentation import Augmentation, resize_sample
from ssma_ros.training.fit.config import AugmentationConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract
    from ssma_ros.training.datasets.cache import Sample, Samples
    from ssma_ros.training.fit.config import StageConfig, TrainConfig

_PREFETCH = 2
_MIRROR_ONLY = AugmentationConfig(
    rotation=0, skew=0, scale=(1, 1), crop=(1, 1), brightness=0, contrast=(1, 1), vignette=0
)


class BatchMaker:
    """Draws the training samples of a stage.

    Args:
        config: of the run.
        contract: of the network.
        samples: the training split.
        stage_index: which stage.
        rank, world_size: of this process; each takes every ``world_size``-th sample of a step.
    """

    def __init__(
        self,
        config: TrainConfig,
        contract: Contract,
        samples: Samples,
        stage_index: int,
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._stage: StageConfig = config.stages[stage_index]
        self._seed = (config.seed, stage_index)
        self._samples = samples
        self._slots = range(rank, self._stage.batch_size, world_size)
        self._width = self._stage.width or contract.width
        self._height = self._stage.height or contract.height
        self._contract = contract
        augmentation = config.augmentation if self._stage.augment else _MIRROR_ONLY
        self._shown = max(augmentation.crop)
        self._augmentation = Augmentation(augmentation, contract)

    def samples_of(self, step: int) -> list[Sample]:
        """This process's share of the samples of ``step``."""
        return [self._draw(step * self._stage.batch_size + slot) for slot in self._slots]

    def iterate(self, first_step: int) -> Iterator[list[Sample]]:
        """Samples of the steps from ``first_step`` to the stage's end, made ahead in a thread."""
        with ThreadPoolExecutor(1, thread_name_prefix="augment") as pool:
            waiting: deque[Future[list[Sample]]] = deque()
            for step in range(first_step, self._stage.steps):
                waiting.append(pool.submit(self.samples_of, step))
                if len(waiting) > _PREFETCH:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _draw(self, number: int) -> Sample:
        """The ``number``-th sample of the stage: every epoch is a permutation of its own."""
        epoch, position = divmod(number, len(self._samples))
        index = int(self._permutation(epoch)[position])
        rng = np.random.default_rng([*self._seed, 1, number])
        sample = resize_for(self._samples[index], self._contract, self._width, self._height, self._shown)
        return self._augmentation(sample, self._width, self._height, rng)

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([*self._seed, 0, epoch]).permutation(len(self._samples))


def resize_for(sample: Sample, contract: Contract, width: int, height: int, shown: float = 1.0) -> Sample:
    """Halve a sample before a warp that shrinks it to less than half, which would otherwise alias.

    ``shown`` is the share of its sides that the warp shows: a small window at full size shrinks nothing.
    """
    full_height, full_width = sample.label.shape
    if width * 2 <= full_width * shown and height * 2 <= full_height * shown:
        return resize_sample(sample, contract, full_width // 2, full_height // 2)
    return sample
