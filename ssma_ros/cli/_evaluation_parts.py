# SPDX-License-Identifier: Apache-2.0
"""An evaluation in parts that run side by side."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssma_ros.training.evaluate.run import EvaluationRun

#: Parts for each process: the last one to end keeps the others waiting for a small part only.
_PARTS = 4
#: On a cluster, whose size nobody tells.
_ON_A_CLUSTER = 64


@dataclass(frozen=True)
class PartJob:
    """A stretch of the samples.

    Attributes:
        model: the network's folder or weights.
        args: of the command.
        part: (k, n), see :class:`~ssma_ros.training.evaluate.run.EvaluationRun`.
    """

    model: Path
    args: argparse.Namespace
    part: tuple[int, int]


def score_part(job: PartJob) -> list[dict[str, Any]]:
    """What every case of the network counts in a stretch of the samples."""
    import torch

    from ssma_ros.cli._evaluation_source import EvaluationSource
    from ssma_ros.training.evaluate.networks import TrainedNetwork
    from ssma_ros.training.evaluate.run import EvaluationRun
    from ssma_ros.training.evaluate.score import cases_of

    torch.set_num_threads(max(1, job.args.threads))  # processes parallelise better than the threads inside
    networks = [TrainedNetwork(job.model)]
    cases = [cases_of(networks[0].contract, multi_scale=job.args.msf)]
    evaluation = EvaluationRun(networks, EvaluationSource(job.args, networks).open, cases=cases, limit=job.args.limit,
                               part=job.part)
    evaluation.run()
    return evaluation.counted()


def run_in_parts(evaluation: EvaluationRun, args: argparse.Namespace) -> None:
    """Score an evaluation of one network side by side, as ``--processes`` or ``--ray`` say.

    Raises:
        SsmaError: as of :func:`ssma_ros.parallel.spread`.
    """
    from tqdm import tqdm

    from ssma_ros.parallel import spread

    count = max(1, min(len(evaluation.indices), _ON_A_CLUSTER if args.ray else _PARTS * args.processes))
    # What follows --calibrate and the like was done here; the parts only score.
    plain = argparse.Namespace(**{**vars(args), "quiet": True, "run": None})
    jobs = [PartJob(evaluation.networks[0].path, plain, (number, count)) for number in range(count)]
    found = {}
    with tqdm(total=count, unit="part", desc="evaluation", disable=args.quiet) as bar:
        for number, counted in spread(score_part, jobs, processes=args.processes, ray=args.ray):
            found[number] = counted
            bar.update()
    evaluation.add(found[number] for number in range(count))
