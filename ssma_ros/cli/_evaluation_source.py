"""What ``ssma evaluate`` and ``ssma tabulate`` score on: a data set or a labelled recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from ssma_ros.contract import Contract
    from ssma_ros.labels import LabelSet
    from ssma_ros.training.datasets.cache import Samples


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that say what to score on and how much of it."""
    parser.add_argument("source", type=Path, metavar="SOURCE",
                        help="root of a data set, or a rosbag2 recording with labels")
    parser.add_argument("--kind", default="folder", help="layout of the data set (%(default)s)")
    parser.add_argument("--split", default="val", help="split of the data set (%(default)s)")
    parser.add_argument("--options", default="", metavar="YAML",
                        help="further options of the data set as in a training configuration, for example "
                             "'{depth_scale: 0.01}'")
    parser.add_argument("--limit", type=int, default=0, metavar="N",
                        help="score at most N samples, spread evenly (0 = all)")
    parser.add_argument("--cache", default="", metavar="DIR", help="keep encoded inputs here")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads (0 = PyTorch's choice)")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


class EvaluationSource:
    """Opens the source for any contract.

    Args:
        args: with the arguments of :func:`add_source_arguments`.
        labels: of the models.

    Raises:
        SsmaError: impossible options, or the source is neither a data set of that kind nor a recording.
    """

    def __init__(self, args: argparse.Namespace, labels: LabelSet) -> None:
        self._args = args
        path: Path = args.source
        self._is_recording = path.is_file() or (path / "metadata.yaml").is_file()
        if not self._is_recording:
            from ssma_ros.training.datasets import open_dataset

            self._dataset = open_dataset(args.kind, path, args.split, labels, _parse_options(args.options))

    def open(self, contract: Contract) -> Samples:
        """Encoded samples for ``contract``."""
        if self._is_recording:
            from ssma_ros.cli._labelled_recording import RecordingSamples

            return RecordingSamples(self._args.source, contract)
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
        return {"data": str(self._args.source), "split": self._args.split}


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


def _parse_options(text: str) -> dict[str, Any]:
    import yaml

    from ssma_ros.errors import SsmaError

    try:
        options = yaml.safe_load(text) if text else {}
    except yaml.YAMLError as error:
        raise SsmaError(f"options '{text}': cannot be read as YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(options, dict):
        raise SsmaError(f"options '{text}': expected a mapping such as {{depth_scale: 0.01}}")
    return options
