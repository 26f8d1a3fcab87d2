# SPDX-License-Identifier: Apache-2.0
"""The input contract: one small file that travels with the weights and says what the network expects.

Training, evaluation, export, replay and the node all read this file, and an engine refuses inputs that differ.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from ssma_ros.documents import load_json, read, short
from ssma_ros.encodings.table import ENCODINGS, parameters_of
from ssma_ros.errors import SsmaError, expected_one_of
from ssma_ros.files import write_json
from ssma_ros.labels import LabelSet, load_label_set
from ssma_ros.labels.label_set import parse_label_set

FORMAT = "ssma-input-contract"
VERSION = 1
#: Of a contract with vector scaling. Readers of version 1 know no such thing: they would leave it out without a word,
#: and so are made to refuse the file.
VERSION_SCALED = 2
FILE_NAME = "contract.json"
#: A stream names a topic, a graph's input and a key of files: it must be good for all of them.
_NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")
#: Names that are taken: outputs of the node, as ``~/mask``, inputs and outputs of the exported graph.
RESERVED_NAMES = (
    "camera_info", "channel_info", "color_mask", "confidence", "depth_completed", "gates", "label_info", "mask",
    "modality_weights", "overlay", "points", "present", "probabilities", "semantic_image", "traversability",
)


@dataclass(frozen=True)
class Stream:
    """One input of the network.

    Attributes:
        name: name of the modality, of the graph's input and of the gate image (for example ``hha``).
        encoding: key of :data:`ssma_ros.encodings.table.ENCODINGS`, how the H×W×3 uint8 input is made from the sensors.
        mean: subtracted from each channel (0..255 units), inside the graph.
        scale: each channel is multiplied by this after the mean, inside the graph.
        parameters: of the encoding (for example ``{"completion": "fast"}``), see docs/contract.md.
    """

    name: str
    encoding: str
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Whole numbers and lists would change the digest against the same contract read from a file.
        for name in ("mean", "scale"):
            object.__setattr__(self, name, tuple(float(v) for v in getattr(self, name)))

    @property
    def sensors(self) -> tuple[str, ...]:
        """Sensors this stream is made from."""
        return ENCODINGS[self.encoding].sensors


@dataclass(frozen=True)
class VectorScaling:
    """Calibration by class (Guo et al. 2017): a logit becomes weight · (logit / temperature) + bias.

    Unlike a temperature it may change which class is the largest.

    Attributes:
        weights: positive, for each class.
        bias: for each class.
    """

    weights: tuple[float, ...]
    bias: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("weights", "bias"):
            object.__setattr__(self, name, tuple(float(v) for v in getattr(self, name)))


@dataclass(frozen=True)
class Contract:
    """What a trained network expects and what it answers.

    Attributes:
        width, height: of every network input and output, pixels.
        streams: in the order of the network's modalities.
        labels: classes of the output.
        network: name and constructor arguments of the PyTorch network (``{"name": "SSMA", ...}``).
        temperature: logits are divided by this before the softmax (1 = as trained).
        vector_scaling: by class, after the temperature, or None. Mask and confidence come from the scaled logits.
        description: one sentence for people, for example what it was trained on.
    """

    width: int
    height: int
    streams: tuple[Stream, ...]
    labels: LabelSet
    network: Mapping[str, Any] = field(default_factory=dict)
    temperature: float = 1.0
    description: str = ""
    vector_scaling: VectorScaling | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "streams", tuple(self.streams))
        object.__setattr__(self, "temperature", float(self.temperature))

    @property
    def modalities(self) -> tuple[str, ...]:
        """Stream names in network order."""
        return tuple(s.name for s in self.streams)

    def to_document(self) -> dict[str, Any]:
        """The contract as JSON-ready data (labels written out, so that the file stands alone)."""
        labels = asdict(self.labels)
        labels["raw_ids"] = {str(k): v for k, v in self.labels.raw_ids.items()}
        document: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION if self.vector_scaling is None else VERSION_SCALED,
            "description": self.description,
            "width": self.width,
            "height": self.height,
            "streams": [asdict(s) for s in self.streams],
            "labels": labels,
            "network": dict(self.network),
            "temperature": self.temperature,
        }
        if self.vector_scaling is not None:
            document["vector_scaling"] = {key: list(values) for key, values in asdict(self.vector_scaling).items()}
        return document

    def digest(self) -> str:
        """SHA-256 of everything that changes inputs or outputs (the description does not)."""
        document = self.to_document()
        del document["description"]
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def save_contract(contract: Contract, path: str | Path) -> None:
    """Write ``contract`` to ``path`` (JSON), whole or not at all.

    Raises:
        SsmaError: the disk refuses.
    """
    write_json(path, contract.to_document())


def load_contract(path: str | Path) -> Contract:
    """Read a contract file.

    Raises:
        SsmaError: the file is missing, is not a contract, or states something impossible.
    """
    missing = f"{FILE_NAME} beside the weights"
    return parse_contract(load_json(path, "input contract", missing), str(path), Path(path).parent)


def parse_contract(document: Any, where: str, beside: Path | None = None) -> Contract:
    """Build a contract from its JSON document.

    Args:
        document: data of the file.
        where: names the source in messages.
        beside: folder that the path of a label set counts from, see :func:`ssma_ros.labels.load_label_set`.

    Raises:
        SsmaError: wrong format or version, an unknown or missing field, or an impossible value.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise SsmaError(f"input contract {where}: not a contract, expected \"format\": \"{FORMAT}\"")
    version = VERSION if document.get("vector_scaling") is None else VERSION_SCALED
    if document.get("version") != version:
        reason = "" if version == VERSION else " as it has vector_scaling"
        raise SsmaError(
            f"input contract {where}: version is {document.get('version')}, expected {version}{reason}"
        )
    stated = {key: value for key, value in document.items() if key not in ("format", "version")}
    if "labels" in stated:
        stated["labels"] = _parse_labels(stated["labels"], where, beside)
    contract = read(Contract, stated, f"input contract {where}")
    _check(contract, where)
    return contract


