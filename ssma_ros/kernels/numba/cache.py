# SPDX-License-Identifier: Apache-2.0
"""Keeps numba's cache honest across versions of this package.

numba compiles a kernel anew when the kernel's own file changes, but not when a kernel it calls does, in another file.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from ssma_ros.errors import SsmaError
from ssma_ros.files import write_atomically
from ssma_ros.kernels.numba import fill
from ssma_ros.kernels.shared import constants

_MARKER = "kernels.digest"


def kept_in() -> Path | None:
    """The folder where numba keeps compiled kernels, which need not be there yet; None where it finds none."""
    place = getattr(fill.fast.stats, "cache_path", None)
    return None if place is None else Path(place)


def discard_stale() -> None:
    """Delete cached machine code that was made from other sources than those of this package, once per change."""
    folder, digest = kept_in(), source_digest()
    if folder is None:
        return
    marker = folder / _MARKER
    # No folder yet, or one that is not ours to change: nothing of ours to delete. A full disk: asked again next time.
    with contextlib.suppress(OSError, SsmaError):
        if marker.exists() and marker.read_text(encoding="ascii") == digest:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for stale in (*folder.glob("*.nbi"), *folder.glob("*.nbc")):
            stale.unlink(missing_ok=True)
        write_atomically(marker, digest.encode())


def why_not_kept() -> str:
    """A sentence where numba keeps no compiled code, or nothing."""
    if kept_in() is not None:
        return ""
    return (
        "compiled kernels cannot be kept, neither in the package's folder nor under HOME, and are compiled again at "
        "every start, which takes up to a minute, expected NUMBA_CACHE_DIR to name a folder that can be written"
    )


def source_digest() -> str:
    """SHA-256 over all kernel sources and the numbers that are compiled into them."""
    content = hashlib.sha256()
    for file in (*sorted(Path(__file__).parent.glob("*.py")), Path(constants.__file__)):
        content.update(file.read_bytes())
    return content.hexdigest()
