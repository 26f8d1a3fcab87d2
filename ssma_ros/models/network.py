# SPDX-License-Identifier: Apache-2.0
"""What all networks share: the forward call, input checks, their description."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from torch import nn

from ssma_ros.models.layers import initialize
from ssma_ros.models.options import make_options
from ssma_ros.models.presence import drop_modalities, present_mask
from ssma_ros.models.pruning.shrink import keep_maps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ssma_ros.contract import Contract
    from ssma_ros.models.options import Options

#: Height and width of every input are multiples of this.
SIZE_MULTIPLE = 16


class Output(NamedTuple):
    """What a network computes, before :meth:`SegmentationNetwork.forward` sorts out what was asked for.

    Attributes:
        logits: N×C×H×W.
        auxiliary: auxiliary logits N×C×H×W, the 1/4 head first, then the 1/8 head; empty when not wanted.
        gates: N×M×h×w weight of each modality, 0 where it is blank, or None when not wanted.
        shares: N×M×h×w share of each modality in what is decoded; None where the gates say it.
    """

    logits: Tensor
    auxiliary: tuple[Tensor, ...]
    gates: Tensor | None
    shares: Tensor | None = None


class SegmentationNetwork(nn.Module, ABC):
    """A network from one image for each modality to class logits.

    Args:
        modalities: names of the inputs, in order.
        num_classes: output channels.
        variant: starting options, ``released`` or ``paper``.
        preset: name of a whole set of options; replaces ``variant``.
        **options: fields of :class:`ssma_ros.models.options.Options` that differ from them.

    Attributes:
        contract: the input contract it was loaded with, or None.
        options: all options, resolved.

    Raises:
        ValueError: no or repeated modalities, no classes, an option out of range.
        TypeError: unknown option.
    """

    name: ClassVar[str]
    #: ``_segment`` takes ``shares`` and gives them; else they follow from the gates.
    weighs_parts: ClassVar[bool] = False

    def __init__(
        self,
        modalities: Sequence[str],
        num_classes: int,
        *,
        variant: str = "released",
        preset: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.modalities = tuple(modalities)
        if not self.modalities or len(set(self.modalities)) != len(self.modalities):
            raise ValueError(f"{self.name}: modalities are {self.modalities}, expected one or more distinct names")
        if num_classes < 1:
            raise ValueError(f"{self.name}: num_classes is {num_classes}, expected at least 1")
        self.num_classes = num_classes
        self.options = self._resolve(make_options(variant, preset, **options))
        self.contract: Contract | None = None
        self._build(self.options)
        initialize(self)
        if self.options.kept:
            keep_maps(self, self.options.kept)

    def _resolve(self, options: Options) -> Options:
        """Last word of a subclass on its options."""
        return options

    @abstractmethod
    def _build(self, options: Options) -> None:
        """Create the submodules."""

    @abstractmethod
    def _segment(self, images: Sequence[Tensor], present: Tensor | None, *, gates: bool) -> Output:
        """Run the network on checked inputs; auxiliary logits only in training."""

    def forward(
        self, *images: Tensor, present: Tensor | None = None, return_gates: bool = False, return_shares: bool = False
    ) -> Any:
        """Segment a batch.

        Args:
            *images: for each modality, in order, N×3×H×W float; H and W multiples of 16. Normalised as the
                contract says; the released variant takes raw BGR 0..255 and normalises by itself.
            present: N×M float, 1 where the sample has the modality and 0 where it is blank; None = all present.
            return_gates: also give N×M×h×w gates: the mean weight of each modality at the latent features.
            return_shares: also give N×M×h×w shares: how much of the fused features each modality makes up, 1 in sum,
                see :func:`ssma_ros.models.fusion.shares_of`. Of networks that fuse nothing the gates over their sum.

        Returns:
            In evaluation logits N×C×H×W, or (logits, gates, shares) as far as they are wanted. In training auxiliary
            comes second, a tuple of N×C×H×W logits (1/4 head, 1/8 head) or ().

        Raises:
            ValueError: wrong number of images, or a shape that does not fit.
        """
        self._check(images)
        mask = present_mask(present, images[0], len(self.modalities))
        if self.training and self.options.modality_dropout > 0.0:
            everything = images[0].new_ones(images[0].shape[0], len(self.modalities))
            mask = drop_modalities(everything if mask is None else mask, self.options.modality_dropout)
        if return_shares and self.weighs_parts:
            output = self._segment(images, mask, gates=return_gates, shares=True)  # type: ignore[call-arg]
        else:
            output = self._segment(images, mask, gates=return_gates or return_shares)
        wanted: tuple[Any, ...] = (output.logits,)
        if self.training:
            wanted += (output.auxiliary,)
        if return_gates:
            wanted += (output.gates,)
        if return_shares:
            wanted += (_over_their_sum(output.gates) if output.shares is None else output.shares,)
        return wanted if len(wanted) > 1 else wanted[0]

    def describe(self) -> dict[str, Any]:
        """The contract's ``network`` entry: name, modalities and every option, JSON-ready."""
        return {"name": self.name, "modalities": list(self.modalities), **self.options.to_document()}

    def _check(self, images: Sequence[Tensor]) -> None:
        if len(images) != len(self.modalities):
            raise ValueError(
                f"{self.name}: {len(images)} images, expected {len(self.modalities)} ({', '.join(self.modalities)})"
            )
        for modality, image in zip(self.modalities, images, strict=True):
            shape = tuple(image.shape)
            if len(shape) != 4 or shape[1] != 3 or shape[2] % SIZE_MULTIPLE or shape[3] % SIZE_MULTIPLE:
                raise ValueError(
                    f"{self.name}: image '{modality}' is {'x'.join(map(str, shape))}, "
                    f"expected Nx3xHxW with H and W multiples of {SIZE_MULTIPLE}"
                )
            if shape != tuple(images[0].shape):
                raise ValueError(
                    f"{self.name}: image '{modality}' is {'x'.join(map(str, shape))}, "
                    f"expected {'x'.join(map(str, images[0].shape))} as '{self.modalities[0]}' is"
                )


def _over_their_sum(gates: Tensor | None) -> Tensor:
    assert gates is not None  # they were wanted
    return gates / gates.sum(dim=1, keepdim=True).clamp(min=1e-4)
