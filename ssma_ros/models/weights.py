# SPDX-License-Identifier: Apache-2.0
"""Weights on disk: safetensors beside an input contract. Nothing is ever unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ssma_ros.contract import contract_path_for, load_contract, save_contract
from ssma_ros.errors import SsmaError
from ssma_ros.files import write_atomically
from ssma_ros.models.build import build_network

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from ssma_ros.contract import Contract
    from ssma_ros.models.network import SegmentationNetwork

#: Name of the weights in a model folder.
WEIGHTS_NAME = "weights.safetensors"
#: BN's step counters: training bookkeeping that no file needs to carry.
_COUNTER = "num_batches_tracked"
_SHOWN = 3


def load_model(path: str | Path) -> SegmentationNetwork:
    """Read a network and its contract.

    Args:
        path: a ``.safetensors`` file with its contract beside it (see
            :func:`ssma_ros.contract.contract_path_for`), or a folder with ``weights.safetensors`` and
            ``contract.json``.

    Returns:
        The network in evaluation mode, float32, on the CPU, with its ``contract`` attribute set.

    Raises:
        SsmaError: a file is missing or is not what it should be, or weights and contract do not fit.
    """
    path = Path(path)
    weights = path / WEIGHTS_NAME if path.is_dir() else path
    tensors = read_tensors(weights)
    contract_path = contract_path_for(weights)
    contract = load_contract(contract_path)
    network = _build(contract, contract_path)
    assign(network, tensors, f"weights {weights} does not fit its contract {contract_path}")
    network.contract = contract
    return network.eval()


def save_model(
    network: SegmentationNetwork, contract: Contract, path: str | Path, *, dtype: torch.dtype | None = None
) -> None:
    """Write weights and contract, each whole or not at all.

    Args:
        network: the weights.
        contract: written beside them; its ``network`` must describe ``network``.
        path: a ``.safetensors`` file (the contract becomes ``<stem>.contract.json`` beside it), or a folder
            (``weights.safetensors`` and ``contract.json`` in it), which is made if need be.
        dtype: store floating tensors in this type (``torch.float16`` halves the file); None = as they are.

    Raises:
        ValueError: the contract describes another network.
        SsmaError: a value is NaN or infinite (in ``dtype``), or the disk refuses.
    """
    described = dict(contract.network)
    if _normal(described, contract.labels.num_classes) != (network.describe(), network.num_classes):
        raise ValueError(
            f"save_model: the contract describes {described}, expected {network.describe()} "
            f"with {network.num_classes} classes"
        )
    path = Path(path)
    if path.suffix == ".safetensors":
        weights, contract_path = path, path.with_name(path.stem + ".contract.json")
    else:
        weights, contract_path = path / WEIGHTS_NAME, path / "contract.json"
    tensors = {
        name: (t.to(dtype) if dtype is not None and t.is_floating_point() else t).detach().cpu().contiguous()
        for name, t in network.state_dict().items()
        if not name.endswith(_COUNTER)
    }
    refuse_not_finite(tensors, f"weights {weights}", "they do not fit float16" if dtype == torch.float16
                      else "train again from an earlier state with a lower learning rate")
    weights.parent.mkdir(parents=True, exist_ok=True)
    # Not save_file: it makes a file that only its owner can read, and a model is for everybody on the robot.
    write_atomically(weights, save(tensors))
    save_contract(contract, contract_path)


def holds_model(path: Path, network: nn.Module) -> bool:
    """Whether a model folder holds a contract and exactly the weights of ``network``."""
    if not ((path / WEIGHTS_NAME).is_file() and (path / "contract.json").is_file()):
        return False
    stored = read_tensors(path / WEIGHTS_NAME)
    state = {name: t for name, t in network.state_dict().items() if not name.endswith(_COUNTER)}
    return stored.keys() == state.keys() and all(torch.equal(stored[name], t.cpu()) for name, t in state.items())


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file.

    Raises:
        SsmaError: no such file, not a safetensors file, or a tensor holds NaN or infinity.
    """
    path = Path(path)
    if not path.is_file():
        raise SsmaError(f"weights {path}: no such file, expected a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, ValueError) as error:
        raise SsmaError(
            f"weights {path}: not a safetensors file ({error}), expected one "
            "(pickled .pth, .pt or .ckpt files are never loaded)"
        ) from None
    refuse_not_finite(tensors, f"weights {path}", "the run that wrote them went wrong")
    return tensors


def assign(
    network: nn.Module, tensors: Mapping[str, Tensor], where: str, what: str = "the network",
    optional: tuple[str, ...] = (),
) -> None:
    """Copy ``tensors`` into ``network``, which messages call ``what``. Names and shapes must fit exactly; those that
    begin with one of ``optional`` may be missing.

    Raises:
        SsmaError: begins with ``where`` and names the first tensors that do not fit.
    """
    state = {name: t for name, t in network.state_dict().items() if not name.endswith(_COUNTER)}
    problems = [f"{name} is missing" for name in state if name not in tensors and not name.startswith(optional)]
    problems += [f"{name} is not in {what}" for name in tensors if name not in state]
    problems += [
        f"{name} is {tuple(tensors[name].shape)}, expected {tuple(t.shape)}"
        for name, t in state.items()
        if name in tensors and tensors[name].shape != t.shape
    ]
    if problems:
        more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise SsmaError(f"{where}: {'; '.join(problems[:_SHOWN])}{more}")
    with torch.no_grad():
        for name, tensor in tensors.items():
            state[name].copy_(tensor)


def refuse_not_finite(tensors: Mapping[str, Tensor], where: str, hint: str) -> None:
    """With one such value a network answers NaN, and every pixel becomes the first class.

    Args:
        tensors: by name.
        where: begins the message.
        hint: ends it.

    Raises:
        SsmaError: names the first tensor with NaN or infinity and counts them.
    """
    broken = {name: int((~torch.isfinite(t)).sum()) for name, t in tensors.items() if t.is_floating_point()}
    broken = {name: count for name, count in broken.items() if count}
    if broken:
        name, count = next(iter(broken.items()))
        more = f" and {len(broken) - 1} more tensors hold some" if len(broken) > 1 else ""
        raise SsmaError(f"{where}: {count} of {tensors[name].numel()} values of {name} are NaN or infinite{more}, "
                        f"expected finite numbers; {hint}")


def _build(contract: Contract, path: Path) -> SegmentationNetwork:
    try:
        # Without storage first: initial values would be drawn only to be overwritten.
        with torch.device("meta"):
            network = build_network(contract.network, contract.labels.num_classes)
        if {name for name, _ in network.named_buffers()} - network.state_dict().keys():
            # Of another's backbone: values that no file has, so they must be computed.
            network = build_network(contract.network, contract.labels.num_classes)
    except (ValueError, TypeError) as error:
        raise SsmaError(f"input contract {path}: its network cannot be built ({error})") from None
    if network.modalities != contract.modalities:
        raise SsmaError(
            f"input contract {path}: the network's modalities are {network.modalities}, "
            f"expected {contract.modalities} as its streams are"
        )
    if next(network.parameters()).is_meta:
        # What has storage all the same is no weight: indices that no file holds.
        constants = {name: buffer for name, buffer in network.named_buffers() if not buffer.is_meta}
        network.to_empty(device="cpu")
        for name, buffer in network.named_buffers():
            if name.endswith(_COUNTER):
                buffer.zero_()
            elif name in constants:
                buffer.copy_(constants[name])
    return network


def _normal(description: Mapping[str, object], num_classes: int) -> tuple[dict[str, object], int]:
    """The description with every option explicit."""
    try:
        with torch.device("meta"):
            return build_network(description, num_classes).describe(), num_classes
    except (ValueError, TypeError) as error:
        raise ValueError(f"save_model: the contract's network cannot be built ({error})") from None
