# SPDX-License-Identifier: Apache-2.0
"""``ssma inspect``: what a model expects, what it answers, how big it is."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    import argparse

    from ssma_ros.contract import Contract
    from ssma_ros.models import SegmentationNetwork

NAME = "inspect"
HELP = "print a model's input contract, parameters and multiply-accumulates"
#: Files that carry a contract but are no PyTorch network.
_DEPLOYED = (".onnx", ".engine", ".xml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "model",
        help="shipped model, model folder, training run, or .safetensors, .onnx or .engine file with its contract "
             "beside it"
    )


def run(args: argparse.Namespace) -> int:
    """Read and print; weights are read too, so a damaged file is found."""
    from ssma_ros.contract import contract_path_for, load_contract
    from ssma_ros.inference import locate_model
    from ssma_ros.inference.loading import ONNX_NAME, WEIGHTS_NAME

    path = locate_model(args.model)
    absent = _absent()
    if (absent or not (path / WEIGHTS_NAME).is_file()) and (path / ONNX_NAME).is_file():
        path = path / ONNX_NAME  # a folder as it goes to the robot
    elif absent and (path / WEIGHTS_NAME).is_file():
        path = path / WEIGHTS_NAME
    network = None
    if path.suffix in _DEPLOYED or (absent and path.is_file()):
        if not path.is_file():
            raise SsmaError(f"model {path}: no such file")
        contract = load_contract(contract_path_for(path))
    else:
        from ssma_ros.models import load_model

        network = load_model(path)
        assert network.contract is not None
        contract = network.contract
    for line in _contract_lines(contract) + ([] if network is None else _network_lines(network, contract)):
        print(line)
    if absent:
        print(f"network      not looked into: {absent} is not installed, expected pip install 'ssma_ros[export]'")
    return 0


def _absent() -> str:
    """The package without which weights cannot be read, as on a robot; empty where all are there."""
    return next((name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None), "")


def _contract_lines(contract: Contract) -> list[str]:
    lines = [contract.description] if contract.description else []
    lines.append(f"input size   {contract.width}x{contract.height}")
    for stream in contract.streams:
        details = f"{stream.encoding} from {' and '.join(stream.sensors)}"
        if any(stream.mean) or any(s != 1 for s in stream.scale):
            details += f", minus {_numbers(stream.mean)}, times {_numbers(stream.scale)}"
        if stream.parameters:
            details += ", " + ", ".join(f"{key} = {value}" for key, value in stream.parameters.items())
        lines.append(f"stream       {stream.name}: {details}")
    lines.append(f"labels       {contract.labels.name}, {contract.labels.num_classes} classes")
    for label in contract.labels.classes:
        note = " (void, not evaluated)" if label.id == contract.labels.void_class else ""
        ground = "" if label.traversability is None else f", traversability {label.traversability:g}"
        lines.append(f"  {label.id:3d} {label.name}, rgb {' '.join(map(str, label.color))}{ground}{note}")
    lines.append(f"temperature  {contract.temperature:g}")
    if contract.vector_scaling is not None:
        pairs = zip(contract.vector_scaling.weights, contract.vector_scaling.bias, strict=True)
        lines.append("scaling      " + ", ".join(f"{weight:g}x{bias:+g}" for weight, bias in pairs))
    lines.append(f"digest       {contract.digest()}")
    return lines


def _network_lines(network: SegmentationNetwork, contract: Contract) -> list[str]:
    from ssma_ros.models import count_macs, count_parameters
    from ssma_ros.models.backbones import remarks

    macs = count_macs(network, contract.width, contract.height)
    lines = [f"network      {network.name}"]
    for key, value in network.describe().items():
        if key not in ("name", "modalities"):
            lines.append(f"  {key} = {value}")
    lines += [f"  note: {remark}" for remark in remarks(network)]
    lines.append(f"parameters   {count_parameters(network):,}")
    lines.append(f"compute      {macs / 1e9:.2f} G multiply-accumulates a frame")
    return lines


def _numbers(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in values) + ")"
