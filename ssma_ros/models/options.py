# SPDX-License-Identifier: Apache-2.0
"""Options every network shares, the named variants and the presets."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from ssma_ros.errors import expected_one_of
from ssma_ros.models.backbones.preact_resnet50 import PAPER_DILATIONS, RELEASED_DILATIONS, Dilations
from ssma_ros.models.backbones.timm_features import PREFIX as TIMM

if TYPE_CHECKING:
    from collections.abc import Mapping

BackboneName = Literal["preact_resnet50", "resnet50", "mobilenet_v2", "erfnet"]
BACKBONES: tuple[str, ...] = get_args(BackboneName)


def _choice(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"network option {name} is {value!r}, {expected_one_of(str(value), map(str, allowed))}")


@dataclass(frozen=True)
class Options:
    """What a network can be told beside its modalities and number of classes.

    Attributes:
        backbone: ``preact_resnet50`` (AdapNet++), ``resnet50``, ``mobilenet_v2`` or ``erfnet`` (its own decoder), or
            ``timm/NAME`` for a network of timm that has feature maps.
        input_norm: a BN on the image comes first; None means yes for ``preact_resnet50`` and no for the others.
        width: channel multiplier of ``mobilenet_v2``.
        dilations: pairs of the multiscale units res3d, res4c–f, res5a–c of ``preact_resnet50``.
        dropout: probability in the last unit of ``preact_resnet50``.
        easpp_channels: output channels of the eASPP, the latent features.
        easpp_bottleneck: channels of its dilated 3×3 convolutions.
        easpp_rates: their dilations.
        skip_channels: of the projected skips.
        decoder_channels: of the decoder's convolutions.
        separable_decoder: depthwise separable 3×3 convolutions in the decoder.
        upsampling_edge: what the last transposed convolution finds outside the image: ``zeros`` (published) or
            ``replicate``; with zeros the outermost pixels of a briefly trained network can all be of one class.
        auxiliary_heads: classifiers on the two upsampled features, used in training only.
        auxiliary_grid: how their logits are enlarged, ``corner`` (released graph) or ``center`` (pixel centres).
        eta: the bottleneck of the latent SSMA block is its input channels / eta.
        eta_skip: the same for the skips' SSMA blocks.
        gating: ``sigmoid`` (independent gates) or ``softmax`` across modalities (dependent).
        latent_kernel: kernel of the convolution that merges the gated latent features, 1 or 3.
        fusion: ``encoder`` (latent and skips, one decoder) or ``decoder`` (a decoder for each modality, fused last).
        modality_dropout: probability with which training blanks each modality of each sample; one always stays.
        kept: of a pruned network, layer → indices of the feature maps that are left of it (``0-5,8``), see
            :mod:`ssma_ros.models.pruning.shrink`.
    """

    backbone: str = "preact_resnet50"
    input_norm: bool | None = None
    width: float = 1.0
    dilations: Dilations = RELEASED_DILATIONS
    dropout: float = 0.5
    easpp_channels: int = 256
    easpp_bottleneck: int = 64
    easpp_rates: tuple[int, ...] = (3, 6, 12)
    skip_channels: int = 24
    decoder_channels: int = 256
    separable_decoder: bool = False
    upsampling_edge: str = "zeros"
    auxiliary_heads: bool = True
    auxiliary_grid: str = "corner"
    eta: int = 16
    eta_skip: int = 6
    gating: str = "sigmoid"
    latent_kernel: int = 1
    fusion: str = "encoder"
    modality_dropout: float = 0.0
    kept: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not str(self.backbone).startswith(TIMM):
            _choice("backbone", self.backbone, (*BACKBONES, f"{TIMM}NAME"))
        _choice("gating", self.gating, ("sigmoid", "softmax"))
        _choice("latent_kernel", self.latent_kernel, (1, 3))
        _choice("auxiliary_grid", self.auxiliary_grid, ("corner", "center"))
        _choice("upsampling_edge", self.upsampling_edge, ("zeros", "replicate"))
        _choice("fusion", self.fusion, ("encoder", "decoder"))
        for name in ("dropout", "modality_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"network option {name} is {getattr(self, name)}, expected 0 <= {name} < 1")
        if not self.width > 0:
            raise ValueError(f"network option width is {self.width}, expected a positive number")
        for name in ("easpp_channels", "easpp_bottleneck", "skip_channels", "decoder_channels", "eta", "eta_skip"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"network option {name} is {value}, expected a positive whole number")
        # JSON has lists only; tuples keep the options hashable and comparable.
        object.__setattr__(self, "dilations", tuple((int(a), int(b)) for a, b in self.dilations))
        object.__setattr__(self, "easpp_rates", tuple(int(r) for r in self.easpp_rates))
        if not self.easpp_rates or min(self.easpp_rates) < 1:
            raise ValueError(f"network option easpp_rates is {self.easpp_rates}, expected one or more from 1 up")
        if any(rate < 1 for pair in self.dilations for rate in pair):
            raise ValueError(f"network option dilations is {self.dilations}, expected pairs from 1 up")
        if self.input_norm is None:
            object.__setattr__(self, "input_norm", self.backbone == "preact_resnet50")

    def to_document(self) -> dict[str, Any]:
        """JSON-ready, every option explicit."""
        document = {f.name: getattr(self, f.name) for f in fields(self)}
        document["dilations"] = [list(pair) for pair in self.dilations]
        document["easpp_rates"] = list(self.easpp_rates)
        del document["kept"]  # stays out of the descriptions of all networks that nothing was taken from
        return {**document, "kept": dict(self.kept)} if self.kept else document


#: Named starting points; options given beside a variant override it.
VARIANTS: Mapping[str, Options] = {
    "released": Options(),
    "paper": Options(dilations=PAPER_DILATIONS, latent_kernel=3),
}

#: Whole networks by name, for the contract's ``{"name": "SSMA", "preset": ...}``.
PRESETS: Mapping[str, Options] = {
    # Three streams for two CPU cores; figures in docs/networks.md.
    "forest-mobilenet": Options(
        backbone="mobilenet_v2",
        width=0.5,
        easpp_channels=96,
        easpp_bottleneck=24,
        skip_channels=16,
        decoder_channels=48,
        separable_decoder=True,
        auxiliary_grid="center",
        upsampling_edge="replicate",
        modality_dropout=0.1,
    ),
}


def make_options(variant: str = "released", preset: str | None = None, **overrides: Any) -> Options:
    """Options of a variant or preset with ``overrides``.

    Raises:
        ValueError: unknown variant or preset, or an option out of its range.
        TypeError: unknown option.
    """
    table, name = (VARIANTS, variant) if preset is None else (PRESETS, preset)
    if name not in table:
        kind = "variant" if preset is None else "preset"
        raise ValueError(f"network {kind} is '{name}', {expected_one_of(name, table)}")
    known = [f.name for f in fields(Options)]
    unknown = [key for key in overrides if key not in known]
    if unknown:
        raise TypeError(f"unknown network option {', '.join(unknown)}, {expected_one_of(unknown[0], known)}")
    if "backbone" in overrides:
        overrides.setdefault("input_norm", None)
    return replace(table[name], **overrides)

