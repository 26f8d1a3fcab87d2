# SPDX-License-Identifier: Apache-2.0
"""Does a graph fit its input contract? Asked before any runtime loads it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ssma_ros.contract import contract_path_for, load_contract
from ssma_ros.errors import SsmaError
from ssma_ros.inference.runtime.onnx_file import META_CONTRACT, META_LABELS, TensorFacts, read_onnx_facts
from ssma_ros.inference.runtime.protocol import OUTPUTS, PRESENT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ssma_ros.contract import Contract
    from ssma_ros.inference.runtime.onnx_file import OnnxFacts


def expected_inputs(contract: Contract) -> dict[str, TensorFacts]:
    """The inputs that a graph for ``contract`` has, in order."""
    image = TensorFacts("uint8", (contract.height, contract.width, 3))
    inputs = dict.fromkeys(contract.modalities, image)
    inputs[PRESENT] = TensorFacts("float32", (len(contract.streams),))
    return inputs


def expected_outputs(contract: Contract) -> dict[str, TensorFacts]:
    """The outputs that a graph for ``contract`` has, in order; the gates' h and w are the network's own (-1)."""
    image = TensorFacts("uint8", (contract.height, contract.width))
    planes = TensorFacts("uint8", (contract.labels.num_classes, contract.height, contract.width))
    gates = TensorFacts("float32", (len(contract.streams), -1, -1))
    return dict(zip(OUTPUTS, (image, image, planes, gates), strict=True))


def check_tensors(
    inputs: Mapping[str, TensorFacts], outputs: Mapping[str, TensorFacts], contract: Contract, where: str
) -> None:
    """Compare a graph's or an engine's inputs and outputs with the contract.

    Raises:
        SsmaError: a name, type or shape differs; the message says which, got and expected.
    """
    for kind, got, expected in (
        ("input", inputs, expected_inputs(contract)),
        ("output", outputs, expected_outputs(contract)),
    ):
        if set(got) != set(expected):
            raise SsmaError(
                f"{where}: its {kind}s are {', '.join(got) or 'none'}, expected {', '.join(expected)} "
                "as the contract says"
            )
        for name, facts in expected.items():
            if not _matches(got[name], facts):
                raise SsmaError(f"{where}: {kind} '{name}' is {got[name]}, expected {facts} as the contract says")


def _matches(got: TensorFacts, expected: TensorFacts) -> bool:
    return (
        got.dtype == expected.dtype
        and len(got.shape) == len(expected.shape)
        and all(e < 0 < g or e == g for g, e in zip(got.shape, expected.shape, strict=True))
    )


def check_onnx(facts: OnnxFacts, contract: Contract, where: str) -> None:
    """Refuse a graph that does not belong to ``contract``.

    Raises:
        SsmaError: inputs, outputs, class names or the recorded contract digest differ.
    """
    check_tensors(facts.inputs, facts.outputs, contract, where)
    if META_LABELS in facts.metadata:
        names = json.loads(facts.metadata[META_LABELS])
        if names != list(contract.labels.names):
            raise SsmaError(
                f"{where}: its classes are {', '.join(map(str, names))}, expected {', '.join(contract.labels.names)} "
                "as the contract says"
            )
    recorded = facts.metadata.get(META_CONTRACT)
    if recorded is None:
        raise SsmaError(f"{where}: no contract digest in its metadata, expected a graph written by 'ssma export'")
    if recorded != contract.digest():
        raise SsmaError(
            f"{where}: was exported with contract {recorded[:12]}, expected {contract.digest()[:12]} "
            "(the contract file was changed after the export, or belongs to another model)"
        )


def load_checked_contract(onnx_path: Path) -> tuple[Contract, OnnxFacts]:
    """The contract beside an ONNX file and the file's facts, found to fit each other.

    Raises:
        SsmaError: either file is missing or unreadable, or they do not fit.
    """
    facts = read_onnx_facts(onnx_path)
    contract = load_contract(contract_path_for(onnx_path))
    check_onnx(facts, contract, f"model {onnx_path}")
    return contract, facts
