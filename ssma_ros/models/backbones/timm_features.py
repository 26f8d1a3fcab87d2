# SPDX-License-Identifier: Apache-2.0
"""Any network of timm (PyTorch Image Models) that has feature maps, as a backbone: ``timm/NAME``.

timm is imported when such a backbone is built, and never otherwise.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import nn

from ssma_ros.errors import SsmaError
from ssma_ros.models.backbones.base import Backbone, Taps
from ssma_ros.models.layers import BatchNorm2d, keep_single_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

#: What the names of these backbones begin with.
PREFIX = "timm/"
#: Of the image that a network is tried on: multiples of 16 and not of 32, as a contract may have.
_TRIAL = (80, 48)


def import_timm() -> Any:
    """The module ``timm``.

    Raises:
        SsmaError: it is not installed, or what it is built on does not fit.
    """
    try:
        import timm
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "timm":
            raise SsmaError("backbone timm/…: timm is not installed, expected it for this network; "
                            "pip install 'ssma_ros[timm]'") from None
        raise SsmaError(f"backbone timm/…: timm cannot be imported ({type(error).__name__}: {error}); expected a "
                        "torchvision that was built for the installed torch") from error
    return timm


@dataclass(frozen=True)
class _Plan:
    """How a network's feature maps are used.

    Attributes:
        arguments: of ``timm.create_model`` beside the name.
        reductions: image size over feature map size, by level.
        channels: by level.
    """

    arguments: dict[str, Any]
    reductions: tuple[int, ...]
    channels: tuple[int, ...]

    def level(self, reduction: int) -> int:
        """The deepest level at this reduction."""
        return max(i for i, r in enumerate(self.reductions) if r == reduction)


class TimmBackbone(Backbone):
    """A network of timm up to its last feature map, at output stride 16 by dilation where timm offers that.

    Elsewhere the last map is at 1/32 and is enlarged twice, which :attr:`remark` tells.

    Args:
        name: of timm's network, with or without :data:`PREFIX`; a tag behind a dot chooses pretrained weights.
        in_channels: of the image.
        input_norm: normalise the image with a BN first.

    Attributes:
        body: timm's module.
        chained: the network is a chain of stages, so a fusion may step in between them.

    Raises:
        SsmaError: timm is not there.
        ValueError: timm has no such network, or its feature maps are not at 1/4, 1/8 and 1/16 or 1/32 of the image.
    """

    def __init__(self, name: str, in_channels: int = 3, *, input_norm: bool = False) -> None:
        super().__init__()
        self.name = PREFIX + name.removeprefix(PREFIX)
        plan = _plan(self.name.removeprefix(PREFIX), in_channels)
        self.input_norm = BatchNorm2d(in_channels) if input_norm else nn.Identity()
        self.body = _create(self.name.removeprefix(PREFIX), in_channels, plan.arguments)
        keep_single_values(self.body)
        self.skip_stages = (plan.level(8), plan.level(4))
        self.skip_channels = tuple(plan.channels[i] for i in self.skip_stages)
        self.out_channels = plan.channels[-1]
        self.chained = bool(_chain(self.body))
        self._enlarged = plan.reductions[-1] == 32
        if self._enlarged:
            self.remark = (f"{self.name} has no output stride of 16 in timm: its last features are at 1/32 of the "
                           "image and are enlarged twice")

        known = import_timm().get_pretrained_cfg(self.name.removeprefix(PREFIX))
        first = () if known is None or not known.first_conv else known.first_conv
        names = {f"{part}.weight": torch.empty(0) for part in ((first,) if isinstance(first, str) else first)}
        here = tuple(self.named_as_here(names))
        self.first_convolutions = here if self.state_dict().keys() >= set(here) else ()

    #: timm has initialised its layers as each network wants it.
    keeps_initialization = ("body",)

    def stages(self) -> Sequence[Callable[[Tensor], Tensor]]:
        """The stages in order, one a feature level.

        Raises:
            ValueError: the network is no chain.
        """
        chain = _chain(self.body)
        if not chain:
            raise ValueError(f"backbone {self.name} is no chain of stages, expected one for this fusion, such as a "
                             "ResNet or an EfficientNet")
        first, *others = chain
        return (lambda image: first(self.input_norm(image)), *others)

    def taps(self, outputs: Sequence[Tensor]) -> Taps:
        """Deep features and skips of the outputs of all levels."""
        deep, skips = super().taps(outputs)
        return Taps(_enlarge(deep, skips[0]) if self._enlarged else deep, skips)

    def forward(self, x: Tensor) -> Taps:
        """Deep features and skips of an N×in_channels×H×W image."""
        return self.taps(self.body(self.input_norm(x)))

    def merge_branches(self) -> None:
        """RepViT, FastViT, MobileOne and the like: parallel convolutions into one."""
        from timm.models import reparameterize_model

        reparameterize_model(self.body, inplace=True)

    def named_as_here(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of timm's whole network by the names that they have here; those of its classifier are left out, and
        what the network does not have keeps its name."""
        here = self.state_dict().keys()
        whole = _names(self.name.removeprefix(PREFIX))
        found = {}
        for name, tensor in tensors.items():
            # timm's feature maps flatten a list of stages, or hold the network as a part.
            known = next((n for n in (f"body.{name}", "body." + name.replace(".", "_", 1), f"body.model.{name}",
                                      f"body.body.{name}") if n in here), None)
            if known is not None or name not in whole:
                found[known or name] = tensor
        return found


