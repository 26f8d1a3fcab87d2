# SPDX-License-Identifier: Apache-2.0
"""On PYTHONPATH: a process with stand-ins for driver, pycuda, TensorRT and torch's CUDA, from its start on.

``SSMA_HOST_KERNELS`` names the folder with the kernels compiled for the host, ``SSMA_SMALL_MODELS`` one that takes the
shipped models' place. What computes is real: the kernels, ONNX Runtime behind TensorRT's names, torch on the processor.
"""

import ctypes
import os
import sys
from functools import partial
from pathlib import Path

TESTS = str(Path(__file__).parents[2])


def put_in_place() -> None:
    """Everything, for good."""
    import pytest
    import torch
    from inference.fake_gpu import OnnxTensorRt, Order, pretend_machine
    from inference.fake_torch_cuda import pretend_cuda
    from preprocessing import cuda_host

    from ssma_ros.inference import loading
    from ssma_ros.kernels.cuda.compiler import SOURCES

    folder = Path(os.environ["SSMA_HOST_KERNELS"])
    kernels = {source: ctypes.CDLL(str(folder / f"lib{source}.so")) for source in SOURCES}
    patch = pytest.MonkeyPatch()
    machine = pretend_machine(patch, Order(), partial(cuda_host.run_kernel, kernels), OnnxTensorRt)
    pretend_cuda(patch, machine.cuda).mode.__enter__()
    patch.setattr(torch, "compile", lambda function, **_: function)
    patch.setattr(loading, "_SHIPPED", Path(os.environ["SSMA_SMALL_MODELS"]))


# A program that starts another, which nobody asks for a GPU, pays nothing: only what runs a step is prepared.
if "ssma_ros.apart" in " ".join(sys.orig_argv):
    sys.path.insert(0, TESTS)
    put_in_place()
