# SPDX-License-Identifier: Apache-2.0
"""What an engine was built from and for: the sidecar file that is read before the engine is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError
from ssma_ros.files import sha256_of, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT = "ssma-engine"
VERSION = 1


class StaleEngineError(SsmaError):
    """The engine is missing, damaged, or was built for something else; building it anew would mend that."""


@dataclass(frozen=True)
class Fingerprint:
    """Identity of a TensorRT engine (plan) file.

    Attributes:
        onnx_sha256: of the ONNX file it was built from.
        contract_digest: of the input contract.
        tensorrt_version: whole version; plans are not portable between versions.
        gpu_name, compute_capability: of the GPU it was tuned on; plans are not portable between GPUs.
        precision: of the graph, for example ``fp16``.
        tensors: inputs and outputs, name → type and shape in words.
        plan_sha256, plan_bytes: of the engine file.
        created: UTC time in ISO 8601.
        build_seconds: how long it took.
    """

    onnx_sha256: str
    contract_digest: str
    tensorrt_version: str
    gpu_name: str
    compute_capability: str
    precision: str
    tensors: Mapping[str, str]
    plan_sha256: str
    plan_bytes: int
    created: str
    build_seconds: float

    def differences(self, expected: Mapping[str, str]) -> list[str]:
        """In words, each field of ``expected`` in which the engine differs."""
        return [
            f"{name.replace('_', ' ')} is {_short(getattr(self, name))}, expected {_short(value)}"
            for name, value in expected.items()
            if getattr(self, name) != value
        ]


def sidecar_path(engine: Path) -> Path:
    """The fingerprint's file: ``X.engine.json`` beside ``X.engine``."""
    return engine.with_name(engine.name + ".json")


def save_fingerprint(fingerprint: Fingerprint, engine: Path) -> None:
    """Write the sidecar, whole or not at all."""
    write_json(sidecar_path(engine), {"format": FORMAT, "version": VERSION, **asdict(fingerprint)})


def load_fingerprint(engine: Path) -> Fingerprint:
    """Read the sidecar of an engine.

    Raises:
        StaleEngineError: it is missing or is not one.
    """
    path = sidecar_path(engine)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.pop("format") != FORMAT or document.pop("version") != VERSION:
            raise ValueError("another format or version")
        return Fingerprint(**document)
    except FileNotFoundError:
        raise StaleEngineError(
            f"engine {engine}: no {path.name} beside it, expected one as 'ssma build-engine' writes"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StaleEngineError(f"engine {engine}: {path.name} is not an engine's fingerprint ({error})") from None


def read_engine(engine: Path, expected: Mapping[str, str]) -> tuple[bytes, Fingerprint]:
    """The plan's bytes, after everything that can be known without a GPU was compared.

    Args:
        engine: the plan file.
        expected: what the fingerprint must say, by field name.

    Raises:
        StaleEngineError: the file is missing, truncated or altered, or was built for something else; the message
            says what differs.
    """
    if not engine.is_file():
        raise StaleEngineError(f"engine {engine}: no such file")
    fingerprint = load_fingerprint(engine)
    differences = fingerprint.differences(expected)
    if differences:
        raise StaleEngineError(f"engine {engine}: {'; '.join(differences)}")
    plan = engine.read_bytes()
    if len(plan) != fingerprint.plan_bytes:
        raise StaleEngineError(
            f"engine {engine}: has {len(plan)} bytes, expected {fingerprint.plan_bytes} (truncated or overwritten)"
        )
    if sha256_of(plan) != fingerprint.plan_sha256:
        raise StaleEngineError(f"engine {engine}: its content was altered since it was built (SHA-256 differs)")
    return plan, fingerprint


def _short(value: object) -> str:
    """Hashes by their first twelve digits, everything else as it is."""
    text = str(value)
    return text[:12] if len(text) == 64 and set(text) <= set("0123456789abcdef") else f"'{text}'"
