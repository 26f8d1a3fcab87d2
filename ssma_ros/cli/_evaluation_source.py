# SPDX-License-Identifier: Apache-2.0
"""What ``ssma evaluate`` and ``ssma tabulate`` score on: a data set or a labelled recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssma_ros.cli._data import add_data_arguments, data_form, is_recording, recording_form

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ssma_ros.contract import Contract
    from ssma_ros.training.datasets.cache import Samples
    from ssma_ros.training.evaluate.networks import TrainedNetwork


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that say what to score on and how much of it."""
    parser.add_argument("source", type=Path, metavar="SOURCE",
                        help="root of a data set, or a rosbag2 recording with labels")
    add_data_arguments(parser)
    parser.add_argument("--split", default="val", help="split of the data set (%(default)s)")
    parser.add_argument("--limit", type=int, default=0, metavar="N",
                        help="score at most N samples, spread evenly (0 = all)")
    parser.add_argument("--cache", default="", metavar="DIR", help="keep encoded inputs here")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads (0 = PyTorch's choice)")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


class EvaluationSource:
    """Opens the source for any contract.

    Args:
        args: with the arguments of :func:`add_source_arguments`.
        networks: that are to be scored.

    Raises:
        SsmaError: impossible options, or the source is neither a data set of that kind nor a recording.
    """

    def __init__(self, args: argparse.Namespace, networks: Sequence[TrainedNetwork]) -> None:
        self._args = args
        self._is_recording = is_recording(args.source)
        if self._is_recording:
            self._assembly = recording_form(args, args.source)
        else:
            from ssma_ros.files import check_writable
            from ssma_ros.training.datasets import open_dataset

            if args.cache:
                check_writable(args.cache, "cache")
            form = self._form = data_form(args, [network.path for network in networks])
            labels = networks[0].contract.labels
            self._dataset = open_dataset(form.kind, args.source, args.split, labels, form.options)

    def open(self, contract: Contract) -> Samples:
        """Encoded samples for ``contract``."""
        if self._is_recording:
            from ssma_ros.cli._labelled_recording import RecordingSamples

            return RecordingSamples(self._args.source, contract, self._assembly)
        from ssma_ros.training.datasets.cache import open_samples

        return open_samples(self._dataset, contract, self._args.cache, progress=not self._args.quiet)

    def digest(self) -> str:
        """SHA-256 of the data, whatever the encoding."""
        if self._is_recording:
            from ssma_ros.cli._labelled_recording import recording_digest

            return recording_digest(self._args.source)
        return self._dataset.digest()

    def facts(self) -> dict[str, Any]:
        """For the head of a report."""
        if self._is_recording:
            return {"data": str(self._args.source)}
        return {"data": str(self._args.source), "split": self._args.split, **self._form.facts()}


def set_threads(args: argparse.Namespace) -> None:
    """Apply ``--threads``.

    Raises:
        SsmaError: a negative number.
    """
    import torch

    from ssma_ros.errors import SsmaError

    if args.threads < 0:
        raise SsmaError(f"threads is {args.threads}, expected 0 or more")
    if args.threads:
        torch.set_num_threads(args.threads)
