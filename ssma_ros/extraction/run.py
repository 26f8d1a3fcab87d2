# SPDX-License-Identifier: Apache-2.0
"""Recordings into a data set: what ``ssma extract`` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError
from ssma_ros.extraction.manifest import Manifest
from ssma_ros.extraction.novelty import LookJob, chosen_jobs, look
from ssma_ros.extraction.plan import plan_jobs
from ssma_ros.extraction.sequence import extract_recording
from ssma_ros.folders import refuse_replacing
from ssma_ros.parallel import spread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ssma_ros.extraction.manifest import SequenceFile
    from ssma_ros.extraction.novelty import Choice
    from ssma_ros.extraction.recipe import Job, Recipe


@dataclass(frozen=True)
class Division:
    """How recordings become splits.

    Attributes:
        split: of all of them, or empty: they are divided.
        held_out: share of the time that is held out then.
    """

    split: str = ""
    held_out: float = 0.2


def extract(
    recordings: Sequence[Path],
    folder: Path,
    recipe: Recipe,
    division: Division | None = None,
    choice: Choice | None = None,
    *,
    processes: int = 1,
    ray: str = "",
    on_done: Callable[[SequenceFile], object] | None = None,
) -> list[SequenceFile]:
    """Extract the chosen frames of recordings into a labelled-data folder; what is there already is kept.

    Args:
        recordings: rosbag2 folders or files, read side by side.
        folder: of the data set: new, or one that this function made with the same recipe.
        recipe: what to take.
        division: into splits.
        choice: of the frames that the recipe takes only those that a network finds worth a label, or None. It counts
            for recordings that are new in the data set.
        processes, ray: see :func:`ssma_ros.parallel.spread`.
        on_done: told of each sequence when it is done.

    Returns:
        What is known of each sequence of these recordings.

    Raises:
        SsmaError: a recording that cannot be used, a folder that something else is in, or the disk refuses. What was
            written stays, and the same command goes on from there.
    """
    division = division or Division()
    refuse_replacing(folder, recordings, "data set")
    manifest = Manifest(folder)
    jobs = plan_jobs(recordings, folder, recipe, manifest, split=division.split, held_out=division.held_out)
    if choice is not None:
        manifest.refuse_other(jobs, _told(choice))
        jobs = _chosen(jobs, manifest, choice, processes, ray)
    waiting = [job for job in jobs if not manifest.is_done(job)]
    work = spread(extract_recording, waiting, processes=processes, ray=ray)
    manifest.claim(jobs, _told(choice))
    for number, results in work:
        for result in results:
            manifest.note(waiting[number], result)
            if on_done is not None:
                on_done(manifest.files[result.part.sequence])
    found = [manifest.files[part.sequence] for job in jobs for part in job.parts]
    if not any(file.samples for file in found):
        reasons = {reason: count for file in found for reason, count in file.left_out.items()}
        manifest.withdraw()
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "there are no frames"
        raise SsmaError(f"data set {folder}: no frame was taken ({told}), expected some; --sensors names what a frame "
                        "must have")
    return found


def _told(choice: Choice | None) -> dict[str, Any]:
    """What the data set remembers of a choice."""
    return {} if choice is None else {"choose": choice.count, "choose_by": choice.by,
                                      "network": str(choice.network.get("model", ""))}


def _chosen(jobs: list[Job], manifest: Manifest, choice: Choice, processes: int, ray: str) -> list[Job]:
    """The jobs of new recordings with the frames that the network chose among them all; the others as they are."""
    new = [job for job in jobs if not manifest.parts_of(job.identity)]
    looked = dict(spread(look, [LookJob(job, choice) for job in new], processes=processes, ray=ray))
    chosen = {job.identity: job for job in chosen_jobs(new, [looked[n] for n in range(len(new))], choice)}
    return [chosen.get(job.identity, job) for job in jobs]
