# SPDX-License-Identifier: Apache-2.0
"""Follows feature maps through one pass of a network: which layer made each channel, and which layers read it.

The network runs once on the meta device, where nothing is computed, and every operation tells what becomes of its
channels. An operation without a rule here makes the channels it reads unprunable, so a new layer can cost savings but
never correctness.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ssma_ros.models.pruning.spread import spread_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Ids = NDArray[np.int64]
#: In the place of a map's number: a channel that stays whatever is pruned.
FIXED = -1

#: Operations that change no channel's place, and leave a channel of zeros as it is.
_KEEP_ZERO = {
    "relu", "relu_", "hardtanh", "hardtanh_", "native_dropout", "max_pool2d_with_indices", "constant_pad_nd",
    "replication_pad2d", "upsample_bilinear2d", "avg_pool2d", "clone", "_to_copy", "detach", "div", "div_", "dropout",
}
_KEEP_PLACE = _KEEP_ZERO | {"sigmoid", "clamp"}
#: Operations that read nothing but shapes and types.
_BLIND = {"new_ones", "new_zeros", "new_empty", "zeros_like", "ones_like", "rand_like", "empty_like"}


@dataclass
class Layer:
    """A convolution or BatchNorm in terms of feature maps.

    Attributes:
        made: number of the map that each output channel is. A depthwise convolution and a BatchNorm hand on those they
            read.
        read: number of the map that each input channel is; empty for a BatchNorm.
        depthwise: one filter a channel.
        taps: multiplications of one sample for each pair of input and output channel (each channel when depthwise).
        weights: numbers of the kernel for each such pair.
        extra: further parameters of each output channel.
    """

    made: Ids
    read: Ids
    depthwise: bool = False
    taps: int = 0
    weights: int = 0
    extra: int = 0


@dataclass(frozen=True)
class Flow:
    """Channels of a tensor.

    Attributes:
        ids: number of the map that each channel is, in the shape of the dimensions that hold channels.
        depth: convolutions on the longest way from the images.
        end: layer whose filters of a map, when zero, make the map zero here; "" where there is none.
    """

    ids: Ids
    depth: int
    end: str = ""


@dataclass
class Uses:
    """What happens to the maps, by number.

    Attributes:
        pinned: must stay.
        read: some convolution reads it.
        end: layer behind which it is added to something; "" where it is not.
        tied: pairs that only go together.
        owner: layer that makes it.
    """

    pinned: set[int] = field(default_factory=set)
    read: set[int] = field(default_factory=set)
    end: dict[int, str] = field(default_factory=dict)
    tied: list[tuple[int, int]] = field(default_factory=list)
    owner: list[str] = field(default_factory=list)

    def pin(self, ids: Ids) -> None:
        """These stay."""
        self.pinned.update(ids[ids != FIXED].tolist())

    def tie(self, one: Ids, other: Ids) -> None:
        """Each of ``one`` goes with its partner in ``other``; a partner that is fixed pins it."""
        loose = (one == FIXED) != (other == FIXED)
        self.pin(one[loose])
        self.pin(other[loose])
        both = (one != FIXED) & (other != FIXED) & (one != other)
        self.tied.extend(zip(one[both].tolist(), other[both].tolist(), strict=True))


class Follow(TorchDispatchMode):
    """Notes flows while a network runs; used as a context, without gradients.

    Args:
        names: path of the module that has each parameter, by ``id`` of the parameter.
        modules: by path.

    Attributes:
        layers: by path.
        uses: of the maps.
    """

    def __init__(self, names: Mapping[int, str], modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.layers: dict[str, Layer] = {}
        self.uses = Uses()
        self._names, self._modules = names, modules
        self._parts: dict[int, tuple[str, int]] = {}
        self._flows: dict[int, Flow] = {}
        #: Tensors that only follow the shape of others: noise and zeros.
        self._drawn: set[int] = set()
        self._alive: list[Any] = []  # so that no id is given twice

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and note what becomes of its channels."""
        name = str(func.overloadpacket.__name__)
        if "batch_norm" in name:  # takes longer to find its result's shape than all other operations together
            out: Any = (torch.empty_like(args[0]), *(torch.empty(0, device="meta") for _ in range(2)))
        else:
            out = func(*args, **(kwargs or {}))
        self._alive.extend((args, out))
        if name == "convolution":
            self._convolve(args, out)
        elif "batch_norm" in name:
            self._normalise(args, out[0])
        elif name in ("split", "split_with_sizes"):
            self._split(args, out)
        elif name in _BLIND or self._is_drawn(args):
            self._drawn.update(id(tensor) for tensor in _tensors([out]))
        elif self._known(args):
            getattr(self, f"_on_{name.strip('_')}", self._other)(name, args, out)
        return out

    def _is_drawn(self, args: Any) -> bool:
        tensors = _tensors(args)
        return bool(tensors) and all(id(tensor) in self._drawn for tensor in tensors)

    def finish(self, outputs: Sequence[Tensor]) -> None:
        """Maps that reach the network's outputs stay."""
        for output in outputs:
            flow = self._flows.get(id(output))
            if flow is not None:
                self.uses.pin(flow.ids)

    def _of(self, tensor: Tensor) -> Flow:
        """Flow of a tensor; one that none is known of is made of fixed channels."""
        known = self._flows.get(id(tensor))
        return known or Flow(np.full(tensor.shape[1] if tensor.dim() > 1 else 0, FIXED), 0)

    def _set(self, tensor: Tensor, ids: Ids, depth: int, end: str = "") -> None:
        self._flows[id(tensor)] = Flow(ids, depth, end)

    def _convolve(self, args: Any, out: Tensor) -> None:
        x, weight, transposed, groups = args[0], args[1], args[6], args[8]
        name, offset = self._parts.get(id(weight), (self._names.get(id(weight), ""), 0))
        flow = self._of(x)
        if not name:
            self.uses.pin(flow.ids)
            return
        module: Any = self._modules[name]
        layer = self.layers.get(name)
        depthwise = groups > 1 and groups == module.in_channels == module.out_channels
        if layer is None:
            first = len(self.uses.owner)
            made = flow.ids if depthwise else np.arange(first, first + module.out_channels)
            if not depthwise:
                self.uses.owner.extend([name] * module.out_channels)
            layer = self.layers[name] = Layer(made, flow.ids, depthwise)
            pixels = int(np.prod((x if transposed else out).shape[2:]))
            layer.weights = int(np.prod(weight.shape[2:]))
            layer.taps, layer.extra = layer.weights * pixels, int(module.bias is not None)
        elif not np.array_equal(layer.read, flow.ids):  # one layer at work in two places
            for ids in (layer.read, layer.made, flow.ids):
                self.uses.pin(ids)
        if groups > 1 and not depthwise:
            self.uses.pin(flow.ids)
            self.uses.pin(layer.made)
        if not depthwise:
            self.uses.read.update(flow.ids[flow.ids != FIXED].tolist())
        self._set(out, layer.made[offset : offset + out.shape[1]], flow.depth + 1, name)

    def _normalise(self, args: Any, out: Tensor) -> None:
        flow, name = self._of(args[0]), self._names[id(args[1])]
        if name in self.layers and not np.array_equal(self.layers[name].made, flow.ids):
            self.uses.pin(flow.ids)
            self.uses.pin(self.layers[name].made)
        self.layers[name] = Layer(flow.ids, np.empty(0, np.int64), extra=2)
        self._set(out, flow.ids, flow.depth, name)

    def _split(self, args: Any, out: Sequence[Tensor]) -> None:
        """Parts of a kernel, or of channels."""
        dim = args[2] if len(args) > 2 else 0
        sizes = [part.shape[dim] for part in out]
        if id(args[0]) in self._names and dim == 0:
            for part, start in zip(out, np.cumsum([0, *sizes]).tolist(), strict=False):
                self._parts[id(part)] = (self._names[id(args[0])], start)
        elif id(args[0]) in self._flows:
            flow = self._of(args[0])
            if dim != 1:
                self._stay(args, out)
                return
            for part, ids in zip(out, np.split(flow.ids, np.cumsum(sizes)[:-1]), strict=True):
                self._set(part, ids, flow.depth, flow.end)

    def _other(self, name: str, args: Any, out: Any) -> None:
        """Operations on one tensor that keep its channels' places; all others let what they read stay."""
        known = self._known(args)
        if name in _KEEP_PLACE and len(known) == 1:
            flow = self._of(known[0])
            self._pass_on(args, _tensors([out])[0], flow, flow.end if name in _KEEP_ZERO else "")
        else:
            self._stay(args, out)

    def _stay(self, args: Any, out: Any) -> None:
        """All channels that were read, and those made of them."""
        flows = [self._of(tensor) for tensor in self._known(args)]
        for flow in flows:
            self.uses.pin(flow.ids)
        for tensor in _tensors([out]):
            if tensor.dim() > 1:
                self._set(tensor, np.full(tensor.shape[1], FIXED), max(flow.depth for flow in flows))

    def _pass_on(self, args: Any, out: Tensor, flow: Flow, end: str) -> None:
        """``out`` has the channels of ``flow``, unless they met others or are not where they were: then they stay."""
        axis = flow.ids.ndim
        met = [t for t in _tensors(args) if id(t) not in self._flows and id(t) not in self._drawn]
        width = max([t.shape[axis - out.dim()] for t in met if t.dim() >= out.dim() - axis], default=1)
        if width == 1 and tuple(out.shape[1 : 1 + axis]) == flow.ids.shape:
            self._set(out, flow.ids, flow.depth, end)
        else:
            self._stay(args, out)

    def _known(self, args: Any) -> list[Tensor]:
        return [tensor for tensor in _tensors(args) if id(tensor) in self._flows]

    def _on_cat(self, name: str, args: Any, out: Tensor) -> None:
        if (args[1] if len(args) > 1 else 0) != 1 or any(self._of(t).ids.ndim != 1 for t in args[0]):
            self._stay(args, out)
            return
        flows = [self._of(tensor) for tensor in args[0]]
        # Zeros behind a layer's maps, see Spread, leave them that layer's.
        end = flows[0].end if all(id(tensor) in self._drawn for tensor in args[0][1:]) else ""
        self._set(out, np.concatenate([flow.ids for flow in flows]), max(flow.depth for flow in flows), end)

    def _on_stack(self, name: str, args: Any, out: Tensor) -> None:
        flows = [self._of(tensor) for tensor in args[0]]
        if (args[1] if len(args) > 1 else 0) != 1 or len({flow.ids.shape for flow in flows}) > 1:
            self._stay(args, out)
            return
        self._set(out, np.stack([flow.ids for flow in flows]), max(flow.depth for flow in flows))

    def _on_unbind(self, name: str, args: Any, out: Sequence[Tensor]) -> None:
        flow = self._of(args[0])
        if (args[1] if len(args) > 1 else 0) != 1 or flow.ids.ndim < 2:
            self._stay(args, out)
            return
        for part, ids in zip(out, flow.ids, strict=True):
            self._set(part, ids, flow.depth)

    def _on_mul(self, name: str, args: Any, out: Tensor) -> None:
        """A product is zero where one factor is: maps that are multiplied go together."""
        known = self._known(args)
        flow = self._of(known[0])
        if len(known) > 1:
            other = self._of(known[1])
            if flow.ids.shape != other.ids.shape:
                self._stay(args, out)
                return
            self.uses.tie(flow.ids.ravel(), other.ids.ravel())
            flow = Flow(flow.ids, max(flow.depth, other.depth))
        self._pass_on(args, out, flow, flow.end)

    def _on_add(self, name: str, args: Any, out: Tensor) -> None:
        """Of two branches of unequal depth the shallower is the shortcut, which stays, and the deeper may lose maps."""
        known = self._known(args)
        summands = [a for a in args[:2] if isinstance(a, Tensor) and a.shape == out.shape]
        if len(summands) < 2:
            if len(known) == 1:
                self._pass_on(args, out, self._of(known[0]), "")
            else:
                self._stay(args, out)
            return
        shortcut, branch = sorted((self._of(tensor) for tensor in summands), key=lambda flow: flow.depth)
        self.uses.pin(shortcut.ids)
        if not branch.end or shortcut.depth == branch.depth:
            self.uses.pin(branch.ids)
        for number in branch.ids[branch.ids != FIXED].tolist():
            if number in self.uses.end:
                self.uses.pinned.add(number)
            self.uses.end[number] = branch.end
        self._set(out, np.full(out.shape[1], FIXED), branch.depth)

    def _on_softmax(self, name: str, args: Any, out: Tensor) -> None:
        """Across modalities (dimension 1 of N×M×C×H×W) the same channel of all goes together."""
        flow = self._of(args[0])
        if args[1] != 1 or flow.ids.ndim != 2:
            self._stay(args, out)
            return
        for row in flow.ids[1:]:
            self.uses.tie(flow.ids[0], row)
        self._set(out, flow.ids, flow.depth)

    def _on_mean(self, name: str, args: Any, out: Tensor) -> None:
        flow = self._of(args[0])
        dims = {dim % args[0].dim() for dim in args[1]} if len(args) > 1 else {0}
        if min(dims) > flow.ids.ndim:
            self._set(out, flow.ids, flow.depth, flow.end)
        else:
            self._stay(args, out)

    def _on_expand(self, name: str, args: Any, out: Tensor) -> None:
        flow = self._of(args[0])
        self._pass_on(args[:1], out, flow, flow.end)

    def _on_slice(self, name: str, args: Any, out: Tensor) -> None:
        flow = self._of(args[0])
        if len(args) > 1 and args[1] > flow.ids.ndim:
            self._set(out, flow.ids, flow.depth, flow.end)
        else:
            self._stay(args, out)

    def _on_index_select(self, name: str, args: Any, out: Tensor) -> None:
        """A layer's maps among zeros, see :class:`ssma_ros.models.pruning.spread.Spread`."""
        flow = self._of(args[0])
        places = spread_of(self._modules.get(flow.end))
        if args[1] != 1 or places is None:
            self._stay(args, out)
            return
        ids = np.full(out.shape[1], FIXED)
        ids[list(places)] = flow.ids[: len(places)]
        self._set(out, ids, flow.depth, flow.end)


def _tensors(values: Any) -> list[Tensor]:
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found.extend(v for v in value if isinstance(v, Tensor))
    return found
