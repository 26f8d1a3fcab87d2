# SPDX-License-Identifier: Apache-2.0
"""Comparisons that train: several training runs under one protocol and several seeds, and one table of their scores.

One YAML file is one comparison, see docs/training.md.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from ssma_ros.documents import check_keys, convert, load_yaml
from ssma_ros.errors import SsmaError
from ssma_ros.files import write_json
from ssma_ros.inference.loading import WEIGHTS_NAME, locate_model
from ssma_ros.models import load_model
from ssma_ros.training.evaluate.chart import COLORS, Chart
from ssma_ros.training.evaluate.predict import Predictor
from ssma_ros.training.fit.checkpoint import FILE_NAME as CHECKPOINT
from ssma_ros.training.fit.config import labels_beside, parse_config
from ssma_ros.training.fit.launch import check_choice, check_run, open_split, train

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ssma_ros.training.fit.config import TrainConfig

SCORES = "scores.json"
TABLE = "table.md"
#: Of a comparison over numbers of labelled images.
CURVE = "curve.png"
#: In a run's folder: digests of the weights it was begun from.
STARTS = "starts.json"
#: What begins the name of another run where a path of weights is expected.
_REFERENCE = "@"
#: ``define`` is for YAML anchors and not read.
_KEYS = ("name", "seeds", "samples", "common", "runs", "table", "define")


@dataclass(frozen=True)
class TrainedComparison:
    """Runs that are to be compared.

    Attributes:
        name: of the result.
        seeds: every run is trained once with each.
        runs: name → document of a training configuration; ``@NAME`` as ``initialize`` or in ``encoders`` stands for
            the weights of the run NAME with the same seed, which comes before.
        table: title of a row → name of its run.
        where: file it was read from, for messages.
        samples: every run is trained once with each number of labelled images; 0 = all.
        held_out: training images that are scored instead of the validation split, and never trained on.
    """

    name: str
    seeds: tuple[int, ...]
    runs: Mapping[str, Mapping[str, Any]]
    table: Mapping[str, str]
    where: str
    samples: tuple[int, ...] = (0,)
    held_out: int = 0

    def parts(self, output: Path) -> dict[int, tuple[TrainedComparison, Path]]:
        """By number of labelled images, the comparison with this number alone and the folder of its runs."""
        if self.samples == (0,) and not self.held_out:
            return {0: (self, output)}
        names = {count: (f"{count}_images" if count else "all_images") + ("_held_out" if self.held_out else "")
                 for count in self.samples}
        return {count: (replace(self, samples=(count,)), output / name) for count, name in names.items()}

    def config(self, run: str, seed: int, output: Path) -> TrainConfig:
        """Of one run, whose references lead into ``output``.

        Raises:
            SsmaError: the document is no training configuration.
        """
        document = {**self.runs[run], "name": f"{self.name}: {run}, seed {seed}", "seed": seed}
        document["data"] = {
            **(document.get("data") or {}), **({"samples": self.samples[0]} if self.samples[0] else {}),
            **({"held_out": self.held_out} if self.held_out else {}),
        }
        config = parse_config(document, f"{self.where}, run '{run}'")

        def resolve(path: str) -> str:
            return str(run_folder(output, path[1:], seed) / "model") if path.startswith(_REFERENCE) else path

        encoders = {stream: resolve(path) for stream, path in config.encoders.items()}
        return replace(config, initialize=resolve(config.initialize), encoders=encoders)

    def steps(self, run: str) -> int:
        """Optimiser steps that the weights of a run have behind them, those of the runs it starts from included;
        of several encoders, which are trained side by side, the one with the most counts."""
        before = [self.steps(name) for name in _references(self.runs[run])]
        return parse_config({"name": run, **self.runs[run]}, self.where).total_steps + max(before, default=0)


def load_comparison(path: str | Path) -> TrainedComparison:
    """Read a comparison.

    Raises:
        SsmaError: missing or unreadable file, unknown key, a run that is no training configuration or refers to none
            before it, a row of the table without a run.
    """
    path = Path(path)
    document = load_yaml(path, "comparison")
    if isinstance(document, dict):
        folder, runs = path.parent, document.get("runs")
        if "common" in document:
            document["common"] = labels_beside(document["common"], folder)
        if isinstance(runs, dict):
            document["runs"] = {name: labels_beside(own, folder) for name, own in runs.items()}
    return parse_comparison(document, str(path))


def parse_comparison(document: Any, where: str) -> TrainedComparison:
    """Build a comparison from YAML data; ``where`` names the source in messages.

    Raises:
        SsmaError: as :func:`load_comparison`.
    """
    if not isinstance(document, dict) or not isinstance(document.get("runs"), dict) or not document["runs"]:
        raise SsmaError(f"comparison {where}: has no mapping 'runs', expected one with at least one run")
    check_keys(document, _KEYS, f"comparison {where}")
    common = _mapping(document.get("common") or {}, "common", where)
    runs = {
        str(name): merge(common, _mapping(own, f"run '{name}'", where)) for name, own in document["runs"].items()
    }
    table = _mapping(document.get("table") or {name: name for name in runs}, "table", where)
    seeds = document.get("seeds", [1])
    if not convert(tuple[int, ...], seeds, f"comparison {where}", "seeds"):
        raise SsmaError(f"comparison {where}: seeds is [], expected at least one")
    name = str(document.get("name", Path(where).stem))
    samples = convert(tuple[int, ...], document.get("samples", [0]), f"comparison {where}", "samples")
    if not samples or min(samples) < 0:
        raise SsmaError(f"comparison {where}: samples is {list(samples)}, expected one or more, from 0 (all) up")
    comparison = TrainedComparison(
        name=name, seeds=tuple(seeds), runs=runs, table=table, where=where, samples=tuple(samples)
    )
    names = list(runs)
    for index, name in enumerate(names):
        comparison.config(name, 0, Path())  # refuse now what the last run would stumble over in hours
        for other in _references(runs[name]):
            if other not in names[:index]:
                raise SsmaError(f"comparison {where}: run '{name}' starts from '@{other}', expected a run before it")
    lost = [run for run in table.values() if run not in runs]
    if lost:
        raise SsmaError(f"comparison {where}: its table names run '{lost[0]}', expected one of {', '.join(names)}")
    return comparison


def _mapping(value: Any, what: str, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SsmaError(f"comparison {where}: {what} is {value!r}, expected a mapping")
    return value


def merge(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """``common`` with what ``own`` says otherwise: mappings are merged at any depth, all else is replaced."""
    merged = dict(common)
    for key, value in own.items():
        before = merged.get(key)
        merged[key] = merge(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


def run_folder(output: Path, run: str, seed: int) -> Path:
    """Where one run of a comparison lies."""
    return output / f"seed{seed}" / run


def train_and_compare(
    comparison: TrainedComparison, output: Path, *, data: str = "", cache: str = "", progress: bool = True
) -> list[dict[str, Any]]:
    """Train and score every run with every seed. What is finished is not done again.

    The weights a run ends with are scored (averaged ones where there is an average), never the best of its
    validations: where the validation split is the test set, choosing by it would be peeking.

    Args:
        comparison: what to do.
        output: folder of the runs.
        data, cache: root of the data set and folder for encoded inputs, instead of the configuration's.
        progress: show progress bars.

    Returns:
        For each seed and run ``run``, ``seed`` and ``scores`` (:meth:`ssma_ros.metrics.ConfusionMatrix.summary`).

    Raises:
        SsmaError: see :func:`ssma_ros.training.fit.launch.train`.
    """
    results = []
    for (run, seed), config in checked_configs(comparison, output, data=data, cache=cache).items():
        scores = _train_and_score(config, run_folder(output, run, seed), progress=progress)
        results.append({"run": run, "seed": seed, "scores": scores})
    return results


def checked_configs(
    comparison: TrainedComparison, output: Path, *, data: str = "", cache: str = ""
) -> dict[tuple[str, int], TrainConfig]:
    """The configuration of every run and seed, after a look for what the last of them would stumble over in hours.

    Args:
        comparison, output, data, cache: of :func:`train_and_compare`.

    Raises:
        SsmaError: something that a run needs is not there, or there are fewer images than are to be trained on.
    """
    configs = {(run, seed): _with_data(comparison.config(run, seed, output), comparison, data, cache)
               for seed in comparison.seeds for run in comparison.runs}
    for (run, seed), config in configs.items():
        made_before = [str(run_folder(output, other, seed) / "model") for other in _references(comparison.runs[run])]
        check_run(config, run_folder(output, run, seed), made_before)
    if comparison.samples != (0,) or comparison.held_out:
        check_choice(next(iter(configs.values())))
    return configs


def _with_data(config: TrainConfig, comparison: TrainedComparison, data: str, cache: str) -> TrainConfig:
    places = replace(config.data, root=data or config.data.root, cache=cache or config.data.cache)
    if not places.root:
        raise SsmaError(f"comparison {comparison.where}: data.root is empty, expected a folder; give --data DIR")
    return replace(config, data=places)


def _train_and_score(config: TrainConfig, folder: Path, *, progress: bool) -> dict[str, Any]:
    _check_starts(config, folder)
    document = config.to_document()
    document["data"].pop("root")
    document["data"].pop("cache")
    path, root = folder / SCORES, str(Path(config.data.root).resolve())
    if path.is_file():
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored.get("root", root) != root:
            raise SsmaError(f"run {folder}: was scored on the data {stored['root']}, expected {root}; "
                            "give another output folder, or delete this one")
        if stored["config"] == document:
            return dict(stored["scores"])
    network = load_model(train(config, folder, progress=progress))
    contract = network.contract
    assert contract is not None  # load_model sets it
    samples = open_split(config, contract, config.data.val, progress=progress)
    matrix = Predictor(network, contract).confusion(samples, progress=config.name if progress else "")
    scores = matrix.summary(contract.labels.names)
    write_json(path, {"root": root, "config": document, "scores": scores}, indent=1)
    return scores


def _check_starts(config: TrainConfig, folder: Path) -> None:
    """Note the weights that a run is begun from, and refuse to go on with it once they are others.

    Neither its scores nor its checkpoint tell: both know the place of these weights alone, and the run that made them
    may have been made anew since.

    Raises:
        SsmaError: they are others.
    """
    named = {"initialize": config.initialize, **{f"encoders: {s}": path for s, path in config.encoders.items()}}
    files = {key: _weights_file(path) for key, path in named.items() if path}
    now = {key: hashlib.sha256(f.read_bytes()).hexdigest() for key, f in files.items() if f.is_file()}
    path = folder / STARTS
    # A run that was refused before its first checkpoint holds nothing of the weights it was to begin from.
    begun = path.is_file() and ((folder / CHECKPOINT).is_file() or (folder / SCORES).is_file())
    before = json.loads(path.read_text(encoding="utf-8")) if begun else {}
    for key, digest in now.items():
        if before.get(key, digest) != digest:
            raise SsmaError(f"run {folder}: was begun from other weights than {files[key]} holds now ({key}), "
                            "expected the same; delete the folder to train it anew")
    if now and before != now:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, {**before, **now}, indent=1)


def _weights_file(path: str) -> Path:
    """Of a model, a run, or one encoder ``PATH#STREAM`` of it."""
    place = locate_model(path.partition("#")[0])
    return place / WEIGHTS_NAME if place.is_dir() else place


