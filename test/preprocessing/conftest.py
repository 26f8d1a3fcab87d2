# SPDX-License-Identifier: Apache-2.0
"""Both implementations of the preprocessing functions, and goldens."""

from __future__ import annotations

import pytest

from ssma_ros.encodings import depth_completion, hha, vegetation
from ssma_ros.kernels import backend


@pytest.fixture(params=["compiled", "plain"])
def implementation(request, monkeypatch) -> str:
    """Run a test with the numba kernels and again as where numba is not installed."""
    if request.param == "compiled":
        pytest.importorskip("numba")
    else:
        for module in (backend, depth_completion, hha, vegetation):
            monkeypatch.setattr(module, "compiled_modules", lambda: None)
    return request.param
