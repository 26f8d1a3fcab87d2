# SPDX-License-Identifier: Apache-2.0
"""Where each sample of an extracted data set comes from: a file for each sequence, and one for the recipe."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ssma_ros.documents import load_json, read, short
from ssma_ros.errors import SsmaError
from ssma_ros.extraction.pictures import settings_of
from ssma_ros.extraction.recipe import Part
from ssma_ros.files import check_writable, write_json
from ssma_ros.sensors import SENSORS
from ssma_ros.training.datasets.folder import SENSORS_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from ssma_ros.extraction.recipe import Job, Recipe, SequenceResult

#: In the data set's folder: the recipe, and the folder with a file for each sequence.
RECIPE_NAME, MANIFEST_FOLDER = "extraction.json", "manifest"


@dataclass(frozen=True)
class _Sample:
    name: str
    index: int
    stamp_ns: int


@dataclass(frozen=True)
class SequenceFile:
    """What is known of a sequence.

    Attributes:
        sequence, split, begin, end: as of :class:`~ssma_ros.extraction.recipe.Part`.
        recording: path when it was extracted.
        identity: of the recording's contents.
        done: whether every chosen frame was looked at.
        wanted: indices of the frames to take, where a network chose them.
        samples: name of each, and index and stamp of its driving image in the recording.
        topics: by role.
        left_out: number of frames by reason.
        warnings: what looked wrong in the recording.
    """

    sequence: str
    split: str
    begin: float
    end: float
    recording: str
    identity: str
    done: bool
    wanted: tuple[int, ...] | None = None
    samples: tuple[_Sample, ...] = ()
    topics: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Manifest:
    """The files of a data set's folder that say what was extracted into it.

    Args:
        folder: of the data set, which need not be there yet.

    Attributes:
        files: by sequence.

    Raises:
        SsmaError: a file that cannot be read, or a folder that may not be written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        check_writable(folder, "data set")
        self.files = {}
        for path in sorted((folder / MANIFEST_FOLDER).glob("*.json")):
            file = read(SequenceFile, load_json(path, "manifest"), f"manifest {path}")
            self.files[file.sequence] = file
        recipe = folder / RECIPE_NAME
        self._claimed = load_json(recipe, "recipe of the data set") if recipe.is_file() else None

    @property
    def sensors(self) -> tuple[str, ...]:
        """Of the data set's samples; () where there is none yet."""
        return tuple(self._claimed.get("sensors", ())) if isinstance(self._claimed, dict) else ()

    def sequences(self) -> set[str]:
        """Names that are taken."""
        return set(self.files)

    def parts_of(self, identity: str) -> tuple[Part, ...]:
        """Those of a recording that is in the data set."""
        return tuple(
            Part(f.sequence, f.split, f.begin, f.end, f.wanted) for f in self.files.values() if f.identity == identity
        )

    def is_done(self, job: Job) -> bool:
        """Whether nothing of a job is left to do."""
        return all(part.sequence in self.files and self.files[part.sequence].done for part in job.parts)

    def claim(self, jobs: list[Job], extra: dict[str, Any]) -> None:
        """Write down the recipe and the sequences to come, before their pictures.

        Args:
            jobs: all with one recipe.
            extra: what else decides which frames are taken.

        Raises:
            SsmaError: the folder holds a data set of another recipe, or pictures that no recipe made; or the disk
                refuses.
        """
        document = self.refuse_other(jobs, extra)
        recipe = jobs[0].recipe
        try:
            for job in jobs:
                for part in job.parts:
                    self._make_folders(part.split, recipe)
            (self._folder / MANIFEST_FOLDER).mkdir(exist_ok=True)
        except OSError as error:
            raise SsmaError(f"data set {self._folder}: cannot be made ({error.strerror})") from error
        write_json(self._folder / RECIPE_NAME, document)
        settings = settings_of(recipe.assembly.readings)
        if settings:
            write_json(self._folder / SENSORS_NAME, settings)
        for job in jobs:
            for part in job.parts:
                if part.sequence not in self.files:
                    self._write(job, part, done=False)

    def refuse_other(self, jobs: list[Job], extra: dict[str, Any]) -> dict[str, Any]:
        """What :meth:`claim` would refuse of a recipe, before the work; what it would write down of it.

        Raises:
            SsmaError: the folder holds a data set of another recipe, or pictures that no recipe made.
        """
        document = {**jobs[0].recipe.to_document(), **extra}
        if self._claimed is None:
            self._refuse_strange()
        elif self._claimed != document:
            raise SsmaError(f"data set {self._folder}: {self._difference(document)}; expected the same command, with "
                            "more recordings perhaps, or another folder")
        return document

    def note(self, job: Job, result: SequenceResult) -> None:
        """Write down what became of a sequence."""
        self._write(job, result.part, done=True, samples=result.samples, topics=result.topics,
                    left_out=result.left_out, warnings=result.warnings)

    def withdraw(self) -> None:
        """Remove the data set where no sample came of it, so that another recipe can be tried in its place."""
        if not any(file.samples for file in self.files.values()):
            shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, job: Job, part: Part, *, done: bool, **facts: Any) -> None:
        document = {
            "sequence": part.sequence, "split": part.split, "begin": part.begin, "end": part.end,
            "recording": str(job.recording.resolve()), "identity": job.identity, "done": done,
            "wanted": None if part.wanted is None else list(part.wanted), **facts,
        }  # fmt: skip
        path = self._folder / MANIFEST_FOLDER / f"{part.sequence}.json"
        write_json(path, document)
        self.files[part.sequence] = read(SequenceFile, document, f"manifest {path}")

    def _make_folders(self, split: str, recipe: Recipe) -> None:
        names = [SENSORS[sensor].folder for sensor in recipe.sensors] + ["label"] * recipe.with_labels
        for name in names:
            (self._folder / split / name).mkdir(parents=True, exist_ok=True)

    def _refuse_strange(self) -> None:
        """A folder that something else is in."""
        if self._folder.is_dir() and any(self._folder.iterdir()):
            raise SsmaError(f"data set {self._folder}: exists and was not made by ssma extract, expected an empty or "
                            "new folder, or one that it made")

    def _difference(self, document: dict[str, Any]) -> str:
        claimed = self._claimed if isinstance(self._claimed, dict) else {}
        for key in {**document, **claimed}:
            if claimed.get(key) != document.get(key):
                return (f"was made with {key} {short(claimed.get(key))}, and is now to be made with "
                        f"{short(document.get(key))}")
        return "was made by another recipe"
