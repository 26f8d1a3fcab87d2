"""Fixtures every room's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images and goldens beside the project; tests skip where it is not there."""
    path = PROJECT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("shared/data (real images and goldens) is not beside the project")
    return path
