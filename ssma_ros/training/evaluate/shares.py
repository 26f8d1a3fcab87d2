# SPDX-License-Identifier: Apache-2.0
"""Does a stream's share of the fused features, or its gate, tell what is lost without it?

``python -m ssma_ros.training.evaluate.shares MODEL DATA [--split val]`` prints Spearman correlations over a data set in
the generic layout.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from ssma_ros.inference import locate_model
from ssma_ros.models import load_model
from ssma_ros.training.datasets import open_dataset
from ssma_ros.training.datasets.batch import Normalizer
from ssma_ros.training.datasets.cache import open_samples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import nn

    from ssma_ros.contract import Contract
    from ssma_ros.training.datasets.batch import Batch
    from ssma_ros.training.datasets.cache import Samples


class Reliance(NamedTuple):
    """One stream of one sample.

    Attributes:
        stream: its name.
        share, gate: means over the picture, with all streams that the sample has.
        loss: mean log-probability of the true class, less that with the stream blanked.
    """

    stream: str
    share: float
    gate: float
    loss: float


@torch.inference_mode()
def reliances(network: nn.Module, contract: Contract, samples: Samples, progress: str = "") -> Iterator[Reliance]:
    """Every stream that a sample has beside others, sample by sample; ``network`` is in evaluation mode."""
    normalize = Normalizer(contract, torch.device("cpu"))
    for index in tqdm(range(len(samples)), desc=progress, unit="sample", disable=not progress, leave=False):
        batch = normalize([samples[index]])
        there = [i for i, flag in enumerate(batch.present[0].tolist()) if flag]
        if len(there) < 2 or not bool((batch.label != contract.labels.ignore_id).any()):
            continue
        logits, gates, shares = network(*batch.images, present=batch.present, return_gates=True, return_shares=True)
        whole = _log_probability(logits, batch, contract)
        for i in there:
            present = batch.present.clone()
            present[0, i] = 0
            without = _log_probability(network(*batch.images, present=present), batch, contract)
            means = float(shares[0, i].mean()), float(gates[0, i].mean())
            yield Reliance(contract.modalities[i], *means, whole - without)


def _log_probability(logits: torch.Tensor, batch: Batch, contract: Contract) -> float:
    ignored = contract.labels.ignore_id
    return -float(torch.nn.functional.cross_entropy(logits.float(), batch.label, ignore_index=ignored))


def spearman(one: Any, other: Any) -> float:
    """Correlation of the ranks, equals at their mean rank; NaN where one does not vary."""
    first, second = (_ranks(np.asarray(values, np.float64)) for values in (one, other))
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    means = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray(means[places.reshape(-1)], np.float64)


def main() -> None:
    """Print the correlations of shares and gates, over all streams and for each."""
    parser = argparse.ArgumentParser(prog="python -m ssma_ros.training.evaluate.shares")
    parser.add_argument("model", help="training run, model folder, or name of a shipped model")
    parser.add_argument("data", help="data set in the generic layout")
    parser.add_argument("--split", default="val")
    args = parser.parse_args()
    network = load_model(locate_model(args.model))
    contract = network.contract
    assert contract is not None  # load_model sets it
    samples = open_samples(open_dataset("folder", args.data, args.split, contract.labels, {}), contract)
    found = list(reliances(network, contract, samples, "blanking streams"))
    print("| streams | pairs | share | gate |\n|---|---|---|---|")
    for name in ("all", *contract.modalities):
        rows = [row for row in found if name in ("all", row.stream)]
        loss = [row.loss for row in rows]
        share, gate = (spearman([getattr(row, key) for row in rows], loss) for key in ("share", "gate"))
        print(f"| {name} | {len(rows)} | {share:.2f} | {gate:.2f} |")


if __name__ == "__main__":
    main()
