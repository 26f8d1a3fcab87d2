# SPDX-License-Identifier: Apache-2.0
"""Writes a synthetic data set: many scenes, a few frames each, in the generic folder layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.files import check_writable, write_json, write_picture
from ssma_ros.parallel import spread
from ssma_ros.synthetic.conditions import CLEAR, Condition, find_condition
from ssma_ros.synthetic.gl import require_opengl
from ssma_ros.synthetic.sampling import Sample, Scene
from ssma_ros.synthetic.sensor import StereoRig

SPLITS = ("train", "val")
#: Scene seeds of a split start at ``seed * SEED_STRIDE`` + this, so no scene is in two splits.
SPLIT_OFFSET = {"train": 0, "val": 500_000}
SEED_STRIDE = 1_000_000
LABEL_SET = "synthetic_forest"
_FOLDERS = ("rgb", "depth", "nir", "label")
_LARGEST_MM = 65535


@dataclass(frozen=True)
class DatasetRecipe:
    """What a split is made of; the same recipe gives the same files.

    Attributes:
        split: ``train`` or ``val``.
        seed: number of the data set; splits of one seed share no scene.
        scenes: number of worlds.
        frames: pictures taken in each.
        conditions: names of ``conditions.CONDITIONS`` that the worlds take in turn.
    """

    split: str
    seed: int
    scenes: int
    frames: int
    conditions: tuple[str, ...] = (CLEAR.name,)

    def __post_init__(self) -> None:
        for name in self.conditions:
            find_condition(name)
        if self.split not in SPLITS:
            raise SsmaError(f"synthesize: split is {self.split!r}, expected one of {', '.join(SPLITS)}")
        for name in ("scenes", "frames"):
            if getattr(self, name) < 1:
                raise SsmaError(f"synthesize: {name} is {getattr(self, name)}, expected at least 1")
        if self.seed < 0 or self.scenes > SPLIT_OFFSET["val"]:
            raise SsmaError(
                f"synthesize: seed {self.seed} with {self.scenes} scenes, expected a seed of 0 or more"
                f" and at most {SPLIT_OFFSET['val']} scenes"
            )

    def condition(self, index: int) -> Condition:
        """Condition of the scene with this index."""
        return find_condition(self.conditions[index % len(self.conditions)])

    def as_json(self) -> dict[str, object]:
        """What is written beside the data; a set without weather says nothing of it."""
        content: dict[str, object] = asdict(self)
        if self.conditions == (CLEAR.name,):
            del content["conditions"]
        else:
            content["conditions"] = list(self.conditions)
        return content

    def scene_seed(self, index: int) -> int:
        """Seed of the scene with this index."""
        return self.seed * SEED_STRIDE + SPLIT_OFFSET[self.split] + index


def write_dataset(
    recipe: DatasetRecipe, folder: Path, workers: int = 1, progress: Callable[[int], object] | None = None,
    *, ray: str = "",
) -> int:  # fmt: skip
    """Renders one split into ``folder``; scenes already complete are kept, so a broken run goes on.

    The layout is ``folder/<split>/{rgb,depth,nir,label}/<scene>_<frame>.png``: 8-bit colour, 16-bit depth in
    millimetres from stereo matching (0 = no reading), 8-bit near infrared, 8-bit train ids; beside them
    ``camera.json`` (intrinsics and baseline in metres), ``labels.json`` (the label set) and, in the split,
    ``conditions.json`` (each scene's condition by the number that its file names begin with).

    Args:
        workers: processes; each renders whole scenes.
        ray: address of a Ray cluster instead, see :func:`ssma_ros.parallel.spread`.
        progress: called with the number of samples done, scene by scene.

    Returns:
        Number of samples in the split.

    Raises:
        SsmaError: the folder holds a data set made by another recipe, or cannot be written, or OpenGL is missing.
    """
    check_writable(folder, "data set")
    jobs = [(recipe, folder, index) for index in range(recipe.scenes) if not _complete(recipe, folder, index)]
    if jobs:
        require_opengl()
    work = spread(_render_scene, jobs, processes=max(1, workers), ray=ray)
    rig = StereoRig.default()
    try:
        for name in _FOLDERS:
            (folder / recipe.split / name).mkdir(parents=True, exist_ok=True)
        _claim(folder / f"{recipe.split}.json", recipe)
        write_json(folder / "camera.json", {**asdict(rig.intrinsics), "baseline": rig.baseline})
        by_scene = {_scene_name(recipe, index): recipe.condition(index).name for index in range(recipe.scenes)}
        write_json(folder / recipe.split / "conditions.json", by_scene)
        label_set = resources.files("ssma_ros.labels").joinpath(f"data/{LABEL_SET}.json").read_text(encoding="utf-8")
        write_json(folder / "labels.json", json.loads(label_set))
    except OSError as error:
        raise SsmaError(f"synthesize: cannot write to {folder}: {error.strerror}") from error
    if progress and len(jobs) < recipe.scenes:
        progress(recipe.frames * (recipe.scenes - len(jobs)))
    for _ in work:
        if progress:
            progress(recipe.frames)
    return recipe.scenes * recipe.frames


_renderer: Any = None


def _render_scene(job: tuple[DatasetRecipe, Path, int]) -> None:
    global _renderer
    from ssma_ros.synthetic.renderer import Renderer

    recipe, folder, index = job
    if _renderer is None:
        _renderer = Renderer()
    seed = recipe.scene_seed(index)
    scene = Scene(_renderer, seed, StereoRig.default(), condition=recipe.condition(index))
    for frame in range(recipe.frames):
        rng = np.random.default_rng([seed, 10 + frame])
        sample = scene.random_sample(rng)
        _write_sample(sample, folder / recipe.split, f"{_scene_name(recipe, index)}_{frame:02d}.png")


def _scene_name(recipe: DatasetRecipe, index: int) -> str:
    return f"{recipe.scene_seed(index):07d}"


def _complete(recipe: DatasetRecipe, folder: Path, index: int) -> bool:
    names = [f"{_scene_name(recipe, index)}_{frame:02d}.png" for frame in range(recipe.frames)]
    # The label is written last.
    return all((folder / recipe.split / "label" / name).exists() for name in names)


def _write_sample(sample: Sample, folder: Path, name: str) -> None:
    images = {
        "rgb": sample.color,
        "depth": depth_to_millimetres(sample.depth),
        "nir": sample.nir,
        "label": sample.label,
    }
    for kind in _FOLDERS:
        write_picture(folder / kind / name, images[kind], [cv2.IMWRITE_PNG_COMPRESSION, 4])


def depth_to_millimetres(depth: np.ndarray) -> np.ndarray:
    """float32 metres to uint16 millimetres; beyond 65.535 m there is no reading (0)."""
    millimetres = np.rint(depth * 1000.0)
    return np.where(millimetres > _LARGEST_MM, 0, millimetres).astype(np.uint16)


def _claim(path: Path, recipe: DatasetRecipe) -> None:
    wanted = recipe.as_json()
    if path.exists():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise SsmaError(f"synthesize: {path} is not JSON ({error}), expected a data set's recipe") from error
        if found != wanted:
            raise SsmaError(f"synthesize: {path} holds the recipe {found}, expected {wanted}; choose another folder")
    else:
        write_json(path, wanted)
