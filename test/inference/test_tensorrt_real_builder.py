# SPDX-License-Identifier: Apache-2.0
"""Real engine builds on a machine without a GPU.

The Builder of TensorRT-RTX, which ONNX Runtime's provider wheel carries, works behind TensorRT's own Python bindings
and compiles for every GPU ahead of time, so it needs none. The pairing is unofficial, serves these tests only, and
its Runtime cannot load what it built. See docs/deployment.md for how to set the folder up.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import tensorrt_bindings as trt
from ssma_ros.inference.runtime.gpu import Gpu
from ssma_ros.inference.tensorrt.builder import build_engine

class Progress:
    phases = 0
    def start(self, phase, parent, steps): Progress.phases += 1
    def step(self, phase, step): return True
    def finish(self, phase): pass

gpu = Gpu(0, "none", "0.0", 0, "0.0")
fingerprint = build_engine(sys.argv[2], sys.argv[3], precision=sys.argv[4], gpu=gpu, tensorrt=trt, progress=Progress())
print(json.dumps({"precision": fingerprint.precision, "version": trt.__version__, "phases": Progress.phases}))
"""


@pytest.fixture(scope="module")
def pairing():
    """Folder with the unpacked wheels in ``site`` and the library links in ``lib``."""
    folder = os.environ.get("SSMA_TENSORRT_PAIRING")
    if not folder:
        pytest.skip("SSMA_TENSORRT_PAIRING does not name a folder with TensorRT bindings and TensorRT-RTX libraries")
    path = Path(folder)
    if not (path / "site" / "tensorrt_bindings").is_dir() or not (path / "lib" / "libnvinfer.so.11").exists():
        pytest.skip(f"SSMA_TENSORRT_PAIRING={folder} lacks site/tensorrt_bindings or lib/libnvinfer.so.11")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "precision", "said"),
    [
        ("model.onnx", "fp32", "fp32"),
        ("model.onnx", "auto", "fp16"),
        ("model.fp16.onnx", "auto", "fp16"),
        ("model.int8.onnx", "auto", "int8"),
        ("model.int8-fp16.onnx", "auto", "int8-fp16"),
    ],
)
def test_engine_is_built(pairing, toy_folder, tmp_path, file, precision, said):
    for name in (file, "contract.json"):
        shutil.copy(toy_folder / name, tmp_path)
    engine = tmp_path / "model.engine"
    arguments = [str(pairing / "site"), str(tmp_path / file), str(engine), precision]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(pairing / "lib")}
    # A process of its own: the libraries are found through its environment, and a crash would be its own.
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["precision"] == said
    assert result["phases"] > 3
    assert engine.stat().st_size > 10_000
    assert (tmp_path / "model.engine.json").is_file()
    assert (tmp_path / "model.timing").is_file()
