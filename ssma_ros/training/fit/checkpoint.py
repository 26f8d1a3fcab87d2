# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a run: everything that decides its further course, written whole or not at all."""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ssma_ros.errors import SsmaError
from ssma_ros.files import whole_file

FILE_NAME = "checkpoint.pt"


@dataclass
class Progress:
    """Where a run stands.

    Batches, dropout and modality dropout are seeded by stage and step, so these two numbers are also the state of
    every random generator and the position in the data.

    Attributes:
        stage: index of the stage under way.
        step: steps of it that are done.
        best_miou: best validation so far.
        since_best: validations since then.
    """

    stage: int = 0
    step: int = 0
    best_miou: float = -1.0
    since_best: int = 0


@dataclass
class Checkpoint:
    """State of a run.

    Attributes:
        progress: see there.
        run: digest of configuration and data: a checkpoint continues only the run it came from.
        network, optimizer, average, scaler: state dictionaries (``average`` and ``scaler`` may be empty).
    """

    progress: Progress
    run: str
    network: dict[str, Any]
    optimizer: dict[str, Any]
    average: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Replace the checkpoint in ``folder``; a kill or power cut at any moment leaves the old one or the new one.

    Raises:
        SsmaError: the disk refuses; the old checkpoint is still there.
    """
    document = {name: getattr(checkpoint, name) for name in ("run", "network", "optimizer", "average", "scaler")}
    with whole_file(folder / FILE_NAME) as file:
        try:
            torch.save({**document, "progress": asdict(checkpoint.progress)}, file)
        except RuntimeError as error:  # torch's archive writer puts its own error in the place of the disk's
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_checkpoint(folder: Path, run: str) -> Checkpoint | None:
    """The checkpoint in ``folder``, or None if there is none.

    Only tensors and plain data are unpickled.

    Raises:
        SsmaError: unreadable file, or it belongs to another run.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        document = torch.load(path, map_location="cpu", weights_only=True)
        progress = Progress(**document.pop("progress"))
        checkpoint = Checkpoint(progress=progress, **document)
    except (RuntimeError, OSError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise SsmaError(f"checkpoint {path}: cannot be read ({str(error).splitlines()[0]}); "
                        "delete it to start anew") from None
    if checkpoint.run != run:
        raise SsmaError(
            f"checkpoint {path}: belongs to another configuration or other data, expected one of this run; "
            "choose another output folder"
        )
    return checkpoint
