# SPDX-License-Identifier: Apache-2.0
"""The frames that are worth a label: those of which a network is unsure, and those unlike all others.

A frame's feature is what the network makes of it: the probabilities of its classes over a coarse grid. Between two
frames lies the Hellinger distance of these, from 0 (the same classes in the same places) to 1. Frames are chosen one by
one, the next being the farthest from all that are chosen: the core-set of Sener and Savarese (2018), weighed by how
unsure the network is (entropy of its classes, as in active learning since Lewis and Gale, 1994).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from ssma_ros.extraction.recipe import SequenceResult
from ssma_ros.extraction.sequence import OpenRecording, usable_frames
from ssma_ros.segmenter import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ssma_ros.extraction.recipe import Job, Part

By = Literal["both", "different", "uncertain"]
#: Columns and rows of the grid.
_GRID = (8, 6)
#: Two frames nearer than this are as good as one.
NEAR_DUPLICATE = 0.05
#: Weight of a frame of which the network is wholly sure, beside 1 for one of which it knows nothing.
_SURE = 0.05


@dataclass(frozen=True)
class Choice:
    """How many frames are taken, and by whose judgement.

    Attributes:
        count: of frames, over all recordings that are looked at.
        by: the most uncertain, the most different, or both in one.
        network: arguments of :func:`ssma_ros.segmenter.load`.
    """

    count: int
    by: By = "both"
    network: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Looked:
    """What a network makes of the candidates of a part.

    Attributes:
        part: whose.
        indices: of the frames.
        features: N×D float32, Euclidean distances of which are Hellinger distances.
        unsure: N, mean entropy of the pixels' classes, 0 to 1.
    """

    part: Part
    indices: tuple[int, ...]
    features: NDArray[np.float32]
    unsure: NDArray[np.float32]


@dataclass(frozen=True)
class LookJob:
    """A recording to look at with a network."""

    job: Job
    choice: Choice


def look(work: LookJob) -> list[Looked]:
    """Segment the frames that the recipe would take of a recording.

    Raises:
        SsmaError: a recording or network that cannot be used.
    """
    found = []
    with OpenRecording(work.job) as recording, load(**work.choice.network) as segment:
        for part in work.job.parts:
            result = SequenceResult(part)
            wanted = recording.chooser.choose(part, result)
            indices, features, unsure = [], [], []
            for recorded in usable_frames(recording.frames, wanted, work.job.recipe, result):
                segment.reset()
                seen = segment(recorded.frame, ("mask", "confidence", "probabilities")).probabilities
                assert seen is not None, "they were asked for"
                indices.append(recorded.index)
                features.append(feature_of(seen))
                unsure.append(entropy_of(seen))
            shape = (len(indices), segment.labels.num_classes * _GRID[0] * _GRID[1])
            found.append(Looked(part, tuple(indices), np.array(features, np.float32).reshape(shape),
                                np.array(unsure, np.float32)))
    return found


def feature_of(probabilities: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The feature of a frame of C×H×W probabilities × 255."""
    pooled = np.stack([cv2.resize(p.astype(np.float32), _GRID, interpolation=cv2.INTER_AREA) for p in probabilities])
    shares = pooled / np.maximum(pooled.sum(axis=0, keepdims=True), 1e-6)
    cells = _GRID[0] * _GRID[1]
    return np.asarray(np.sqrt(shares / (2 * cells)), np.float32).ravel()


def entropy_of(probabilities: NDArray[np.uint8]) -> float:
    """Mean entropy of C×H×W probabilities × 255, 1 where every class is as probable as the others."""
    shares = probabilities.astype(np.float32)
    shares /= np.maximum(shares.sum(axis=0, keepdims=True), 1e-6)
    entropy = -(shares * np.log(np.maximum(shares, 1e-9))).sum(axis=0)
    return float(entropy.mean() / np.log(max(2, len(shares))))


def choose(features: NDArray[np.float32], unsure: NDArray[np.float32], count: int, by: By = "both") -> list[int]:
    """The frames to take, the most wanted first.

    Args:
        features: N×D.
        unsure: N.
        count: how many at most; near-duplicates of chosen frames are never taken.
        by: what makes a frame wanted.
    """
    weights = np.ones(len(unsure)) if by == "different" else unsure + _SURE
    nearest = np.full(len(unsure), np.inf)
    chosen: list[int] = []
    while len(chosen) < min(count, len(unsure)):
        far = np.minimum(nearest, 1.0) if by != "uncertain" else np.ones(len(unsure))
        wanted = np.where(nearest >= NEAR_DUPLICATE, far * weights, -1.0)
        # Of the first, whose distance says nothing, the most uncertain whatever is asked for.
        best = int(np.argmax(unsure if not chosen else wanted))
        if chosen and wanted[best] < 0:
            break
        chosen.append(best)
        nearest = np.minimum(nearest, np.linalg.norm(features - features[best], axis=1))
    return chosen


def chosen_jobs(jobs: Sequence[Job], looked: Sequence[Sequence[Looked]], choice: Choice) -> list[Job]:
    """The jobs with the frames to take: from each split its share of the count, so that none is emptied.

    Args:
        jobs: that were looked at.
        looked: parts of each.
        choice: how many, and by what.
    """
    parts = [each for of_job in looked for each in of_job]
    total = sum(len(each.indices) for each in parts)
    wanted: dict[str, list[int]] = {each.part.sequence: [] for each in parts}
    for split in dict.fromkeys(each.part.split for each in parts):
        of_split = [each for each in parts if each.part.split == split and each.indices]
        if not of_split:
            continue
        places = [(each.part.sequence, index) for each in of_split for index in each.indices]
        share = max(1, round(choice.count * len(places) / total))
        features = np.concatenate([each.features for each in of_split])
        for place in choose(features, np.concatenate([each.unsure for each in of_split]), share, choice.by):
            sequence, index = places[place]
            wanted[sequence].append(index)
    return [replace(job, parts=tuple(replace(part, wanted=tuple(sorted(wanted[part.sequence]))) for part in job.parts))
            for job in jobs]
