# SPDX-License-Identifier: Apache-2.0
"""A frozen network in, arrays out: one small protocol and one backend each for the ways to run it."""

from ssma_ros.inference.loading import BACKENDS, find_model, load_backend, locate_model, shipped_models
from ssma_ros.inference.runtime.protocol import OUTPUTS, PRESENT, Backend, RawOutputs

__all__ = [
    "BACKENDS",
    "OUTPUTS",
    "PRESENT",
    "Backend",
    "RawOutputs",
    "find_model",
    "load_backend",
    "locate_model",
    "shipped_models",
]