def _parse_labels(labels: Any, where: str, beside: Path | None) -> LabelSet:
    if isinstance(labels, str):
        return load_label_set(labels, beside)
    if not isinstance(labels, Mapping):
        raise SsmaError(f"input contract {where}: labels is {short(labels)}, expected the name of a label set or one")
    return parse_label_set(labels, f"in contract {where}")


def _check(contract: Contract, where: str) -> None:
    if contract.width <= 0 or contract.height <= 0 or contract.width % 16 or contract.height % 16:
        raise SsmaError(
            f"input contract {where}: size is {contract.width}x{contract.height}, expected positive multiples of 16"
        )
    if not contract.streams:
        raise SsmaError(f"input contract {where}: no streams, expected at least one")
    if len(set(contract.modalities)) != len(contract.streams):
        raise SsmaError(f"input contract {where}: stream names are {contract.modalities}, expected distinct names")
    for stream in contract.streams:
        _check_name(stream.name, where)
        if stream.encoding not in ENCODINGS:
            raise SsmaError(
                f"input contract {where}: stream '{stream.name}' has encoding '{stream.encoding}', "
                f"{expected_one_of(stream.encoding, ENCODINGS)}"
            )
        check_parameters(stream, f"input contract {where}")
    if not contract.temperature > 0:
        raise SsmaError(f"input contract {where}: temperature is {contract.temperature}, expected a positive number")
    _check_scaling(contract, where)


def _check_name(name: str, where: str) -> None:
    if not _NAME.fullmatch(name):
        raise SsmaError(f"input contract {where}: stream name is '{name}', expected a letter, then letters, digits and "
                        "underscores: it becomes the name of a topic")
    if name in RESERVED_NAMES:
        raise SsmaError(f"input contract {where}: stream name is '{name}', expected another: these are taken by "
                        f"outputs ({', '.join(RESERVED_NAMES)})")


def check_parameters(stream: Stream, what: str = "input contract") -> None:
    """Refuse a parameter that the stream's encoding does not have.

    Raises:
        SsmaError: with those it has, and what was probably meant.
    """
    known = parameters_of(stream.encoding)
    for key in stream.parameters:
        if key not in known:
            expected = expected_one_of(key, known) if known else "expected none"
            raise SsmaError(f"{what}: stream '{stream.name}' ({stream.encoding}) has parameter '{key}', {expected}")


def _check_scaling(contract: Contract, where: str) -> None:
    scaling, count = contract.vector_scaling, contract.labels.num_classes
    if scaling is None:
        return
    if len(scaling.weights) != count or len(scaling.bias) != count:
        raise SsmaError(f"input contract {where}: vector_scaling has {len(scaling.weights)} weights and "
                        f"{len(scaling.bias)} biases, expected {count} each, one for each class")
    if not all(0 < w < inf for w in scaling.weights) or not all(-inf < b < inf for b in scaling.bias):
        raise SsmaError(f"input contract {where}: vector_scaling has weights {list(scaling.weights)} and bias "
                        f"{list(scaling.bias)}, expected positive weights and finite numbers")


def contract_path_for(model_file: str | Path) -> Path:
    """The contract that belongs to a weights, ONNX or engine file.

    ``X.contract.json`` beside ``X.safetensors`` / ``X.onnx`` / ``X.engine`` where it exists, else
    ``contract.json`` in the same folder. The path is returned whether or not the file exists.
    """
    model_file = Path(model_file)
    own = model_file.with_name(model_file.stem + ".contract.json")
    return own if own.is_file() else model_file.with_name(FILE_NAME)
