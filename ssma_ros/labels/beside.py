# SPDX-License-Identifier: Apache-2.0
"""The label set of a data set, which lies in its folder."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError
from ssma_ros.files import write_json
from ssma_ros.labels.label_set import available_label_sets, load_label_set

if TYPE_CHECKING:
    from pathlib import Path

    from ssma_ros.labels.label_set import LabelSet

LABELS_NAME = "labels.json"


def keep_label_set(labels: LabelSet, folder: Path) -> None:
    """Write a label set into a data set's folder.

    Raises:
        SsmaError: another one is there, or the disk refuses.
    """
    path = folder / LABELS_NAME
    if path.is_file():
        if load_label_set(path) != labels:
            raise SsmaError(f"label set {path}: is another one than '{labels.name}', expected the same; remove the "
                            "file where the data set's labels are to be others")
        return
    write_json(path, asdict(labels))


def label_set_of(folder: Path, named: str | None) -> LabelSet:
    """The label set that is ``named``, by name or path, else the one in a data set's folder.

    Raises:
        SsmaError: neither is there, or it is no label set.
    """
    path = folder / LABELS_NAME
    if named is None and not folder.is_dir():
        raise SsmaError(f"data set {folder}: no such folder, expected one with {LABELS_NAME}")
    if named is None and not path.is_file():
        known = ", ".join(available_label_sets())
        raise SsmaError(f"data set {folder}: has no {LABELS_NAME}, expected the classes of its labels: give --labels "
                        f"NAME ({known}) or --labels FILE.json")
    return load_label_set(path if named is None else named)
