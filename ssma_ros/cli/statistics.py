# SPDX-License-Identifier: Apache-2.0
"""``ssma statistics``: what a training configuration wants to know of a data set, as YAML to paste into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssma_ros.cli._data import add_data_arguments
from ssma_ros.cli._size import parse_size
from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    import argparse

    from ssma_ros.contract import Contract
    from ssma_ros.labels import LabelSet
    from ssma_ros.training.datasets import FrameDataset
    from ssma_ros.training.datasets.statistics import Statistics, StreamStatistics

NAME = "statistics"
HELP = "measure mean and scale of each stream, class shares, sizes and missing sensors of a data set, as YAML"
#: Streams that are looked for where none are asked for: those of the shipped network.
_USUAL = ("rgb=bgr", "hha=hha", "evi=evi2")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("dataset", metavar="DATASET", help="root of the data set")
    parser.add_argument("--config", metavar="YAML",
                        help="training configuration that says streams, size, labels and how the data are read")
    add_data_arguments(parser, "--config")
    parser.add_argument("--split", help="split of the data set (default: the configuration's training split, or train)")
    parser.add_argument("--streams", nargs="+", metavar="NAME=ENCODING",
                        help=f"streams to measure (default: the configuration's, or those of {' '.join(_USUAL)} that "
                             "the first sample has)")
    parser.add_argument("--labels", metavar="SET", help="label set, a name or a .json file (default: as --config says)")
    parser.add_argument("--size", metavar="WxH",
                        help="network's input, multiples of 16 (default: as --config says, or 768x384)")
    parser.add_argument("--limit", type=int, default=0, metavar="N",
                        help="look at N samples at most, spread evenly (0 = all)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Measure and print.

    Raises:
        SsmaError: impossible arguments, or a stream is blank in every sample.
    """
    from ssma_ros.training.datasets.statistics import measure

    if args.limit < 0:
        raise SsmaError(f"limit: got {args.limit}, expected 0 (all) or more")
    dataset, contract = _open(args)
    count = len(dataset)
    used = min(args.limit or count, count)
    found = measure(dataset, contract, [i * count // used for i in range(used)], progress=not args.quiet)
    for one in found.streams:
        if not one.present:
            raise SsmaError(f"statistics: stream '{one.stream.name}' is blank in all {used} samples of split "
                            f"'{dataset.split}' in {args.dataset} ({one.reason}); check its folder, the calibration "
                            "and --options, or leave the stream out")
    print("\n".join(lines(found, contract, f"split '{dataset.split}' in {args.dataset}")))
    return 0


def lines(found: Statistics, contract: Contract, where: str) -> list[str]:
    """The YAML document: what to paste, and the rest as comments."""
    sizes = ", ".join(f"{w}x{h} ({n})" for (w, h), n in found.sizes.most_common())
    return [
        f"# {found.samples} samples of {where}, encoded at {contract.width}x{contract.height}",
        f"# size of the images: {sizes}",
        "contract:",
        "  streams:",
        *(line for one in found.streams for line in _stream_lines(one, found.samples)),
        *class_lines(found, contract.labels),
    ]


def _stream_lines(one: StreamStatistics, samples: int) -> list[str]:
    import yaml

    stream = one.stream
    document = {
        "name": stream.name, "encoding": stream.encoding,
        "mean": [float(f"{v:.1f}") for v in one.mean], "scale": [float(f"{v:.3g}") for v in one.scale],
        **({"parameters": dict(stream.parameters)} if stream.parameters else {}),
    }
    there = f"    # in {one.present} of {samples} samples"
    text = yaml.safe_dump(document, default_flow_style=True, sort_keys=False, width=1000).strip()
    return [there + (f" ({one.reason})" if one.present < samples else ""), f"    - {text}"]


def class_lines(found: Statistics, labels: LabelSet) -> list[str]:
    """Share of each class, as lines of comments."""
    shares = labels.shares(found.labels)
    words = [f"# classes of '{labels.name}', shares of the pixels that count:"]
    for entry in labels.classes:
        note = ""
        if entry.id == labels.void_class:
            note = "  void, does not count"
        elif not shares[entry.id]:
            note = "  in none of these samples: the network cannot learn it"
        words.append(f"#   {entry.id:3d} {entry.name:20} {100 * shares[entry.id]:6.2f} %{note}")
    unlabelled = 100 * found.labels[labels.num_classes :].sum() / max(found.labels.sum(), 1)
    return [*words, f"#   unlabelled, of all pixels  {unlabelled:6.2f} %"]


def _open(args: argparse.Namespace) -> tuple[FrameDataset, Contract]:
    """The split and the contract that the configuration or the arguments ask for."""
    from dataclasses import replace

    from ssma_ros.cli._data import DataForm, as_told
    from ssma_ros.inputs.encoded import why_blank
    from ssma_ros.training.datasets import open_dataset

    form, split = DataForm(), "train"
    if args.config is not None:
        from ssma_ros.training.fit.config import load_config

        for name in ("streams", "labels", "size"):
            if getattr(args, name) is not None:
                raise SsmaError(f"statistics: got --{name} and --config, which says it too; expected one of them")
        config = load_config(args.config)
        contract = config.build_contract()
        form, split = DataForm(config.data.kind, config.data.options), config.data.train
    else:
        contract = _contract(args)
    form = as_told(args, form)
    dataset = open_dataset(form.kind, args.dataset, args.split or split, contract.labels, form.options)
    if args.config is None and args.streams is None:
        first = dataset.frame(0)
        there = tuple(stream for stream in contract.streams if why_blank(stream, first) is None)
        contract = replace(contract, streams=there or contract.streams)
    return dataset, contract


def _contract(args: argparse.Namespace) -> Contract:
    from ssma_ros.contract import FORMAT, VERSION, parse_contract

    if args.labels is None:
        raise SsmaError("statistics: no label set, expected --labels SET (a name or a .json file) or --config YAML")
    width, height = parse_size(args.size or "768x384", name="size")
    pairs = [text.partition("=") for text in args.streams or _USUAL]
    document = {
        "format": FORMAT, "version": VERSION, "width": width, "height": height, "labels": args.labels,
        "streams": [{"name": name, "encoding": encoding} for name, _, encoding in pairs],
    }
    return parse_contract(document, "of these arguments")
