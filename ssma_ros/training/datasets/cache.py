# SPDX-License-Identifier: Apache-2.0
"""Encoded samples: the network's uint8 inputs and labels, made once with the robot's own encoder."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from tqdm import tqdm

from ssma_ros.errors import SsmaError
from ssma_ros.inputs.encoded import why_blank
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.kernels.shared.resampling import nearest
from ssma_ros.messages.plausibility import IMAGES, Plausibility
from ssma_ros.training.datasets.scratch import scratch_folder
from ssma_ros.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract
    from ssma_ros.frame import Frame
    from ssma_ros.training.datasets import FrameDataset

logger = logging.getLogger(__name__)

_META = "meta.json"


@dataclass(frozen=True)
class Sample:
    """One encoded sample at the contract's size.

    Attributes:
        images: for each stream H×W×3 uint8, zero where the stream is blank.
        present: for each stream whether it could be made.
        label: H×W uint8 train ids or the ignore id.
    """

    images: tuple[NDArray[np.uint8], ...]
    present: tuple[bool, ...]
    label: NDArray[np.uint8]


class Samples(Protocol):
    """Random access to encoded samples."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def name(self, index: int) -> str:
        """Name of a sample."""
        ...

    def group(self, index: int) -> str | None:
        """Group of a sample, see :meth:`ssma_ros.training.datasets.FrameDataset.group`."""
        ...

    def blank(self, index: int) -> Mapping[str, str]:
        """Streams that a sample lacks, each with the reason. Reads and checks the sample's files and encodes nothing;
        several threads may ask at once."""
        ...

    @property
    def digest(self) -> str:
        """Of the data and the encoding."""
        ...


class EncodedSamples:
    """Encodes on the fly. Labels are resized to the nearest pixel."""

    def __init__(self, dataset: FrameDataset, contract: Contract) -> None:
        self._dataset = dataset
        self._streams = contract.streams
        self._encoder = InputEncoder(contract)
        self._digest = _digest(dataset, contract)

    def __len__(self) -> int:
        return len(self._dataset)

    def name(self, index: int) -> str:
        """Name of a sample."""
        return self._dataset.name(index)

    def group(self, index: int) -> str | None:
        """Group of a sample."""
        return self._dataset.group(index)

    def blank(self, index: int) -> Mapping[str, str]:
        """Streams that a sample lacks, see :class:`Samples`."""
        frame = self._dataset.frame(index)
        self._dataset.label(index)
        reasons = {stream.name: why_blank(stream, frame) for stream in self._streams}
        return {name: reason for name, reason in reasons.items() if reason is not None}

    @property
    def digest(self) -> str:
        """Of the data and the encoding."""
        return self._digest

    def __getitem__(self, index: int) -> Sample:
        sample = encode_sample(self._encoder, self._dataset.frame(index), self._dataset.label(index))
        self._encoder.reset()  # samples are taken in any order; nothing carries over
        return sample


def encode_sample(encoder: InputEncoder, frame: Frame, label: NDArray[np.uint8]) -> Sample:
    """One sample as the robot would see it; the H×W ``label`` goes to the network's size by nearest pixel."""
    contract = encoder.contract
    encoded = encoder.encode(frame)
    blank = np.zeros((contract.height, contract.width, 3), np.uint8)
    return Sample(
        images=tuple(encoded.inputs.get(name, blank) for name in contract.modalities),
        present=tuple(encoded.present[name] for name in contract.modalities),
        label=nearest(label, contract.width, contract.height),
    )


class CachedSamples:
    """Reads samples from memory-mapped arrays that :func:`build_cache` wrote.

    Args:
        folder: of the cache.
        group: index → group of a sample; not kept in the cache, for it decides nothing that was encoded. None = no
            groups.
    """

    def __init__(self, folder: Path, group: Callable[[int], str | None] | None = None) -> None:
        self._group = group
        meta = json.loads((folder / _META).read_text(encoding="utf-8"))
        self._names: list[str] = meta["names"]
        self._digest: str = meta["digest"]
        self._streams: list[str] = meta["streams"]
        self._images = [np.load(folder / f"{stream}.npy", mmap_mode="r") for stream in self._streams]
        self._labels = np.load(folder / "label.npy", mmap_mode="r")
        self._present = np.load(folder / "present.npy")

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """Name of a sample."""
        return self._names[index]

    def group(self, index: int) -> str | None:
        """Group of a sample."""
        return None if self._group is None else self._group(index)

    def blank(self, index: int) -> Mapping[str, str]:
        """Streams that a sample lacks; why was told when the cache was made."""
        pairs = zip(self._streams, self._present[index], strict=True)
        return {stream: "it was when the cache was made" for stream, there in pairs if not there}

    @property
    def digest(self) -> str:
        """Of the data and the encoding."""
        return self._digest

    def __getitem__(self, index: int) -> Sample:
        return Sample(
            images=tuple(np.asarray(array[index]) for array in self._images),
            present=tuple(bool(p) for p in self._present[index]),
            label=np.asarray(self._labels[index]),
        )


