"""Trained networks side by side on the same samples."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tqdm import tqdm

from ssma_ros.inference.loading import WEIGHTS_NAME
from ssma_ros.models import load_model
from ssma_ros.training.evaluate.evaluation import Predictor
from ssma_ros.training.evaluate.scoring import Case, CaseResult, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ssma_ros.contract import Contract
    from ssma_ros.models.network import SegmentationNetwork
    from ssma_ros.training.datasets.cache import Sample
    from ssma_ros.training.datasets.shared_samples import SharedSamples


#: What ``ssma train`` calls the result inside its run's folder.
_RESULTS = {"model": "", "best": " (best)"}


def short_name(path: Path) -> str:
    """What a model is called in tables: its folder or file, or the run whose result it is."""
    stem = path.stem if path.suffix == ".safetensors" else path.name
    if stem in (Path(WEIGHTS_NAME).stem, ""):
        return short_name(path.resolve().parent)
    if stem in _RESULTS:
        return f"{path.resolve().parent.name}{_RESULTS[stem]}"
    return stem


class Contender:
    """A trained network with a name.

    Args:
        path: model folder or .safetensors file.
        name: for tables; default: :func:`short_name`.

    Attributes:
        name, path: as above.
        network: in evaluation mode, channels last (a fifth faster on CPUs).
        predictor: of the network.

    Raises:
        SsmaError: the model cannot be read.
    """

    def __init__(self, path: Path, name: str = "") -> None:
        self.name = name or short_name(path)
        self.path = path
        network = load_model(path)
        assert network.contract is not None  # load_model sets it
        self.network: SegmentationNetwork = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.predictor = Predictor(network, network.contract)

    @property
    def contract(self) -> Contract:
        """Of the network."""
        return self.predictor.contract

    def use_contract(self, contract: Contract) -> None:
        """Predict with another calibration from now on."""
        self.network.contract = contract
        self.predictor = Predictor(self.network, contract)

    def digest(self) -> str:
        """SHA-256 of everything that decides the predictions: weights and contract."""
        weights = self.path / WEIGHTS_NAME if self.path.is_dir() else self.path
        content = hashlib.sha256(weights.read_bytes()).hexdigest()
        return hashlib.sha256(f"{content} {self.contract.digest()}".encode()).hexdigest()


@dataclass
class Entry:
    """One contender in one case.

    Attributes:
        contender: index of the contender.
        case: which case.
        tally: scores so far.
        done: how many of the chosen samples were looked at.
    """

    contender: int
    case: Case
    tally: Tally
    done: int = 0

    def result(self) -> CaseResult:
        """The scores so far."""
        return self.tally.result(self.case.name)


@dataclass(frozen=True)
class Look:
    """What all contenders made of one sample.

    Attributes:
        index: of the sample.
        samples: for each contender its inputs and label.
        masks: (contender, case) → H×W class ids; lacks entries that were done before or had no input.
    """

    index: int
    samples: Sequence[Sample]
    masks: Mapping[tuple[int, Case], NDArray[np.uint8]] = field(default_factory=dict)


def score_side_by_side(
    contenders: Sequence[Contender],
    entries: Sequence[Entry],
    samples: SharedSamples,
    indices: Sequence[int],
    *,
    progress: str = "",
    observe: Sequence[Callable[[Look], None]] = (),
    after_sample: Callable[[], None] | None = None,
) -> None:
    """Bring every entry to the end of ``indices``, sample by sample, so that each is encoded once.

    Args:
        contenders: networks.
        entries: what is to be scored; one that is further than others waits for them.
        samples: for the contenders' contracts, in their order.
        indices: samples to score.
        progress: text of a progress bar, or none.
        observe: called with every sample that some entry still wanted.
        after_sample: called after each such sample, when all tallies hold it.
    """
    first = min((entry.done for entry in entries), default=len(indices))
    bar = tqdm(total=len(indices), initial=first, desc=progress, unit="sample", disable=not progress)
    with bar:
        for position in range(first, len(indices)):
            look = Look(indices[position], samples[indices[position]])
            look = replace(look, masks=_score_sample(contenders, entries, position, look, samples))
            for entry in entries:
                entry.done = max(entry.done, position + 1)
            for observer in observe:
                observer(look)
            if after_sample is not None:
                after_sample()
            bar.update()


def _score_sample(
    contenders: Sequence[Contender], entries: Sequence[Entry], position: int, look: Look, samples: SharedSamples
) -> dict[tuple[int, Case], NDArray[np.uint8]]:
    masks = {}
    group = samples.group(look.index)
    for entry in entries:
        if entry.done > position:
            continue
        sample = look.samples[entry.contender]
        scores = contenders[entry.contender].predictor.scores(
            sample, entry.case.missing, multi_scale=entry.case.multi_scale
        )
        if scores is not None:
            masks[entry.contender, entry.case] = entry.tally.update(scores, sample.label, group)
    return masks
