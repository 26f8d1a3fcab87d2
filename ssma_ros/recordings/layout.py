# SPDX-License-Identifier: Apache-2.0
"""Which storage files a recording consists of, also where its ``metadata.yaml`` is missing or does not fit them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssma_ros.errors import SsmaError

#: Storage files a recording can consist of; each also compressed as a whole, with ``.zstd`` behind.
STORAGE_SUFFIXES = (".mcap", ".db3")
COMPRESSED = ".zstd"
#: Newest version of ``metadata.yaml`` whose meaning is known (Jazzy and Kilted write 9).
_NEWEST = 9
_REINDEX = "`ros2 bag reindex` writes it anew"


@dataclass(frozen=True)
class Layout:
    """What to read.

    Attributes:
        files: storage files.
        message_count: of them all as ``metadata.yaml`` states it, or None.
        notes: in words, what is not as a recorder leaves it.
    """

    files: tuple[Path, ...]
    message_count: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Metadata:
    """What is used of ``metadata.yaml``; everything else stands in the storage files, which cannot be out of step."""

    names: list[str]
    message_count: int | None = None
    compression: str = ""
    problems: list[str] = field(default_factory=list)


def is_recording(path: Path) -> bool:
    """Whether a folder is a recording, with or without ``metadata.yaml``, or a file is a storage file."""
    if path.is_dir():
        return (path / "metadata.yaml").is_file() or bool(_storage_files(path))
    return _is_storage(path)


def find_storage(path: Path) -> Layout:
    """The storage files of ``path``: a rosbag2 folder, with or without ``metadata.yaml``, or a storage file itself.

    Raises:
        SsmaError: nothing there, or nothing that is a recording.
    """
    if not path.exists():
        raise SsmaError(f"recording {path}: no such file or folder")
    if path.is_file():
        if not _is_storage(path):
            raise SsmaError(
                f"recording {path}: got a '{path.suffix}' file, expected a rosbag2 folder or a "
                f"{' or '.join(STORAGE_SUFFIXES)} file"
            )
        return Layout((path,))
    present = _storage_files(path)
    if not (path / "metadata.yaml").is_file():
        if not present:
            raise SsmaError(
                f"recording {path}: no metadata.yaml and 0 storage files in this folder, expected a rosbag2 recording"
            )
        return Layout(tuple(present), notes=(f"it has no metadata.yaml, {_REINDEX}; {_all_read(present)}",))
    metadata = _read_metadata(path / "metadata.yaml")
    if not present:
        named = ", ".join(metadata.names) or "a storage file"
        raise SsmaError(
            f"recording {path}: {named} is not there, and no other {' or '.join(STORAGE_SUFFIXES)} file "
            f"({'; '.join(metadata.problems) or 'metadata.yaml names it'})"
        )
    if metadata.compression not in ("", "zstd"):
        raise SsmaError(
            f"recording {path}: compressed by '{metadata.compression}', expected zstd; `ros2 bag convert` rewrites it"
        )
    return _compared(metadata, present)


def _compared(metadata: _Metadata, present: list[Path]) -> Layout:
    """The files on the disk against those that are named."""
    by_name = {file.name: file for file in present}
    missing = [name for name in metadata.names if name not in by_name]
    others = [file for file in present if file.name not in metadata.names]
    notes = list(metadata.problems)
    if not metadata.names:
        return Layout(tuple(present), None, tuple(f"{note}; {_all_read(present)}" for note in notes))
    if missing:  # renamed, or lost
        notes.append(
            f"metadata.yaml names {', '.join(missing)}, not there (renamed?), {_REINDEX}; {_all_read(present)}"
        )
        return Layout(tuple(present), metadata.message_count, tuple(notes))
    if others:
        names = ", ".join(file.name for file in others)
        notes.append(f"{names} not read, for metadata.yaml does not name it; {_REINDEX}")
    return Layout(tuple(by_name[name] for name in metadata.names), metadata.message_count, tuple(notes))


def _all_read(files: list[Path]) -> str:
    return f"read: {', '.join(file.name for file in files)}"


def _is_storage(file: Path) -> bool:
    name = file.name.removesuffix(COMPRESSED)
    return file.is_file() and Path(name).suffix in STORAGE_SUFFIXES and not name.startswith("._")


def _storage_files(folder: Path) -> list[Path]:
    """Storage files in a folder; of one that was being compressed the whole one."""
    files = sorted(file for file in folder.iterdir() if _is_storage(file))
    names = {file.name for file in files}
    return [file for file in files if file.name.removesuffix(COMPRESSED) == file.name
            or file.name.removesuffix(COMPRESSED) not in names]  # fmt: skip


def _read_metadata(path: Path) -> _Metadata:
    from ruamel.yaml import YAML  # of the rosbags library
    from ruamel.yaml.error import YAMLError

    try:
        document: Any = YAML(typ="safe").load(path.read_text(encoding="utf-8"))["rosbag2_bagfile_information"]
        version = int(document.get("version", 0))
        names = [Path(name).name for name in document["relative_file_paths"]]
        count = document.get("message_count")
        mode = str(document.get("compression_mode") or "").lower()
        compression = str(document.get("compression_format") or "") if mode not in ("", "none") else ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError, YAMLError) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        return _Metadata([], problems=[f"metadata.yaml cannot be read ({words}), {_REINDEX}"])
    newer = f"metadata.yaml is of version {version}, newer than {_NEWEST}: only its list of files is used"
    return _Metadata(
        names, count if isinstance(count, int) else None, compression, [newer] if version > _NEWEST else []
    )
