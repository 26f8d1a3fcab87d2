# SPDX-License-Identifier: Apache-2.0
"""No backend and no export looks up a host or leaves files in the home folder."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from ssma_ros.inference import find_model, shipped_models

#: Records name look-ups and connections, then runs the program that follows; waits for threads that would send.
_WATCH = """
import json, socket, sys, threading
calls = []
def record(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto"):
        calls.append([event, repr(arguments[-1] if event == "socket.connect" else arguments[:2])])
sys.addaudithook(record)
def report():
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(20)
    print(json.dumps(calls))
"""

_LOAD = """
from ssma_ros.inference import load_backend
backend = load_backend(sys.argv[1], backend=sys.argv[2], threads=1)
backend.warm_up()
backend.close()
"""

_EXPORT = """
from pathlib import Path
from ssma_ros.inference.build.export import export_onnx
from inference.toy_network import example_frames, toy_contract, toy_network
export_onnx(toy_network(), toy_contract(), Path(sys.argv[1]), precision="int8", calibration=example_frames(2))
"""


def watched(program, home, *arguments):
    """(look-ups and connections, files in the home folder) of a program in a process of its own."""
    home.mkdir()
    # What silences the runtimes from outside must not silence them here.
    silencers = ("CI", "TF_BUILD", "JENKINS_URL", "ORT_DISABLE_TELEMETRY")
    kept = {k: v for k, v in os.environ.items() if k not in silencers and not k.startswith("XDG_")}
    environment = {**kept, "HOME": str(home), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", f"{_WATCH}\n{program}\nreport()", *map(str, arguments)]
    done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    files = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
    return json.loads(done.stdout.splitlines()[-1]), [name for name in files if not name.startswith(".cache/ssma_ros/")]


@pytest.mark.skipif(not shipped_models(), reason="no models in ssma_ros/weights")
@pytest.mark.parametrize("backend", ["openvino", "onnxruntime", "torch"])
def test_loading_a_shipped_model_calls_nobody(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    folder = find_model(shipped_models()[0]).parent
    assert watched(_LOAD, tmp_path / "home", folder, backend) == ([], [])


def test_export_calls_nobody(tmp_path):
    pytest.importorskip("torch")
    assert watched(_EXPORT, tmp_path / "home", tmp_path / "model.onnx") == ([], [])
    assert (tmp_path / "model.onnx").is_file()


@pytest.mark.skipif(importlib.util.find_spec("openvino_telemetry") is None, reason="openvino_telemetry is missing")
def test_telemetry_package_stays_importable(tmp_path):
    program = _LOAD + "import openvino_telemetry, openvino\nassert openvino.convert_model\n"
    calls, files = watched(program, tmp_path / "home", find_model(shipped_models()[0]).parent, "openvino")
    assert (calls, files) == ([], [])
