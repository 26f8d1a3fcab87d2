# SPDX-License-Identifier: Apache-2.0
"""Temperature and vector scaling recover what logits were spoilt by, and say what they change."""

from __future__ import annotations

import pytest
import torch

from ssma_ros.contract import Contract
from ssma_ros.errors import SsmaError
from ssma_ros.models.segmentation_graph import ScoreCalibration
from ssma_ros.training.datasets.cache import Sample
from ssma_ros.training.evaluate.calibration import fit_calibration, minimize_temperature, minimize_vector
from training.conftest import MemorySamples


def honest_pixels(count: int = 20_000, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits whose softmax is the distribution that the labels are drawn from."""
    generator = torch.Generator().manual_seed(0)
    logits = 2.0 * torch.randn(count, classes, generator=generator)
    return logits, torch.multinomial(logits.softmax(dim=1), 1, generator=generator).squeeze(1)


@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 3.0])
def test_temperature_is_recovered(true_temperature: float) -> None:
    logits, labels = honest_pixels()
    assert minimize_temperature(logits * true_temperature, labels) == pytest.approx(true_temperature, rel=0.03)


def test_vector_is_recovered() -> None:
    logits, labels = honest_pixels()
    weights, bias = torch.tensor([0.5, 1.0, 2.0, 1.5]), torch.tensor([1.0, -1.0, 0.5, -0.5])
    found, found_bias = minimize_vector((logits - bias) / weights, labels)
    assert found == pytest.approx(weights.tolist(), rel=0.1)
    assert found_bias == pytest.approx(bias.tolist(), abs=0.1)


def test_a_class_that_never_occurs_stays_finite() -> None:
    logits, labels = honest_pixels()
    keep = labels != 2
    weights, bias = minimize_vector(logits[keep], labels[keep])
    assert all(0.05 < w < 20 for w in weights)
    assert bias[2] == min(bias)
    assert bias[2] > -20


class Biased(torch.nn.Module):
    """Favours class 1 by more than the images say, and is too sure of everything."""

    def forward(self, image: torch.Tensor, _other: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        logits = image.new_zeros(image.shape[0], 5, *image.shape[2:])
        logits[:, :3] = 40.0 * image * present[:, :1, None, None]
        logits[:, 1] += 6.0
        return logits


@pytest.fixture
def noisy(contract: Contract) -> tuple[Contract, MemorySamples]:
    """Samples whose channels favour the true class, one of 0 to 2, by chance only."""
    generator = torch.Generator().manual_seed(3)
    made = []
    for _ in range(4):
        odds = torch.randn(32, 64, 3, generator=generator)
        label = torch.multinomial(odds.flatten(0, 1).softmax(dim=1), 1, generator=generator).view(32, 64)
        image = (128 + 20 * odds).clamp(0, 255).to(torch.uint8).numpy()
        label[:4] = 255
        made.append(Sample((image, image), (True, True), label.to(torch.uint8).numpy()))
    return contract, MemorySamples(made)


def test_temperature_keeps_every_class(noisy: tuple[Contract, MemorySamples]) -> None:
    contract, samples = noisy
    fit = fit_calibration("temperature", Biased(), contract, samples)
    assert (fit.samples, fit.pixels, fit.changed) == (4, 4 * 28 * 64, 0.0)
    assert fit.contract.temperature > 2.0
    assert fit.contract.vector_scaling is None
    assert fit.after.ece < fit.before.ece
    assert fit.after.nll < fit.before.nll
    assert fit.after.miou == fit.before.miou


def test_vector_scaling_takes_the_bias_back(noisy: tuple[Contract, MemorySamples]) -> None:
    contract, samples = noisy
    fit = fit_calibration("vector", Biased(), contract, samples)
    scaling = fit.contract.vector_scaling
    assert scaling is not None
    assert fit.contract.temperature == 1.0
    assert scaling.bias[1] < scaling.bias[0]
    assert fit.changed > 0.1
    assert fit.after.miou > fit.before.miou + 0.05
    assert fit.after.ece < 0.03 < fit.before.ece
    assert fit.held_out is not None
    assert fit.held_out.ece < 0.04
    # A calibration is fitted on raw logits: one that the contract holds already makes no difference.
    again = fit_calibration("vector", Biased(), fit.contract, samples)
    assert again.contract == fit.contract
    scores = ScoreCalibration(fit.contract)(torch.ones(1, 5, 1, 1))
    expected = [weight + bias for weight, bias in zip(scaling.weights, scaling.bias, strict=True)]
    assert scores.flatten().tolist() == pytest.approx(expected)


class Constant(torch.nn.Module):
    """The same class everywhere, whatever the images show, and sure of it."""

    def forward(self, image: torch.Tensor, _other: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        logits = image.new_zeros(image.shape[0], 5, *image.shape[2:])
        logits[:, 4] = 40.0
        return logits


@pytest.mark.parametrize("kind", ["temperature", "vector"])
def test_a_temperature_at_the_bound_of_the_search_is_told(kind: str, noisy: tuple[Contract, MemorySamples]) -> None:
    contract, samples = noisy
    fit = fit_calibration(kind, Constant(), contract, samples)  # class 4 never is the true one
    assert fit.at_bound
    assert "at the bound of the search, 0.05 to 20" in fit.remark()
    assert fit.to_document()["at_bound"] is True
    sound = fit_calibration(kind, Biased(), contract, samples)
    assert not sound.at_bound
    assert sound.remark() == ""
    assert "at_bound" not in sound.to_document()


def test_nothing_to_fit_on_is_said(contract: Contract, samples: MemorySamples) -> None:
    blank = MemorySamples([Sample(s.images, s.present, s.label * 0 + 255) for s in [samples[0]]])
    with pytest.raises(SsmaError, match="no labelled pixel"):
        fit_calibration("temperature", Biased(), contract, blank)
    with pytest.raises(SsmaError, match="kind is 'matrix', expected one of temperature, vector"):
        fit_calibration("matrix", Biased(), contract, samples)
