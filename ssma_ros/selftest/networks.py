# SPDX-License-Identifier: Apache-2.0
"""Networks on every backend of the GPU: built or compiled, compared with float32 on the processor, timed."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssma_ros.inference.benchmark import Case
    from ssma_ros.inference.build.verify import EncodedFrame
    from ssma_ros.inference.runtime.protocol import Backend
    from ssma_ros.selftest.findings import Findings, Settings

SHIPPED = "forest_rgb_hha_evi"
#: Frames that agreement is counted on, and that an int8 graph is calibrated with.
_FRAMES = 6
#: Milliseconds at 768×384 that we hope for on an H200, by network and backend.
TARGETS_MS = {("ssma-resnet50-rgb-hha", "tensorrt", "fp16"): 1.0, (SHIPPED, "tensorrt", "fp16"): 0.5}


def shipped(settings: Settings, findings: Findings, backend: str, precision: str) -> None:
    """The network that comes with the package, at its own size: its agreement with float32 must reach the threshold."""
    from ssma_ros.contract import load_contract
    from ssma_ros.inference.build.verify import threshold_for
    from ssma_ros.selftest.frames import camera_frames, encoded

    folder = shipped_folder(settings)
    frames = encoded(load_contract(folder / "contract.json"), camera_frames(_FRAMES, findings))
    case = _case(settings, SHIPPED, folder, backend, precision)
    prepare(case, frames)
    candidate = _open(case, findings)
    agreement = _agreement(candidate, folder, frames, findings)
    threshold = threshold_for(candidate.identity)
    findings.check("classes as float32's", agreement >= threshold,
                   f"{100 * agreement:.3f} % of pixels (expected: {100 * threshold:g} %)")
    _time(case, candidate, frames[0], findings)
    candidate.close()
    if backend == "tensorrt":
        again = _open(case, findings)
        findings.check("the engine is loaded again, not built", again.identity == candidate.identity,
                       f"built {again.identity['built']}")
        again.close()


def measured(settings: Settings, findings: Findings, network: str, backend: str, precision: str) -> None:
    """An untrained network of the benchmarks: timed; its agreement is told, and no threshold holds for it."""
    from ssma_ros.contract import load_contract
    from ssma_ros.inference.benchmark import prepare_model
    from ssma_ros.selftest.frames import encoded, made_frame

    folder = prepare_model(network, settings.width, settings.height, Path(settings.models), ())
    frames = encoded(load_contract(folder / "contract.json"), [made_frame(0)])
    case = _case(settings, network, folder, backend, precision)
    prepare(case, frames)
    candidate = _open(case, findings)
    _time(case, candidate, frames[0], findings)
    _agreement(candidate, folder, frames, findings)
    candidate.close()


def shipped_folder(settings: Settings) -> Path:
    """A copy of the shipped model that graphs and engines can be put beside."""
    from ssma_ros.inference.loading import locate_model

    target = Path(settings.models) / SHIPPED
    target.mkdir(parents=True, exist_ok=True)
    for name in ("contract.json", "weights.safetensors", "model.onnx"):
        if not (target / name).is_file():
            shutil.copy(locate_model(SHIPPED) / name, target)
    return target


def prepare(case: Case, frames: Sequence[EncodedFrame]) -> None:
    """Make the graph that a case reads or is built from, where it is not there yet."""
    from ssma_ros.inference.benchmark import add_graph

    model = Path(case.model)
    if model.suffix != ".safetensors":
        add_graph(model.parent, model.name.split(".")[1], frames)


def case_of(settings: Settings, backend: str, precision: str) -> Case:
    """The shipped network on a backend, its graph at hand."""
    folder = shipped_folder(settings)
    case = _case(settings, SHIPPED, folder, backend, precision)
    prepare(case, ())
    return case


def _case(settings: Settings, network: str, folder: Path, backend: str, precision: str) -> Case:
    from ssma_ros.contract import load_contract
    from ssma_ros.inference.benchmark import GPU_CASES, Case

    file = next(file for name, of, file in GPU_CASES if (name, of) == (backend, precision))
    contract = load_contract(folder / "contract.json")
    return Case(network, contract.width, contract.height, backend, precision, str(folder / file),
                seconds=settings.seconds)


def _open(case: Case, findings: Findings) -> Backend:
    from ssma_ros.inference.benchmark import load_case

    backend = load_case(case)
    for name, words in backend.identity.items():
        if name != "model":
            findings.fact(name, words)
    return backend


def _time(case: Case, backend: Backend, frame: EncodedFrame, findings: Findings) -> None:
    from ssma_ros.inference.benchmark import time_calls

    backend.warm_up()
    found = time_calls(case, backend, *frame)
    findings.measurement(asdict(found))
    target = TARGETS_MS.get((case.network, case.backend, case.precision))
    words = f"{case.network}, {case.backend} {case.precision}"
    findings.figure(f"{words}: network", found.device_ms, found.device_p95_ms, target)
    findings.figure(f"{words}: call", found.call_ms, found.call_p95_ms)


def _agreement(candidate: Backend, folder: Path, frames: Sequence[EncodedFrame], findings: Findings) -> float:
    """Share of pixels whose class is that of float32 on the processor."""
    from ssma_ros.inference.build.verify import verify

    reference = _reference(folder)
    result = verify(candidate, reference, frames)
    reference.close()
    findings.fact("agreement with float32 on the processor", (
        f"{100 * result.agreement:.3f} % of {result.pixels} pixels, {100 * result.worst_frame[1]:.3f} % in the worst "
        f"frame; probabilities differ by {result.mean_difference / 255:.5f} in the mean, "
        f"{result.max_difference / 255:.3f} at most"
    ))
    return result.agreement


def _reference(folder: Path) -> Backend:
    from ssma_ros.inference import load_backend

    if importlib.util.find_spec("onnxruntime") is not None:
        return load_backend(folder / "model.onnx", backend="onnxruntime")
    try:
        from ssma_ros.inference.runtime.torch_backend import TorchBackend

        return TorchBackend(folder / "weights.safetensors", device="cpu", precision="fp32")
    except SsmaError as error:
        raise SsmaError(f"no reference in float32: onnxruntime is not installed, and {error}") from None
