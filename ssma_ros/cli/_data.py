# SPDX-License-Identifier: Apache-2.0
"""How a data set is read: as ``--kind`` and ``--options`` say, else as in the training run that the model is of."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError, expected_one_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from ssma_ros.messages.assemble import AssemblyOptions


@dataclass(frozen=True)
class DataForm:
    """How the files of a data set are read.

    Attributes:
        kind: layout, a key of :data:`ssma_ros.training.datasets.DATASETS`.
        options: of the layout.
    """

    kind: str = "folder"
    options: dict[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """What is not as by default, for the head of a report."""
        return {key: value for key, value in vars(self).items() if value != getattr(DataForm(), key)}


def add_data_arguments(parser: argparse.ArgumentParser, told_by: str = "the model's training run") -> None:
    """``--kind`` and ``--options``; ``told_by`` is where their defaults come from."""
    parser.add_argument("--kind", help=f"layout of the data set, see docs/training.md (default: that of {told_by}, "
                                       "else folder)")
    parser.add_argument("--options", metavar="YAML",
                        help="further options of the data set as in a training configuration, for example "
                             f"'{{depth_scale: 0.01}}' (default: those of {told_by}, else none)")


def is_recording(path: Path) -> bool:
    """A file, or a folder with a rosbag2 recording."""
    from ssma_ros.recordings import layout

    return path.is_file() or layout.is_recording(path)


def recording_form(args: argparse.Namespace, source: Path) -> AssemblyOptions:
    """How the messages of a recording are read: ``--options`` are what the node is told by the same names.

    Args:
        args: with the arguments of :func:`add_data_arguments`.
        source: the recording.

    Raises:
        SsmaError: impossible options, or a kind of data set.
    """
    from ssma_ros.messages.assemble import AssemblyOptions
    from ssma_ros.sensors import readings, registered, registration_names, setting_names

    if args.kind is not None:
        raise SsmaError(f"kind '{args.kind}': {source} is a recording, expected no --kind")
    options = parse_options(args.options or "")
    known = (*setting_names(), *registration_names(), "gravity_frame")
    for name in options:
        if name not in known:
            raise SsmaError(f"options: got '{name}' for a recording, {expected_one_of(name, known)}")
    try:
        return AssemblyOptions(
            gravity_frame=str(options.get("gravity_frame", "")), readings=readings(options),
            registered=registered(options),
        )
    except (TypeError, ValueError) as error:
        raise SsmaError(f"options: {error}") from None


def data_form(args: argparse.Namespace, models: Sequence[Path]) -> DataForm:
    """How the commands that score, verify and calibrate read a data set: the same pixels become the same inputs in all.

    Args:
        args: with the arguments of :func:`add_data_arguments`.
        models: whose training runs tell where the arguments do not.

    Raises:
        SsmaError: impossible options, or the models were trained on data that is read in different ways.
    """
    if args.kind is not None and args.options is not None:
        return as_told(args, DataForm())
    told = _form_of_runs(models)
    form = as_told(args, told)
    if form is told and form.facts():
        print(f"ssma: the data set is read as in the model's training run: {form.facts()}", file=sys.stderr)
    return form


def as_told(args: argparse.Namespace, told: DataForm) -> DataForm:
    """``told`` with what ``--kind`` and ``--options`` say otherwise; options are of one kind.

    Raises:
        SsmaError: the options are no YAML mapping.
    """
    kind = args.kind or told.kind
    if args.options is not None:
        return DataForm(kind, parse_options(args.options))
    return told if kind == told.kind else DataForm(kind)


def _form_of_runs(models: Sequence[Path]) -> DataForm:
    told = {model: form for model in models if (form := _of_run(model)) is not None}
    for model, form in told.items():
        first, expected = next(iter(told.items()))
        if form != expected:
            raise SsmaError(f"data set: {model} was trained with {vars(form)}, {first} with {vars(expected)}; "
                            "expected one way to read it, give --kind and --options")
    return next(iter(told.values()), DataForm())


def _of_run(model: Path) -> DataForm | None:
    """From ``config.yaml`` of the run's folder, which holds the folder of the model (or its weights or graph)."""
    from ssma_ros.inference.loading import RUN_BEST, RUN_RESULT

    folder = (model if model.is_dir() else model.parent).resolve()
    parts = (RUN_RESULT, RUN_BEST)
    run = folder.parent if folder.name in parts else folder
    path = run / "config.yaml"
    if not path.is_file() or not any((run / part).is_dir() for part in parts):
        return None
    from ssma_ros.training.fit.config import load_config

    try:
        data = load_config(path).data
    except SsmaError as error:
        raise SsmaError(f"{error}; give --kind and --options to read the data set without this file") from None
    return DataForm(data.kind, data.options)


def parse_options(text: str) -> dict[str, Any]:
    """Options of a data set as YAML text; none where it is empty.

    Raises:
        SsmaError: it is no YAML mapping.
    """
    from ssma_ros.documents import convert, parse_yaml

    what = f"options '{text}'"
    document = parse_yaml(text, what) or {}
    if not isinstance(document, dict):
        raise SsmaError(f"{what}: got {document!r}, expected a mapping such as '{{depth_scale: 0.01}}'")
    options: dict[str, Any] = convert(dict[str, Any], document, what, "the document")
    return options
