# SPDX-License-Identifier: Apache-2.0
"""Labelled data sets: one class a layout, all giving frames and train-id labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError
from ssma_ros.training.datasets.base import FrameDataset
from ssma_ros.training.datasets.cityscapes import CityscapesDataset
from ssma_ros.training.datasets.folder import FolderDataset
from ssma_ros.training.datasets.freiburg_forest import FreiburgForestDataset
from ssma_ros.training.datasets.scannet import ScanNetDataset
from ssma_ros.training.datasets.sunrgbd import SunRgbdDataset
from ssma_ros.training.datasets.synthia import SynthiaRandDataset, SynthiaSequencesDataset

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ssma_ros.labels import LabelSet

#: Every data set by the name that a configuration gives it.
DATASETS: Mapping[str, type[FrameDataset]] = {
    "folder": FolderDataset,
    "freiburg_forest": FreiburgForestDataset,
    "cityscapes": CityscapesDataset,
    "synthia_rand": SynthiaRandDataset,
    "synthia_sequences": SynthiaSequencesDataset,
    "sunrgbd": SunRgbdDataset,
    "scannet": ScanNetDataset,
}


def open_dataset(
    kind: str, root: str | Path, split: str, labels: LabelSet, options: Mapping[str, Any] | None = None
) -> FrameDataset:
    """A split of a data set.

    Raises:
        SsmaError: unknown kind or option, or the folder is not laid out as it should be.
    """
    if kind not in DATASETS:
        raise SsmaError(f"data set kind is '{kind}', expected one of {', '.join(DATASETS)}")
    try:
        return DATASETS[kind](root, split, labels, **(options or {}))
    except TypeError as error:
        raise SsmaError(f"data set kind '{kind}': options {dict(options or {})} do not fit ({error})") from None


__all__ = ["DATASETS", "FrameDataset", "open_dataset"]
