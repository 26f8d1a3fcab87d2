# SPDX-License-Identifier: Apache-2.0
"""Which recording becomes which sequence of which split: whole sequences, so that neighbours do not leak."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError
from ssma_ros.extraction.recipe import Job, Part
from ssma_ros.extraction.sequence import topics_of
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.travel import find_travel
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssma_ros.extraction.manifest import Manifest
    from ssma_ros.extraction.recipe import Recipe

TRAIN, HELD_OUT = "train", "val"


@dataclass(frozen=True)
class _Recording:
    path: Path
    identity: str
    duration_s: float
    sensors: tuple[str, ...]
    calibrated: bool


def plan_jobs(
    recordings: Sequence[Path], folder: Path, recipe: Recipe, manifest: Manifest, *, split: str, held_out: float
) -> list[Job]:
    """A job for each recording; one that the manifest has keeps its sequences and their splits.

    Args:
        recordings: rosbag2 folders or files.
        folder: of the data set.
        recipe: what to take.
        manifest: of what is there already.
        split: of all recordings, or empty: they are divided into training and held-out ones.
        held_out: share of the time that is held out then: whole recordings, the last ones first, and of a single
            recording its end.

    Raises:
        SsmaError: a recording that cannot be used, is given twice, or lacks sensors that others have; an impossible
            share or split.
    """
    if not 0.0 <= held_out < 1.0:
        raise SsmaError(f"val is {held_out:g}, expected a share from 0 to less than 1")
    if split and not re.fullmatch(r"[A-Za-z0-9][\w.-]*", split):
        raise SsmaError(f"split is '{split}', expected the name of a folder such as {TRAIN} or {HELD_OUT}")
    looked = [_look(path, recipe) for path in recordings]
    twice = {r.identity: r.path for r in looked}
    for recording in looked:
        if twice[recording.identity] != recording.path:
            raise SsmaError(f"recordings {recording.path} and {twice[recording.identity]} hold the same messages, "
                            "expected each recording once")
    recipe = replace(recipe, sensors=_sensors(looked, recipe, manifest))
    new = [r for r in looked if not manifest.parts_of(r.identity)]
    names = _sequence_names([r.path for r in new], manifest.sequences())
    parts = dict(zip((r.identity for r in new), _divided(new, names, split, held_out, alone=not manifest.sequences()),
                     strict=True))
    return [
        Job(r.path, r.identity, parts.get(r.identity) or manifest.parts_of(r.identity), folder, recipe) for r in looked
    ]


def _look(path: Path, recipe: Recipe) -> _Recording:
    with RecordingReader(path) as reader:
        topics = topics_of(reader, path, recipe)
        if recipe.every_metres:  # refuses before anything is written
            find_travel(reader, topics.roles[next(iter(topics.by_sensor().values()))])
        facts = [(t.name, t.type, t.count) for t in reader.topics], reader.span_ns
        return _Recording(
            path, hashlib.sha256(repr(facts).encode()).hexdigest(), reader.duration_s,
            tuple(topics.by_sensor()), topics.camera_info is not None,
        )  # fmt: skip


def _sensors(looked: Sequence[_Recording], recipe: Recipe, manifest: Manifest) -> tuple[str, ...]:
    """Those of every sample: a folder that some samples have no file in is no data set."""
    wanted = tuple(s for s in SENSORS if s in recipe.sensors) or manifest.sensors or looked[0].sensors
    for recording in looked:
        lacking = [s for s in wanted if s not in recording.sensors]
        more = [s for s in recording.sensors if s not in wanted]
        if lacking or (more and not recipe.sensors and not manifest.sensors):
            common = [s for s in wanted if all(s in r.sensors for r in looked)]
            raise SsmaError(
                f"recording {recording.path}: has {', '.join(recording.sensors)}, expected {', '.join(wanted)} as the "
                f"other samples of the data set; give --sensors {','.join(common) or 'NAMES'} to take what all have"
            )
    return wanted


def _divided(
    recordings: Sequence[_Recording], names: Sequence[str], split: str, held_out: float, *, alone: bool
) -> list[tuple[Part, ...]]:
    if split or not held_out:
        return [(Part(name, split or TRAIN),) for name in names]
    if len(recordings) == 1 and alone:
        cut = 1.0 - held_out
        return [(Part(f"{names[0]}-{TRAIN}", TRAIN, 0.0, cut), Part(f"{names[0]}-{HELD_OUT}", HELD_OUT, cut, 1.0))]
    wanted = held_out * sum(r.duration_s for r in recordings)
    splits: list[str] = []
    for number, recording in reversed(list(enumerate(recordings))):
        more_than_half = wanted > recording.duration_s / 2
        first = not splits and len(recordings) > 1
        held = number > 0 and (more_than_half or first)
        splits.append(HELD_OUT if held else TRAIN)
        wanted -= recording.duration_s if held else 0.0
    return [(Part(name, each),) for name, each in zip(names, reversed(splits), strict=True)]


def _sequence_names(paths: Sequence[Path], taken: set[str]) -> list[str]:
    """A name for each recording: of its folder or file, with those of the folders above where that is not enough."""
    names: list[str] = []
    for path in paths:
        parts = [re.sub(r"[^\w-]+", "-", part).strip("-") for part in path.resolve().with_suffix("").parts]
        parts = [part for part in parts if part]
        candidates = ["-".join(parts[-count:]) for count in range(1, len(parts) + 1)]
        used = {*names, *taken}
        ends = (f"-{TRAIN}", f"-{HELD_OUT}")
        free = [c for c in candidates if c and c not in used and not any(f"{c}{end}" in used for end in ends)]
        names.append(free[0] if free else f"{candidates[-1]}-{len(names)}")
    return names
