# SPDX-License-Identifier: Apache-2.0
"""What ``ssma play`` does with one recording, in whichever process, and what it says of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssma_ros.recordings.play import PlayOptions, PlayResult
    from ssma_ros.ros.parameters import FusionParameters
    from ssma_ros.segmenter import Segmenter


@dataclass(frozen=True)
class PlayJob:
    """One recording to play.

    Attributes:
        recording: to read.
        output: recording to make.
        parameters: of the node, which say what network runs.
        options: how to play.
    """

    recording: Path
    output: Path
    parameters: FusionParameters
    options: PlayOptions


def outputs_of(recordings: Sequence[Path], folder: Path) -> list[Path]:
    """Where the output of each recording goes: into ``folder``, by its name; a single one is ``folder`` itself.

    Raises:
        SsmaError: two recordings have one name.
    """
    if len(recordings) == 1:
        return [folder]
    found: dict[str, Path] = {}
    for recording in recordings:
        name = recording.resolve().with_suffix("").name
        if name in found:
            raise SsmaError(f"recordings {found[name]} and {recording}: have one name, expected distinct names, by "
                            f"which their outputs lie in {folder}")
        found[name] = recording
    return [folder / name for name in found]


def play_one(job: PlayJob) -> str:
    """Play a recording; what is to be said of it."""
    from ssma_ros.recordings.play import play

    result = play(job.recording, job.output, lambda: make_segmenter(job.parameters), job.options)
    return summary_line(result, job.recording, job.output)


def summary_line(result: PlayResult, recording: Path, output: Path) -> str:
    """What was read, how much of it was complete, what was blank and why, where it went."""
    lines = [
        f"{recording.name}: {result.frames} frames segmented, {result.complete} with every sensor, "
        f"{result.frames - result.complete} degraded; {len(result.written)} topics in {output}",
        *(f"  {line}" for line in result.account.lines()),
    ]
    for stream, count in result.blank.items():
        kinds = result.reasons[stream].lines()
        head = f"  {stream} was blank in {count} of {result.frames} frames"
        if len(kinds) == 1:
            lines.append(f"{head}: {kinds[0].partition(': ')[2]}")
        else:
            lines += [f"{head}:", *(f"    {kind}" for kind in kinds)]
    return "\n".join(lines)


def make_segmenter(parameters: FusionParameters) -> Segmenter:
    """As the node makes it of the same parameters."""
    from ssma_ros.encodings.base import EncoderOptions
    from ssma_ros.inference.loading import ModelOptions
    from ssma_ros.options import part
    from ssma_ros.segmenter import SegmenterOptions, load

    return load(
        **vars(part(ModelOptions, parameters)), **vars(part(SegmenterOptions, parameters)),
        preprocessing=parameters.preprocessing_device, encoder_options=part(EncoderOptions, parameters),
    )  # fmt: skip
