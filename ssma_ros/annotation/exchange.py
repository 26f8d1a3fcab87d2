# SPDX-License-Identifier: Apache-2.0
"""Labels out of a data set into a format, and back."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.annotation.painting import Painted
from ssma_ros.annotation.samples import LABEL, PRELABEL, mask_png
from ssma_ros.annotation.table import FORMATS
from ssma_ros.errors import SsmaError
from ssma_ros.files import check_file_writable, whole_path, write_atomically
from ssma_ros.folders import WholeFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ssma_ros.annotation.painting import Names
    from ssma_ros.annotation.samples import Sample
    from ssma_ros.labels import LabelSet

_ZIP = ".zip"
_SHOWN = 3


@dataclass(frozen=True)
class Exported:
    """What went out: numbers of pictures, those that people labelled, those that a network labelled."""

    pictures: int
    labelled: int
    prelabelled: int


def export_labels(
    samples: Sequence[Sample], labels: LabelSet, output: Path, form: str, *, with_pictures: bool = False,
    on_sample: Callable[[], object] | None = None,
) -> Exported:
    """Write pictures' labels in a format: those of people, else those of a network, else none.

    Args:
        samples: of a data set.
        labels: its label set.
        output: folder to make, or a ``.zip`` file; whole or not at all.
        form: key of :data:`~ssma_ros.annotation.table.FORMATS`.
        with_pictures: copy the pictures into ``images`` beside the labels.
        on_sample: called for each picture.

    Raises:
        SsmaError: a mask cannot be read or expressed in the format, or the output cannot be written.
    """
    _refuse_doubles(samples)
    origins = {s.name: next((kind for kind in (LABEL, PRELABEL) if kind in s.masks), "") for s in samples}

    def painted(folder: Path) -> Iterator[Painted]:
        for sample in samples:
            picture = sample.picture
            if with_pictures:
                shutil.copyfile(picture, folder / "images" / picture.name)
                link = f"images/{picture.name}"
            else:
                link = os.path.relpath(picture, output.absolute())
            kind = origins[sample.name]
            width, height = sample.size
            nothing = np.full((height, width), labels.ignore_id, np.uint8)
            mask = sample.read_mask(kind, labels) if kind else nothing
            yield Painted(sample.name, picture, mask, link, by_network=kind == PRELABEL)
            if on_sample is not None:
                on_sample()

    def fill(folder: Path) -> None:
        if with_pictures:
            (folder / "images").mkdir()
        FORMATS[form].write(painted(folder), labels, folder)

    sources = {sample.picture.parent.parent.parent for sample in samples}
    if output.suffix == _ZIP:
        _write_zip(output, fill)
    else:
        with WholeFolder(output, what="labels", source=sorted(sources)) as folder:
            fill(folder)
    kinds = list(origins.values())
    return Exported(len(samples), kinds.count(LABEL), kinds.count(PRELABEL))


def _write_zip(output: Path, fill: Callable[[Path], None]) -> None:
    check_file_writable(output)
    if output.exists():
        raise SsmaError(f"labels {output}: exists already, expected a new name")
    with tempfile.TemporaryDirectory(prefix=".labels-", dir=output.absolute().parent) as scratch:
        fill(Path(scratch))
        with whole_path(output, "labels") as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(Path(scratch).rglob("*")):
                archive.write(path, path.relative_to(scratch))


@dataclass(frozen=True)
class Imported:
    """What came in: numbers of masks written, of those that were there already and are the same, and of pictures of the
    data set that have none."""

    written: int
    same: int
    without: int


def import_labels(
    source: Path, samples: Sequence[Sample], names: Names, form: str, *, into: str = LABEL, overwrite: bool = False
) -> Imported:
    """Read labels of a format into a data set: everything is read and checked before anything is written.

    Args:
        source: folder, file or ``.zip`` file of the format.
        samples: of the data set, by whose names and sizes the masks are checked.
        names: classes as the file calls them.
        form: key of :data:`~ssma_ros.annotation.table.FORMATS`.
        into: folder of the splits.
        overwrite: replace masks that are there and differ.

    Raises:
        SsmaError: a mask cannot be read, is of no picture of the data set or of another size, there are two of a
            picture, or it would replace another one.
    """
    _refuse_doubles(samples)
    by_name = {sample.name: sample for sample in samples}
    found: dict[str, bytes] = {}
    with _Unpacked(source) as folder:
        for read in FORMATS[form].read(folder, names):
            sample = by_name.get(read.name)
            if sample is None:
                raise SsmaError(f"labels {source}: are of a picture '{read.name}', which the data set does not have "
                                f"(it has {', '.join(list(by_name)[:_SHOWN])}, …)")
            if read.name in found:
                raise SsmaError(f"labels {source}: hold two masks of picture '{read.name}', expected one")
            size = (read.mask.shape[1], read.mask.shape[0])
            if size != sample.size:
                raise SsmaError(f"labels {source}: the mask of '{read.name}' is {size[0]}x{size[1]}, expected "
                                f"{sample.size[0]}x{sample.size[1]} as {sample.picture} is")
            found[read.name] = mask_png(read.mask, names.labels, read.name)
    targets = {name: _target(by_name[name], into) for name in found}
    differing = [name for name, path in targets.items() if path.is_file() and path.read_bytes() != found[name]]
    if differing and not overwrite:
        raise SsmaError(f"labels {source}: would replace {len(differing)} other masks such as "
                        f"{targets[differing[0]]}; --overwrite does it")
    new = [name for name, path in targets.items() if name in differing or not path.is_file()]
    for name in new:
        targets[name].parent.mkdir(exist_ok=True)
        write_atomically(targets[name], found[name])
    return Imported(len(new), len(found) - len(new), len(samples) - len(found))


def _target(sample: Sample, into: str) -> Path:
    """Where a sample's mask is, or is to be."""
    there = sample.masks.get(into)
    if there is not None and there.suffix.lower() != ".png":
        raise SsmaError(f"label image {there}: is there already, expected none or a PNG file")
    return there or sample.picture.parent.parent / into / f"{sample.name}.png"


class _Unpacked:
    """A ``.zip`` file's contents in a temporary folder, anything else as it is; a context manager."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Path:
        if not self._source.exists():
            raise SsmaError(f"labels {self._source}: no such file or folder")
        if self._source.suffix != _ZIP:
            return self._source
        self._scratch = tempfile.TemporaryDirectory(prefix="ssma-labels-")
        try:
            with zipfile.ZipFile(self._source) as archive:
                archive.extractall(self._scratch.name)
        except (zipfile.BadZipFile, OSError) as error:
            self.__exit__()
            raise SsmaError(f"labels {self._source}: cannot be read as a zip file ({error})") from None
        return Path(self._scratch.name)

    def __exit__(self, *_: object) -> None:
        if self._scratch is not None:
            self._scratch.cleanup()


def _refuse_doubles(samples: Sequence[Sample]) -> None:
    """Programs know pictures by their names alone."""
    splits: dict[str, str] = {}
    for sample in samples:
        other = splits.setdefault(sample.name, sample.split)
        if other != sample.split:
            raise SsmaError(f"data set: picture '{sample.name}' is in {other} and in {sample.split}, expected each "
                            "name once; --split names one of them")
