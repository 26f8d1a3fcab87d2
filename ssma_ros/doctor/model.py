# SPDX-License-Identifier: Apache-2.0
"""The network as the node would load it, with one frame through it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.doctor.finding import Finding, run_checks
from ssma_ros.encodings.base import EncoderOptions
from ssma_ros.errors import SsmaError
from ssma_ros.inference import find_model, load_backend
from ssma_ros.inference.loading import INT8_NAME, ModelOptions
from ssma_ros.inference.tensorrt.fingerprint import StaleEngineError
from ssma_ros.options import part
from ssma_ros.segmenter import Segmenter, SegmenterOptions, blank_frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ssma_ros.contract import Contract
    from ssma_ros.frame import Frame
    from ssma_ros.ros.parameters import FusionParameters

#: Frames that are timed.
_FRAMES = 5


@dataclass(frozen=True)
class ModelSeen:
    """What became of the network.

    Attributes:
        parameters: of the node.
        file: that was loaded.
        refused: why it cannot be loaded or run, or empty.
        stale: whether building its engine anew would mend that.
        has_int8: whether an int8 graph lies beside it.
        identity: of the backend.
        contract: None where it could not be loaded.
        preprocessing: ``cpu`` or ``gpu``.
        load_s, warm_up_s: seconds.
        stages_ms: median milliseconds of a frame by stage, ``total`` among them.
        frame_of: what the frame was made of.
        rate_hz: at which colour images come; 0 = there is no hurry.
        missing: by stream that was blank in the frame, why.
        shares: of the classes in the mask, by name.
    """

    parameters: FusionParameters
    file: str = ""
    refused: str = ""
    stale: bool = False
    has_int8: bool = False
    identity: Mapping[str, str] = field(default_factory=dict)
    contract: Contract | None = None
    preprocessing: str = ""
    load_s: float = 0.0
    warm_up_s: float = 0.0
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    frame_of: str = ""
    rate_hz: float = 0.0
    missing: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)


def observe_model(parameters: FusionParameters, frame: Frame | None = None, rate_hz: float = 0.0) -> ModelSeen:
    """Load the network and take a frame through it.

    Args:
        parameters: of the node; an engine is checked, and built anew only where they allow it.
        frame: that the sensors saw; None = a made-up one with every sensor.
        rate_hz: at which colour images come; 0 = there is no hurry.
    """
    asked = part(ModelOptions, parameters)
    begun = time.perf_counter()
    try:
        file = find_model(asked.model, backend=asked.backend, precision=asked.precision)
        backend = load_backend(**vars(asked))
    except SsmaError as error:
        return ModelSeen(parameters, refused=str(error), stale=isinstance(error, StaleEngineError))
    loaded = time.perf_counter()
    try:
        segmenter = Segmenter(
            backend, part(SegmenterOptions, parameters), part(EncoderOptions, parameters),
            parameters.preprocessing_device,
        )
    except SsmaError as error:
        backend.close()
        return ModelSeen(parameters, str(file), refused=str(error))
    with segmenter:
        segmenter.warm_up()
        warm = time.perf_counter()
        contract = segmenter.contract
        results = [segmenter(frame or blank_frame(contract.width, contract.height)) for _ in range(_FRAMES)]
        stages = {name: float(np.median([r.timings_ms[name] for r in results])) for name in results[0].timings_ms}
        mask = results[-1].mask
        return ModelSeen(
            parameters, str(file), has_int8=(Path(file).parent / INT8_NAME).is_file(), identity=backend.identity,
            contract=contract, preprocessing=segmenter.preprocessing, load_s=loaded - begun, warm_up_s=warm - loaded,
            stages_ms=stages, frame_of="the sensors" if frame is not None else "made-up images", rate_hz=rate_hz,
            missing=results[-1].missing if frame is not None else {},
            shares={label.name: float(np.mean(mask == label.id)) for label in contract.labels.classes},
        )


def does_not_run(seen: ModelSeen) -> Iterator[Finding]:
    """A network that the node would refuse at configure."""
    if seen.refused:
        yield Finding("error", "model", seen.refused, "build the engine anew, or let the node do it" if seen.stale else
                      "mend what it says, or name another model", {"rebuild_engine": True} if seen.stale else {})


def too_slow(seen: ModelSeen) -> Iterator[Finding]:
    """A network that cannot keep up with the camera drops frames."""
    total = seen.stages_ms.get("total", 0.0)
    if not seen.rate_hz or total < 1e3 / seen.rate_hz:
        return
    quicker = seen.has_int8 and seen.parameters.precision != "int8"
    yield Finding("warning", "model", f"{total:.0f} ms a frame, colour comes at {seen.rate_hz:.1f} Hz: about "
                  f"{100 * (1 - 1e3 / total / seen.rate_hz):.0f} % of the frames are dropped (the newest win)",
                  "take the int8 graph" if quicker else "slow the camera down, use a GPU, or export a smaller network",
                  {"precision": "int8"} if quicker else {})


CHECKS = (does_not_run, too_slow)


def examine(seen: ModelSeen) -> list[Finding]:
    """Every finding about the network."""
    return run_checks(CHECKS, seen, "model")
