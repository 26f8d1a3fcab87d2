# SPDX-License-Identifier: Apache-2.0
"""Names and layouts: the authors' TensorFlow variables against our state dict.

The table follows the variable names of the released graphs (their checkpoints' own index), with kernels stored
[kh, kw, in, out] for convolutions and [kh, kw, out, in] for transposed ones: both become PyTorch's layout by the
same permutation.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

#: Scope of every encoder, and of the whole unimodal network.
SCOPE = "resnet_v2_50/"
#: Optimiser and bookkeeping variables of training checkpoints, of no use in a network.
_TRAINING_ONLY = re.compile(
    r"(.*/(Adam|Adam_1|Momentum|ExponentialMovingAverage))|(beta[12]_power.*)|(global_step)|(Global_Step)"
)

_STATISTICS = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}

#: TensorFlow scope → module with ``conv`` and ``bn``, inside an encoder.
_ENCODER = {
    "conv1": "backbone.stem",
    "conv174": "skips.0",
    "conv32": "skips.1",
    "conv256": "easpp.direct",
    **{f"conv{name}": f"easpp.cascades.0.{i}" for i, name in enumerate((70, 7, 247, 71))},
    **{f"conv{name}": f"easpp.cascades.1.{i}" for i, name in enumerate((80, 8, 248, 81))},
    **{f"conv{name}": f"easpp.cascades.2.{i}" for i, name in enumerate((90, 9, 249, 91))},
    "conv57": "easpp.pooling",
    "conv10": "easpp.merge",
}
_TRUNK = {
    "conv41": "up1",
    "conv89": "refine1.0",
    "conv96": "refine1.1",
    "conv16": "up2",
    "conv88": "refine2.0",
    "conv95": "refine2.1",
}
_HEAD = {
    "conv78": "classifier.0",
    "conv5": "classifier.1",
    "conv911": "auxiliary.0",
    "conv912": "auxiliary.1",
}
_FUSION = {
    "conv515": "fusion.merge",
    "conv550": "trunks.0.attention.0.squeeze",
    "conv551": "trunks.0.attention.1.squeeze",
}
#: TensorFlow scope → convolution with bias and no BN.
_BIASED = {
    "conv511": "fusion.reduce",
    "conv512": "fusion.expand",
    "conv513": "skip_fusions.0.reduce",
    "conv514": "skip_fusions.0.expand",
    "conv552": "skip_fusions.0.merge",
    "conv518": "skip_fusions.1.reduce",
    "conv519": "skip_fusions.1.expand",
    "conv553": "skip_fusions.1.merge",
}
_UNITS = (3, 4, 6, 3)


def adapnetpp_names(*, auxiliary_heads: bool) -> dict[str, str]:
    """State-dict name → TensorFlow variable of the released AdapNet++."""
    names = dict(_encoder("encoder.", SCOPE))
    for scope, module in _TRUNK.items():
        names.update(_conv_norm(f"decoder.trunk.{module}.", SCOPE + scope))
    for scope, module in _HEAD.items():
        if auxiliary_heads or not module.startswith("auxiliary"):
            names.update(_conv_norm(f"decoder.head.{module}.", SCOPE + scope))
    return names


def ssma_names(streams: tuple[str, ...] = ("rgb", "depth")) -> dict[str, str]:
    """State-dict name → TensorFlow variable of the released SSMA; ``streams`` are its encoder scopes in order."""
    names: dict[str, str] = {}
    for i, stream in enumerate(streams):
        names.update(_encoder(f"encoders.{i}.", f"{stream}/{SCOPE}"))
    modules = {s: f"trunks.0.{m}" for s, m in _TRUNK.items()}
    modules.update({s: f"head.{m}" for s, m in _HEAD.items() if not m.startswith("auxiliary")})
    modules.update(_FUSION)
    for scope, module in modules.items():
        names.update(_conv_norm(f"{module}.", scope))
    for scope, module in _BIASED.items():
        names[f"{module}.weight"] = f"{scope}/weights"
        names[f"{module}.bias"] = f"{scope}/biases"
    return names


def backbone_names(scope: str = SCOPE) -> dict[str, str]:
    """State-dict name → TensorFlow variable of the pre-activation ResNet-50 alone, input norm included."""
    return {ours[len("backbone.") :]: theirs for ours, theirs in _encoder("", scope) if ours.startswith("backbone.")}


def plain_name(name: str) -> str:
    """The variable's name without the ``:0`` that one checkpoint style appends."""
    return name.removesuffix(":0")


def is_training_only(name: str) -> bool:
    """Whether a variable belongs to the optimiser or counts steps."""
    return _TRAINING_ONLY.fullmatch(plain_name(name)) is not None


def to_torch_layout(name: str, value: NDArray[np.generic]) -> NDArray[np.generic]:
    """Kernels [kh, kw, a, b] → [b, a, kh, kw]; everything else as it is."""
    if plain_name(name).endswith("/weights") and value.ndim == 4:
        return np.ascontiguousarray(value.transpose(3, 2, 0, 1))
    return value


def to_torch(names: Mapping[str, str], variables: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """State-dict arrays of all ``names`` whose variable is in ``variables`` (plain names)."""
    return {
        ours: to_torch_layout(theirs, variables[theirs]) for ours, theirs in names.items() if theirs in variables
    }


def _encoder(prefix: str, scope: str) -> Iterator[tuple[str, str]]:
    yield from _norm(f"{prefix}backbone.input_norm.", f"{scope}conv0")
    for name, module in _ENCODER.items():
        yield from _conv_norm(f"{prefix}{module}.", scope + name)
    for block, units in enumerate(_UNITS, start=1):
        for unit in range(units):
            module = f"{prefix}backbone.block{block}.{unit}."
            theirs = f"{scope}block{block}/unit_{unit + 1}/bottleneck_v1/"
            for k in (1, 2, 3):
                yield f"{module}conv{k}.weight", f"{theirs}conv{k}/weights"
                yield from _norm(f"{module}bn{k}.", f"{theirs}conv{k}")
            if unit == 0:
                yield f"{module}shortcut.weight", f"{theirs}shortcut/weights"


def _conv_norm(module: str, scope: str) -> Iterator[tuple[str, str]]:
    yield f"{module}conv.weight", f"{scope}/weights"
    yield from _norm(f"{module}bn.", scope)


def _norm(module: str, scope: str) -> Iterator[tuple[str, str]]:
    for theirs, ours in _STATISTICS.items():
        yield module + ours, f"{scope}/BatchNorm/{theirs}"