def _enlarge(deep: Tensor, eighth: Tensor) -> Tensor:
    """Features at 1/32 on the grid of 1/16, of which ``eighth`` has twice the size."""
    height, width = int(eighth.shape[2]) // 2, int(eighth.shape[3]) // 2
    twice = F.interpolate(deep, scale_factor=2.0, mode="bilinear", align_corners=False)[:, :, :height, :width]
    missing = (width - int(twice.shape[3]), height - int(twice.shape[2]))
    return F.pad(twice, (0, missing[0], 0, missing[1]), mode="replicate") if any(missing) else twice


def _create(name: str, in_channels: int, arguments: dict[str, Any]) -> nn.Module:
    return cast("nn.Module", import_timm().create_model(
        name, pretrained=False, features_only=True, in_chans=in_channels, **arguments
    ))


@lru_cache(maxsize=32)
def _plan(name: str, in_channels: int) -> _Plan:
    """Try the network without storage, at output stride 16 first, and look at what it gives.

    Raises:
        SsmaError, ValueError: as of :class:`TimmBackbone`.
    """
    timm = import_timm()
    known = timm.list_models()
    if name.partition(".")[0] not in known:
        close = difflib.get_close_matches(name, known, n=3)
        meant = f", for example {', '.join(close)}" if close else ""
        raise ValueError(f"backbone {PREFIX}{name}: timm {timm.__version__} has no network '{name}', expected one of "
                         f"timm.list_models(){meant}")
    problem = ""
    for arguments in ({"output_stride": 16}, {}):
        try:
            with torch.device("meta"), torch.no_grad():
                body = _create(name, in_channels, arguments).eval()
                maps = body(torch.zeros(1, in_channels, *_TRIAL))
            info = cast("Any", body.feature_info)
            plan = _Plan(arguments, tuple(info.reduction()), tuple(info.channels()))
            problem = _misfit(plan, [tuple(m.shape[1:]) for m in maps])
        except Exception as error:  # whatever a network raises for an argument or a size that it does not know
            problem = str(error).partition("\n")[0] or type(error).__name__
        else:
            if not problem:
                return plan
    raise ValueError(f"backbone {PREFIX}{name}: {problem}; expected feature maps at 1/4, 1/8 and 1/16 or 1/32 of "
                     "images of any size that is a multiple of 16")


@lru_cache(maxsize=32)
def _names(name: str) -> frozenset[str]:
    """Names of the weights of the whole network, with its classifier."""
    with torch.device("meta"):
        return frozenset(import_timm().create_model(name, pretrained=False).state_dict())


def _misfit(plan: _Plan, shapes: list[tuple[int, ...]]) -> str:
    """What is wrong with feature maps of these shapes (C, H, W), or nothing."""
    height, width = _TRIAL
    for wanted in (4, 8):
        if wanted not in plan.reductions:
            return f"has feature maps at {', '.join(f'1/{r}' for r in plan.reductions)}"
        index = plan.level(wanted)
        if shapes[index] != (plan.channels[index], height // wanted, width // wanted):
            return f"its features at 1/{wanted} of {width}x{height} are {shapes[index]}"
    deepest, last = plan.reductions[-1], shapes[-1]
    if deepest not in (16, 32) or last[0] != plan.channels[-1] or plan.level(8) == len(shapes) - 1:
        return f"its last features are at 1/{deepest} with shape {last}"
    exact = (height // deepest, width // deepest)
    if deepest == 16 and last[1:] != exact:
        return f"its features at 1/16 of {width}x{height} are {last}"
    # Of an odd number of rows half may be counted either way.
    if any(not low <= got <= low + 1 for got, low in zip(last[1:], exact, strict=True)):
        return f"its features at 1/32 of {width}x{height} are {last}"
    return ""


def _chain(body: nn.Module) -> tuple[Callable[[Tensor], Tensor], ...]:
    """The network's levels as functions of the level before, or nothing where it is no chain.

    Of timm's ways to give feature maps two run through the network's parts in order: a list of them, and the classes
    that EfficientNet and MobileNet have for it.
    """
    kind = type(body).__name__
    if kind == "FeatureListNet":
        parts = list(body.named_children())
        ends = set(cast("dict[str, str]", body.return_layers))
    elif kind in ("EfficientNetFeatures", "MobileNetV3Features") and body.feature_hooks is None:
        parts = [
            (f"{name}{inner}", part) for name, outer in body.named_children()
            for inner, part in ([("", outer)] if name != "blocks" else _dotted(outer))
        ]
        ends = set(cast("Any", body.feature_info).module_name())
    else:
        return ()
    levels: list[Callable[[Tensor], Tensor]] = []
    current: list[nn.Module] = []
    for name, part in parts:
        current.append(part)
        if name in ends:
            levels.append(_in_a_row(current))
            current = []
    return tuple(levels)


def _dotted(blocks: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(f".{name}", block) for name, block in blocks.named_children()]


def _in_a_row(parts: Sequence[nn.Module]) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        for part in parts:
            x = part(x)
        return x

    return run