def table_lines(comparison: TrainedComparison, results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Markdown table in percent: mean ± sample standard deviation over the seeds, mIoU and the IoU of each class."""
    classes = list(results[0]["scores"]["iou"])
    lines = [
        f"| | steps | mIoU | {' | '.join(classes)} |",
        "|---|---|---|" + "---|" * len(classes),
    ]
    for title, run in comparison.table.items():
        scores = [r["scores"] for r in results if r["run"] == run]
        cells = [_spread([s["miou"] for s in scores])]
        cells += [_spread([s["iou"][name] for s in scores]) for name in classes]
        lines.append(f"| {title} | {comparison.steps(run)} | {' | '.join(cells)} |")
    return lines


def curve_lines(comparison: TrainedComparison, results: Mapping[int, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Markdown table of mIoU in percent, one column a number of labelled images: mean ± sample standard deviation over
    the seeds.

    Args:
        comparison: whose rows.
        results: of :func:`train_and_compare` by number of images.
    """
    heads = [f"{count} images" if count else "all images" for count in results]
    lines = [f"| mIoU | steps | {' | '.join(heads)} |", "|---|---|" + "---|" * len(heads)]
    for title, run in comparison.table.items():
        cells = [_spread([r["scores"]["miou"] for r in found if r["run"] == run]) for found in results.values()]
        lines.append(f"| {title} | {comparison.steps(run)} | {' | '.join(cells)} |")
    return lines


def curve(comparison: TrainedComparison, results: Mapping[int, Sequence[Mapping[str, Any]]]) -> NDArray[np.uint8]:
    """The same as a chart, H×W×3 uint8 RGB: a line for each row, bars of one standard deviation."""
    counts = sorted(results, key=lambda count: (count == 0, count))  # all images come last
    marks = {float(x): f"{count}" if count else "all" for x, count in enumerate(counts)}
    lines = {title: [[100.0 * r["scores"]["miou"] for r in results[count] if r["run"] == run] for count in counts]
             for title, run in comparison.table.items()}
    values = [value for line in lines.values() for scores in line for value in scores]
    chart = Chart(marks, values, ("labelled images", "mIoU, %"), size=(900, 480), right=240)
    for index, (title, line) in enumerate(lines.items()):
        color = COLORS[index % len(COLORS)]
        deviations = [stdev(scores) if len(scores) > 1 else 0.0 for scores in line]
        chart.line([(x, mean(scores)) for x, scores in enumerate(line)], color, deviations)
        chart.write(title, (670, 70 + 22 * index), color)
    return chart.image


def _spread(values: Sequence[float | None]) -> str:
    """``mean ± standard deviation`` in percent; a class that never occurs counts as 0."""
    percent = [100.0 * (v or 0.0) for v in values]
    return f"{mean(percent):.1f}" + (f" ± {stdev(percent):.1f}" if len(percent) > 1 else "")


def _references(document: Mapping[str, Any]) -> list[str]:
    """Names of the runs that a run's document starts from."""
    paths = [document.get("initialize", ""), *document.get("encoders", {}).values()]
    return [path[1:] for path in paths if isinstance(path, str) and path.startswith(_REFERENCE)]
