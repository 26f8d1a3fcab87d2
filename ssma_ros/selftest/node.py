# SPDX-License-Identifier: Apache-2.0
"""The live node under 30 Hz, as ``ssma benchmark node`` measures it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError
from ssma_ros.selftest.networks import case_of

if TYPE_CHECKING:
    from ssma_ros.selftest.findings import Findings, Settings

_RATE_HZ = 30.0
_SECONDS = 8.0


def node(settings: Settings, findings: Findings) -> None:
    """Run the node with the shipped network on the best backend there is, and count what comes out."""
    case = case_of(settings, "tensorrt", "fp16") if importlib.util.find_spec("onnx_ir") else None
    if case is None or not Path(case.model).is_file():  # no engine was built: not by this program's fault
        case = case_of(settings, "torch:cuda_graph", "fp16")
    backend = case.backend.partition(":")[0]
    findings.fact("backend", backend)
    with tempfile.TemporaryDirectory(prefix="ssma_selftest_") as folder:
        output = Path(folder) / "node.json"
        command = [
            sys.executable, "-m", "ssma_ros.cli.main", "benchmark", "node", "--model", case.model,
            "--rates", f"{_RATE_HZ:g}", "--duration", f"{_SECONDS:g}", "--no-peak", "--output", str(output),
            "-p", f"backend:={backend}"
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines()
            raise SsmaError(f"node: {lines[-1] if lines else f'ended with status {done.returncode}'}")
        run = json.loads(output.read_text(encoding="utf-8"))["runs"][0]
    findings.check("no frame is lost", run["missed"] <= 0.01 * run["sent"], f"{run['missed']} of {run['sent']} missed")
    findings.check("masks at the cameras' rate", run["output_rate_hz"] >= 0.98 * _RATE_HZ,
                   f"{run['output_rate_hz']:.1f} Hz (expected: {_RATE_HZ:g} Hz)")
    findings.figure("node at 30 Hz: first image to mask", run["latency_p50_ms"], run["latency_p95_ms"])
    findings.fact("processor of the node", f"{run['cpu_percent']:.0f} %")
    for stage, value in run["stages_ms"].items():
        findings.fact(f"stage {stage}, p50 / p95 ms", value)
