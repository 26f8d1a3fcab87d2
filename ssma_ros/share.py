# SPDX-License-Identifier: Apache-2.0
"""Where the package's data files (configuration, demo recording) lie, however it was installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE = "ssma_ros"


def share_path(*parts: str) -> Path | None:
    """The first existing ``<share folder>/<parts>``, or None.

    Searched in this order: the source tree (run in place, or installed editable), colcon's install prefixes
    (AMENT_PREFIX_PATH), Python's own prefix (pip).
    """
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p] + [sys.prefix]
    source_tree = Path(__file__).resolve().parents[1]
    folders = [source_tree] if (source_tree / "package.xml").is_file() else []
    folders += [Path(prefix) / "share" / PACKAGE for prefix in prefixes]
    return next((found for folder in folders if (found := folder.joinpath(*parts)).exists()), None)
