# SPDX-License-Identifier: Apache-2.0
"""How well shares tell what is lost without a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from ssma_ros.models import build_network
from ssma_ros.training.evaluate.predict import Predictor
from ssma_ros.training.evaluate.shares import reliances, spearman

if TYPE_CHECKING:
    from ssma_ros.contract import Contract

    from .conftest import MemorySamples


def test_losses_are_those_of_the_true_class_without_the_stream(contract: Contract, samples: MemorySamples) -> None:
    torch.manual_seed(1)
    network = build_network(contract.network, 5).eval()
    found = list(reliances(network, contract, samples))
    assert [row.stream for row in found] == ["rgb", "nir"] * len(samples)
    for rgb, nir in zip(found[::2], found[1::2], strict=True):
        assert rgb.share + nir.share == pytest.approx(1, abs=1e-4)
    predictor, label = Predictor(network, contract), torch.from_numpy(samples[0].label).long()[None]
    values = []
    for missing in ((), ("nir",)):
        logits = predictor.logits(samples[0], missing)
        assert logits is not None
        values.append(float(logits.log_softmax(0).gather(0, label).mean()))
    assert found[1].loss == pytest.approx(values[0] - values[1], abs=1e-4)


def test_spearman() -> None:
    assert spearman([1, 2, 3, 4], [10, 20, 25, 1000]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 2, 2, 4], [1, 3, 2, 4]) == pytest.approx(9 / np.sqrt(90))
    assert np.isnan(spearman([1, 1, 1], [1, 2, 3]))
