# SPDX-License-Identifier: Apache-2.0
"""Frames for the commands that calibrate, verify and measure: from a recording or from a labelled data set."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from ssma_ros.cli._data import DataForm
    from ssma_ros.contract import Contract
    from ssma_ros.messages.assemble import AssemblyOptions


@dataclass(frozen=True)
class EncodedFrame:
    """One frame as the network takes it.

    Attributes:
        inputs: H×W×3 uint8 image of each present stream.
        present: whether each stream is.
        label: H×W uint8 class ids at the network's size, or None where the source has none.
    """

    inputs: Mapping[str, NDArray[np.uint8]]
    present: Mapping[str, bool]
    label: NDArray[np.uint8] | None = None

    def feed(self, contract: Contract) -> dict[str, NDArray]:
        """The exported graph's inputs, blank streams as zeros."""
        from ssma_ros.inference.runtime.protocol import PRESENT

        blank = np.zeros((contract.height, contract.width, 3), np.uint8)
        images = {name: self.inputs.get(name, blank) for name in contract.modalities}
        flags = np.array([self.present[name] for name in contract.modalities], np.float32)
        return {**images, PRESENT: flags}


def require_source(source: Path) -> None:
    """Refuse now what :func:`encoded_frames` would, once a network is loaded.

    Raises:
        SsmaError: there is no such file or folder.
    """
    if not source.exists():
        raise SsmaError(f"frames {source}: no such file or folder, expected a recording or a data set split ROOT/SPLIT")


def checked_frames(args: argparse.Namespace, contract: Contract, source: Path, count: int) -> list[EncodedFrame]:
    """As :func:`encoded_frames`, read as ``args`` (or the run of ``args.model``) say; what is blank is told.

    Raises:
        SsmaError: as there, or a stream is blank in every frame: neither calibration nor agreement would mean anything.
    """
    from ssma_ros.cli._data import data_form, is_recording, recording_form
    from ssma_ros.inference import locate_model

    if is_recording(source):
        frames = encoded_frames(contract, source, count, assembly=recording_form(args, source))
    else:
        frames = encoded_frames(contract, source, count, data_form(args, [locate_model(args.model)]))
    for stream in contract.modalities:
        lacking = sum(not frame.present[stream] for frame in frames)
        if lacking == len(frames):
            raise SsmaError(f"frames: stream '{stream}' is blank in all {lacking} frames of {source}, expected every "
                            "stream of the contract in some; check sensors, calibration and --options")
        if lacking:
            print(f"ssma: stream '{stream}' is blank in {lacking} of {len(frames)} frames of {source}", file=sys.stderr)
    return frames


def encoded_frames(
    contract: Contract,
    source: Path,
    count: int,
    form: DataForm | None = None,
    assembly: AssemblyOptions | None = None,
) -> list[EncodedFrame]:
    """Up to ``count`` frames, spread evenly over the source.

    Args:
        contract: of the network to feed.
        source: a rosbag2 recording, or a split of a data set, ROOT/SPLIT.
        count: how many at most.
        form: how the files of a data set are read.
        assembly: how the messages of a recording are read.

    Raises:
        SsmaError: the source is neither, is damaged, or holds no frame the network can use.
    """
    from ssma_ros.cli._data import DataForm

    if count < 1:
        raise SsmaError(f"frames: got {count}, expected at least 1")
    form = form or DataForm()
    labelled = form.kind != "folder" or (source / "label").is_dir()
    if labelled:
        found = _from_dataset(contract, source, count, form)
    else:
        found = _from_recording(contract, source, count, assembly)
    frames = [frame for frame in found if any(frame.present.values())]
    if not frames:
        raise SsmaError(f"frames: {source} holds no frame with a sensor for {', '.join(contract.modalities)}")
    return frames


def _from_recording(
    contract: Contract, source: Path, count: int, assembly: AssemblyOptions | None
) -> Iterator[EncodedFrame]:
    from ssma_ros.inputs.processor import InputEncoder
    from ssma_ros.recordings.frames import RecordedFrames
    from ssma_ros.recordings.reader import RecordingReader
    from ssma_ros.recordings.topics import find_input_topics

    encoder = InputEncoder(contract)
    with RecordingReader(source) as reader:
        topics = find_input_topics(reader.topics, str(source)).without("label")
        frames = RecordedFrames(reader, topics, assembly=assembly)
        step = max(1, len(frames) // count)
        for recorded in frames.read(range(0, min(len(frames), step * count), step)):
            encoded = encoder.encode(recorded.frame)
            encoder.reset()  # frames are far apart; nothing carries over
            yield EncodedFrame(encoded.inputs, encoded.present)
        for warning in frames.account.warnings():
            print(f"ssma: recording {source}: {warning}", file=sys.stderr)


def _from_dataset(contract: Contract, source: Path, count: int, form: DataForm) -> Iterator[EncodedFrame]:
    """As training and evaluation see them."""
    from ssma_ros.training.datasets import open_dataset
    from ssma_ros.training.datasets.cache import open_samples

    samples = open_samples(open_dataset(form.kind, source.parent, source.name, contract.labels, form.options), contract)
    step = max(1, len(samples) // count)
    for index in range(0, min(len(samples), step * count), step):
        sample = samples[index]
        present = dict(zip(contract.modalities, sample.present, strict=True))
        images = dict(zip(contract.modalities, sample.images, strict=True))
        yield EncodedFrame({name: image for name, image in images.items() if present[name]}, present, sample.label)
