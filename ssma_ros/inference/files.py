"""Hashes of files, and writing them whole or not at all."""

from __future__ import annotations

import hashlib

from ssma_ros.files import write_atomically

__all__ = ["sha256_of", "write_atomically"]


def sha256_of(data: bytes | memoryview) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()
