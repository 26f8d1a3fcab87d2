# SPDX-License-Identifier: Apache-2.0
"""Curves and pictures of a run: one JSON line an event, and TensorBoard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ssma_ros.encodings.table import as_rgb
from ssma_ros.errors import SsmaError
from ssma_ros.training.evaluate.predict import Predictor, mask_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from ssma_ros.contract import Contract
    from ssma_ros.training.datasets.cache import Samples

FILE_NAME = "log.jsonl"
_EVERY = 20
_PICTURES = 2


class RunLog:
    """Writes ``log.jsonl`` and ``tensorboard/`` in a run's folder; a context manager.

    Args:
        folder: of the run.
        done: steps that are done already: later lines of an interrupted run are dropped.
        enabled: False in all processes but the first.
        tensorboard: write TensorBoard files too.
    """

    def __init__(self, folder: Path, done: int, *, enabled: bool = True, tensorboard: bool = True) -> None:
        self._enabled = enabled
        self._losses: list[float] = []
        self._writer: Any = None
        if not enabled:
            return
        path = folder / FILE_NAME
        kept = [line for line in _lines(path) if json.loads(line)["step"] <= done]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")
        if tensorboard:
            self._writer = require_tensorboard()(str(folder / "tensorboard"), purge_step=done + 1)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self._enabled:
            self._file.close()
        if self._writer is not None:
            self._writer.close()

    def step(self, step: int, *, loss: float, lr: float) -> None:
        """Note one optimiser step; means over 20 steps are written."""
        if not self._enabled:
            return
        self._losses.append(loss)
        if step % _EVERY == 0:
            mean = float(np.mean(self._losses))
            self._losses.clear()
            self._line({"step": step, "loss": round(mean, 5), "lr": lr})
            self._scalars(step, {"train/loss": mean, "train/lr": lr})

    def validation(self, step: int, summary: Mapping[str, Any]) -> None:
        """Note the scores of a validation."""
        if self._enabled:
            self._line({"step": step, "validation": dict(summary)})
            scores = {f"val/iou/{name}": value for name, value in summary["iou"].items() if value is not None}
            self._scalars(step, {"val/miou": summary["miou"] or 0.0, **scores})

    def pictures(
        self, step: int, network: nn.Module, contract: Contract, samples: Samples, device: torch.device
    ) -> None:
        """Inputs, label and prediction of two validation samples side by side."""
        if self._writer is None:
            return
        palette = np.array(contract.labels.palette(), np.uint8)
        predictor = Predictor(network, contract, device)
        for i, (_, sample, logits) in enumerate(predictor.over(samples, limit=_PICTURES)):
            inputs = [as_rgb(s.encoding, i) for s, i in zip(contract.streams, sample.images, strict=True)]
            row = np.hstack([*inputs, palette[sample.label], palette[mask_of(logits)]])
            self._writer.add_image(f"val/{i}", _half(row), step, dataformats="HWC")

    def finished(self, step: int, best: float) -> None:
        """Note the end of the run."""
        if self._enabled:
            self._line({"step": step, "finished": True, "best_miou": round(best, 5)})

    def _line(self, document: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(document) + "\n")
        self._file.flush()

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)


def _lines(path: Path) -> list[str]:
    """Whole lines of the log; a line cut short by a kill is dropped."""
    if not path.is_file():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            json.loads(line)
        except json.JSONDecodeError:
            break
        lines.append(line)
    return lines


def require_tensorboard() -> Any:
    """TensorBoard's writer class.

    Raises:
        SsmaError: it is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise SsmaError(
            "training: TensorBoard is not installed, expected it for tensorboard: true "
            "(pip install 'ssma_ros[train]', or set tensorboard: false)"
        ) from None
    return SummaryWriter


def _half(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(image[::2, ::2])
