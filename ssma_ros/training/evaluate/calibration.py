# SPDX-License-Identifier: Apache-2.0
"""Calibration: few numbers, fitted on validation data, that make published confidences honest (Guo et al. 2017)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from ssma_ros.contract import VectorScaling
from ssma_ros.errors import SsmaError
from ssma_ros.metrics import ConfusionMatrix
from ssma_ros.models.segmentation_graph import ScoreCalibration
from ssma_ros.training.evaluate.metrics import Calibration
from ssma_ros.training.evaluate.predict import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from ssma_ros.contract import Contract
    from ssma_ros.training.datasets.cache import Samples

_PIXELS_PER_SAMPLE = 4096
#: Pull of the vector scaling towards the plain temperature: it matters where a class hardly occurs in the data.
_RIDGE = 1e-3
_DIGITS = 4
#: Where the best temperature is looked for.
_LOWEST, _HIGHEST = 0.05, 20.0


@dataclass(frozen=True)
class PixelScores:
    """How good confidences are on some pixels.

    Attributes:
        ece: expected calibration error.
        nll: mean of −log of the true class's probability, nats.
        miou: of the largest scores.
    """

    ece: float
    nll: float
    miou: float


@dataclass(frozen=True)
class CalibrationFit:
    """A fitted calibration.

    Attributes:
        contract: with it.
        samples, pixels: it was fitted on.
        before, after: scores on these pixels, without any calibration and with this one.
        held_out: scores of the same kind of calibration fitted on the first half of the samples, on the second half,
            and the other way round (halves, since neighbours often show one scene); None with a single sample.
        changed: share of the pixels whose class it changes.
        at_bound: the best temperature lies outside of the range that is searched, so this is not the best.
    """

    contract: Contract
    samples: int
    pixels: int
    before: PixelScores
    after: PixelScores
    held_out: PixelScores | None
    changed: float
    at_bound: bool

    def stages(self) -> dict[str, PixelScores]:
        """Scores by what was applied."""
        stages = {"none": self.before, "fitted": self.after}
        return stages if self.held_out is None else {**stages, "fitted on the other half": self.held_out}

    def to_document(self) -> dict[str, Any]:
        """JSON-ready."""
        scores = {name: asdict(scores) for name, scores in self.stages().items()}
        return {"samples": self.samples, "pixels": self.pixels, "changed": self.changed, **scores,
                **({"at_bound": True} if self.at_bound else {})}

    def remark(self) -> str:
        """What must be known of the fit, or ""."""
        if not self.at_bound:
            return ""
        return (f"The best temperature is at the bound of the search, {_LOWEST:g} to {_HIGHEST:g}: these confidences "
                "hold next to no information; train longer, or look at the labels, before you trust them.")


def fit_calibration(
    kind: str,
    network: nn.Module,
    contract: Contract,
    samples: Samples,
    *,
    limit: int = 0,
    seed: int = 0,
    progress: str = "",
) -> CalibrationFit:
    """Minimise the mean of −log p(true class) over validation pixels, 4096 random labelled ones of each sample.

    Args:
        kind: ``temperature`` (keeps the mask) or ``vector`` (weight and bias for each class; may change the mask).
        network, contract, samples, limit, progress: as for :class:`~ssma_ros.training.evaluate.predict.Predictor`.
        seed: of the choice of pixels.

    Raises:
        SsmaError: unknown kind, or no labelled pixel.
    """
    if kind not in KINDS:
        raise SsmaError(f"calibration: kind is '{kind}', expected one of {', '.join(KINDS)}")
    fit = KINDS[kind]
    pairs = _collect(network, contract, samples, limit, seed, progress)
    logits, labels = (torch.cat(tensors) for tensors in zip(*pairs, strict=True))
    fitted = fit(contract, logits, labels)
    best = minimize_temperature(logits, labels)
    scores = _apply(fitted, logits)
    return CalibrationFit(
        contract=fitted, samples=len(pairs), pixels=len(labels), before=_score(logits, labels),
        after=_score(scores, labels), held_out=_hold_out(fit, contract, pairs),
        changed=float((scores.argmax(dim=1) != logits.argmax(dim=1)).double().mean()),
        at_bound=not 1.01 * _LOWEST < best < 0.99 * _HIGHEST,
    )


def _collect(
    network: nn.Module, contract: Contract, samples: Samples, limit: int, seed: int, progress: str
) -> list[tuple[Tensor, Tensor]]:
    """For each sample with ground truth n×C logits and n labels."""
    rng = np.random.default_rng(seed)
    left_out = [contract.labels.ignore_id]
    if contract.labels.void_class is not None:
        left_out.append(contract.labels.void_class)
    pairs = []
    for _, sample, scores in Predictor(network, contract).over(samples, limit=limit, progress=progress):
        label = sample.label.ravel()
        known = np.flatnonzero(~np.isin(label, left_out))
        if known.size == 0:
            continue
        chosen = torch.from_numpy(rng.choice(known, min(_PIXELS_PER_SAMPLE, known.size), replace=False))
        pairs.append((scores.flatten(1)[:, chosen].T, torch.from_numpy(label)[chosen].long()))
    if not pairs:
        raise SsmaError("calibration: no labelled pixel in the validation samples, expected at least one")
    return pairs


def _with_temperature(contract: Contract, logits: Tensor, labels: Tensor) -> Contract:
    temperature = round(minimize_temperature(logits, labels), _DIGITS)
    return replace(contract, temperature=temperature, vector_scaling=None)


def _with_vector(contract: Contract, logits: Tensor, labels: Tensor) -> Contract:
    weights, bias = minimize_vector(logits, labels)
    scaling = VectorScaling(tuple(round(w, _DIGITS) for w in weights), tuple(round(b, _DIGITS) for b in bias))
    return replace(contract, temperature=1.0, vector_scaling=scaling)


#: Name → (contract, N×C logits, N labels) → contract with the best calibration of that kind.
KINDS: dict[str, Callable[[Contract, Tensor, Tensor], Contract]] = {
    "temperature": _with_temperature,
    "vector": _with_vector,
}


def _hold_out(
    fit: Callable[[Contract, Tensor, Tensor], Contract], contract: Contract, pairs: list[tuple[Tensor, Tensor]]
) -> PixelScores | None:
    if len(pairs) < 2:
        return None
    scores, labels = [], []
    halves = (pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :])
    for seen, unseen in (halves, halves[::-1]):
        fitted = fit(contract, *(torch.cat(tensors) for tensors in zip(*seen, strict=True)))
        logits, truth = (torch.cat(tensors) for tensors in zip(*unseen, strict=True))
        scores.append(_apply(fitted, logits))
        labels.append(truth)
    return _score(torch.cat(scores), torch.cat(labels))


def _apply(contract: Contract, logits: Tensor) -> Tensor:
    """N×C scores whose softmax ``contract`` publishes for N×C logits."""
    calibrated: Tensor = ScoreCalibration(contract)(logits[:, :, None, None])
    return calibrated[:, :, 0, 0]


def _score(scores: Tensor, labels: Tensor) -> PixelScores:
    confidence, mask = scores.softmax(dim=1).amax(dim=1), scores.argmax(dim=1)
    calibration, matrix = Calibration(), ConfusionMatrix(scores.shape[1])
    calibration.update(confidence.numpy(), mask.numpy(), labels.numpy())
    matrix.update(mask.numpy(), labels.numpy())
    nll = float(functional.cross_entropy(scores, labels))
    return PixelScores(calibration.expected_error(), nll, matrix.miou())


def minimize_temperature(logits: Tensor, labels: Tensor) -> float:
    """The best T for N×C ``logits`` and N ``labels``, within 0.05 … 20 (see
    :attr:`CalibrationFit.at_bound`).

    The loss is convex in 1/T, so a golden-section search over log T finds the minimum.
    """

    def loss(log_temperature: float) -> float:
        return float(functional.cross_entropy(logits / float(np.exp(log_temperature)), labels))

    low, high = float(np.log(_LOWEST)), float(np.log(_HIGHEST))
    ratio = (np.sqrt(5.0) - 1.0) / 2.0
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > 1e-4:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return float(np.exp((low + high) / 2.0))


def minimize_vector(logits: Tensor, labels: Tensor) -> tuple[list[float], list[float]]:
    """The best (weights, biases) of w·logit + b for N×C ``logits`` and N ``labels``.

    L-BFGS over log w and b in double precision, from the best temperature and pulled towards it by a small quadratic
    term, without which the bias of a class that never occurs would run away. The biases' mean, which changes nothing,
    is 0.
    """
    start = float(-np.log(minimize_temperature(logits, labels)))
    values = logits.double()
    log_weights = torch.full((values.shape[1],), start, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(values.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_weights, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        error = functional.cross_entropy(values * log_weights.exp() + bias, labels)
        error = error + _RIDGE * ((log_weights - start).square().mean() + bias.square().mean())
        error.backward()
        return error

    optimizer.step(loss)
    with torch.no_grad():
        centred = bias - bias.mean()
        return log_weights.exp().tolist(), centred.tolist()
