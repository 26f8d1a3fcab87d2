# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


@contextmanager
def whole_file(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary file to fill, which is moved to ``path`` once it is on the disk; a context manager.

    It is filled under another name in the same folder, so that a kill, a power cut or a full disk at any moment
    leaves what was at ``path`` before. Leaving with an exception removes it.

    Raises:
        SsmaError: the disk refuses (full, read-only, no such folder).
    """
    with whole_path(path) as partial, partial.open("wb") as file:
        yield file


@contextmanager
def whole_path(path: str | Path, what: str = "file") -> Iterator[Path]:
    """As :func:`whole_file`, for a library that opens the file by its name; messages call it ``what``."""
    path = Path(path)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise SsmaError(f"{what} {path}: cannot be written ({error.strerror or error})") from error
    finally:
        partial.unlink(missing_ok=True)


def check_writable(folder: str | Path, what: str) -> None:
    """Refuse now what writing into ``folder`` would refuse after the work; the folder need not be there yet.

    Args:
        folder: to write into, or to make.
        what: how to call it in messages.

    Raises:
        SsmaError: it, or the folder it would be made in, is a file or may not be written to.
    """
    there = Path(folder).absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise SsmaError(f"{what} {folder}: cannot be made ({there} is a file, expected a folder)")
    if not os.access(there, os.W_OK | os.X_OK):
        raise SsmaError(f"{what} {folder}: cannot be made (nothing may be written in {there}), expected another place")


def check_file_writable(path: str | Path) -> None:
    """Refuse a file that cannot be written, before the work whose result it will hold.

    Raises:
        SsmaError: its folder is missing or cannot be written, or ``path`` is a folder.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise SsmaError(
            f"file {path}: folder {path.parent} does not exist, expected an existing folder for {path.name}"
        )
    if path.is_dir():
        raise SsmaError(f"file {path}: is a folder, expected the name of a file")
    check_writable(path.parent, "folder")


def write_atomically(path: str | Path, data: bytes | memoryview) -> None:
    """Write ``data`` to ``path``, whole or not at all.

    Raises:
        SsmaError: the disk refuses.
    """
    with whole_file(path) as file:
        file.write(data)


def write_json(path: str | Path, document: object, indent: int = 2) -> None:
    """Write a JSON document, whole or not at all.

    Raises:
        SsmaError: the disk refuses.
    """
    write_atomically(path, (json.dumps(document, indent=indent) + "\n").encode())


def encoded_picture(suffix: str, image: NDArray[Any], parameters: Sequence[int] = ()) -> bytes:
    """An H×W or H×W×3 image (B, G, R) as OpenCV encodes it for files of ``suffix``, with its parameters."""
    import cv2

    good, data = cv2.imencode(suffix, image, parameters)
    if not good:
        raise RuntimeError(f"{suffix} encoder refused a {image.dtype} image of shape {image.shape}")
    return data.tobytes()


def write_picture(path: Path, image: NDArray[Any], parameters: Sequence[int] = ()) -> None:
    """Write an image (:func:`encoded_picture`) whole or not at all.

    Raises:
        SsmaError: the disk refuses.
    """
    write_atomically(path, encoded_picture(path.suffix, image, parameters))


def sha256_of(data: bytes | memoryview) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()
