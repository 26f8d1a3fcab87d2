# SPDX-License-Identifier: Apache-2.0
"""One YAML file describes a pruning; this module reads it into typed, checked dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ssma_ros.documents import load_yaml, read
from ssma_ros.errors import SsmaError
from ssma_ros.options import option
from ssma_ros.training.fit.config import StageConfig

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class PruneStage:
    """Feature maps are taken out, then the network is trained on."""

    reduce: float = option(
        text="Share of the whole network's cost (see `measure`) that is gone after this stage.", above=0, high=0.95
    )
    fit: tuple[StageConfig, ...] = option((), "Stretches of training that follow; none: nothing is trained.")


@dataclass(frozen=True)
class PruneConfig:
    """A whole pruning."""

    stages: tuple[PruneStage, ...] = option(text="One after the other, each with a larger `reduce`.")
    measure: Literal["macs", "parameters"] = option("macs", "The cost that `reduce` is a share of.")
    criterion: Literal["taylor", "l1"] = option(
        "taylor", "How maps are ranked: gradient × activation over training data, or the sum of a filter's magnitudes."
    )
    shortcuts: bool = option(
        True, "The last convolution of a residual unit loses maps too, masked before the addition; false: maps that "
        "are added to a shortcut stay.",
    )
    samples: int = option(100, "Training samples that the ranking looks at in each stage.", low=1)
    least: int = option(4, "Maps that every layer keeps (all of a layer that has fewer).", low=1)
    multiple: int = option(
        1, "What a layer keeps is rounded up to a multiple of this, for processors that work on 8 or 16 at once.", low=1
    )
    seconds: float = option(3.0, "How long each network's time of a frame is measured; 0 = not.", low=0)
    training: str = option(
        "", "Training configuration that tells data and losses, for a model whose own run is not at hand; a relative "
        "path counts from the working directory.",
    )


def load_prune_config(path: str | Path) -> PruneConfig:
    """Read a pruning's configuration.

    Raises:
        SsmaError: the file is missing or not YAML, a key is unknown, missing, of the wrong kind or out of range, or the
            stages do not take out more and more.
    """
    where = f"pruning configuration {path}"
    config = read(PruneConfig, load_yaml(path, "pruning configuration"), where)
    shares = [stage.reduce for stage in config.stages]
    if not shares or shares != sorted(set(shares)):
        raise SsmaError(f"{where}: reduce of the stages is {shares}, expected one or more rising numbers")
    return config
