# SPDX-License-Identifier: Apache-2.0
"""What a backbone is: a chain of stages with taps for the skips."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


class Taps(NamedTuple):
    """Features of one backbone pass.

    Attributes:
        deep: the last stage's output, at 1/``Backbone.stride`` of the input.
        skips: taps in the order the decoder uses them: 1/8 then 1/4; empty for a backbone whose decoder takes none.
    """

    deep: Tensor
    skips: tuple[Tensor, ...]


class Backbone(nn.Module, ABC):
    """Chain of stages from an N×in_channels×H×W image to deep features.

    The chain is open so that a fusion may step in between two stages (FuseNet). Stage ``i`` takes what stage
    ``i − 1`` gave.

    Attributes:
        name: key in the registry, or ``timm/NAME``.
        out_channels: channels of the deep features.
        stride: of the deep features.
        skip_stages: indices of the stages whose outputs are the 1/8 and 1/4 taps; may be empty.
        skip_channels: channels of those taps.
        remark: what a person should know who chose it, or empty.
        first_convolutions: names of the weights that meet the image.
        keeps_initialization: names of parts whose first weights are not drawn anew.
    """

    name: str
    out_channels: int
    stride: ClassVar[int] = 16
    skip_stages: tuple[int, ...]
    skip_channels: tuple[int, ...]
    remark: str = ""
    first_convolutions: tuple[str, ...] = ()
    keeps_initialization: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def stages(self) -> Sequence[Callable[[Tensor], Tensor]]:
        """The stages in order."""

    def merge_branches(self) -> None:  # most have none
        """Compute the same with fewer layers, where training needs branches that inference does not; in evaluation
        mode, for good, under other names of weights."""

    def taps(self, outputs: Sequence[Tensor]) -> Taps:
        """Pick deep features and skips from the outputs of all stages."""
        return Taps(outputs[-1], tuple(outputs[i] for i in self.skip_stages))

    def forward(self, x: Tensor) -> Taps:
        """Deep features and skips of an N×in_channels×H×W image."""
        outputs = []
        for stage in self.stages():
            x = stage(x)
            outputs.append(x)
        return self.taps(outputs)