def open_samples(
    dataset: FrameDataset, contract: Contract, cache: str | Path = "", *, progress: bool = True
) -> Samples:
    """Encoded samples of a split; with ``cache`` they are made once and read from there afterwards.

    Raises:
        SsmaError: a file of the data set is missing or wrong.
    """
    samples = EncodedSamples(dataset, contract)
    for sentence in doubts(dataset):
        logger.warning("data set %s, %s: %s", dataset.root, dataset.split, sentence)
    if not cache:
        return samples
    # A picture may be changed and keep its size: a cache belongs to the files as they were.
    key = hashlib.sha256(f"{samples.digest} {dataset.state()}".encode()).hexdigest()
    folder = Path(cache) / f"{dataset.split}-{key[:16]}"
    if not (folder / _META).is_file():
        build_cache(samples, contract.modalities, folder, progress=progress)
    return CachedSamples(folder, dataset.group)


def doubts(dataset: FrameDataset) -> list[str]:
    """What the values of a few samples look like where they look wrong: another unit, a wrong full scale, nothing.

    Raises:
        SsmaError: a file of the data set is missing or wrong.
    """
    plausibility = Plausibility()
    said: dict[str, str] = {}
    for step in range(IMAGES):  # of a smaller set some are looked at twice
        said = plausibility.look(dataset.frame(step * len(dataset) // IMAGES))
    return list(said.values())


def build_cache(samples: Samples, streams: Sequence[str], folder: Path, *, progress: bool = True) -> None:
    """Encode every sample into ``folder``, which appears whole or not at all.

    Runs that start side by side on the same data may do this at the same time: each fills a folder of its own, and the
    one that is ready last finds the other's in place and keeps that.

    Raises:
        SsmaError: a file of the data set is missing or wrong, or the disk refuses.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(folder.parent, folder.name) as partial:
            _write(samples, streams, partial, progress=progress)
            if not (folder / _META).is_file():
                shutil.rmtree(folder, ignore_errors=True)
                _move(partial, folder)
    except OSError as error:
        raise SsmaError(f"cache {folder}: cannot be written ({error.strerror or error})") from error


def _move(partial: Path, folder: Path) -> None:
    """Rename, unless another process has put the same content there in this moment."""
    try:
        partial.rename(folder)
    except OSError:
        if not (folder / _META).is_file():
            raise


def _write(samples: Samples, streams: Sequence[str], folder: Path, *, progress: bool) -> None:
    height, width = samples[0].label.shape
    count = len(samples)
    images = [_array(folder / f"{s}.npy", (count, height, width, 3)) for s in streams]
    labels = _array(folder / "label.npy", (count, height, width))
    present = np.zeros((count, len(streams)), np.bool_)
    for index in tqdm(range(count), desc=f"encoding {folder.name}", unit="sample", disable=not progress):
        sample = samples[index]
        for array, image in zip(images, sample.images, strict=True):
            array[index] = image
        labels[index] = sample.label
        present[index] = sample.present
    for array in (*images, labels):
        array.flush()
    np.save(folder / "present.npy", present)
    meta = {"digest": samples.digest, "streams": list(streams), "names": [samples.name(i) for i in range(count)]}
    (folder / _META).write_text(json.dumps(meta), encoding="utf-8")


def _array(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """A memory-mapped uint8 array in a new file, all of it on the disk already.

    A mapped file with holes would be killed (SIGBUS) where the disk runs full, instead of being told.
    """
    array: np.memmap[Any, np.dtype[np.uint8]] = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.uint8, shape=shape
    )
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _digest(dataset: FrameDataset, contract: Contract) -> str:
    """Of the data, and of everything that decides how it is encoded."""
    streams = [{k: s[k] for k in ("name", "encoding", "parameters")} for s in contract.to_document()["streams"]]
    facts = {
        "data": dataset.digest(),
        "size": [contract.width, contract.height],
        "streams": streams,
        # The data set's, which maps its labels by them; the contract's may come from another set of the same classes.
        "raw_ids": {str(raw): train for raw, train in dataset.labels.raw_ids.items()},
        "version": __version__,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
