# SPDX-License-Identifier: Apache-2.0
"""What a result was made with."""

from __future__ import annotations

import platform

import numpy as np
import torch

from ssma_ros.version import __version__


def versions() -> dict[str, str]:
    """What a result depends on beside configuration and data."""
    return {
        "ssma_ros": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
