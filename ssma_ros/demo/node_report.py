# SPDX-License-Identifier: Apache-2.0
"""What the fusion node said about itself on /diagnostics, as figures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ssma_ros.recordings.reader import RecordingReader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DIAGNOSTICS = "/diagnostics"
#: Keys of the inference status that say what runs the network.
_IDENTITY = ("backend", "device", "precision", "model", "version", "contract")
_STAGE = re.compile(r"^(?P<stage>\S+) p50/p95 \(ms\)$")
_TIMES = re.compile(r"^(?P<p50>[\d.]+) / (?P<p95>[\d.]+)$")


def node_report(recording: Path, node_name: str) -> dict[str, Any]:
    """Figures of the node's last complete report in a recording of /diagnostics.

    Returns:
        ``identity`` (words) and ``backend`` (details) of what ran the network, ``published`` and ``degraded``
        frames, ``stages_ms`` with p50 and p95 by stage, ``synchronization`` counters. Empty or zero where the
        node reported nothing.
    """
    statuses = _last_statuses(recording, node_name.strip("/"))
    inference = statuses.get("inference", {})
    backend = {key: inference[key] for key in _IDENTITY if inference.get(key)}
    return {
        "identity": identity_words(backend),
        "backend": backend,
        "published": int(inference.get("published", 0)),
        "degraded": int(inference.get("degraded", 0)),
        "refused": int(inference.get("refused driving images", 0)),
        "failures": int(inference.get("failures", 0)),
        "stages_ms": stage_times(inference),
        "synchronization": {key: int(value) for key, value in statuses.get("synchronization", {}).items()},
    }


def identity_words(backend: Mapping[str, str]) -> str:
    """For example ``openvino bf16``."""
    return " ".join(backend[key] for key in ("backend", "precision") if key in backend)


def stage_times(values: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Stages among the key-value pairs of the inference status, the slowest first."""
    stages = {}
    for key, value in values.items():
        stage, times = _STAGE.match(key), _TIMES.match(value)
        if stage and times:
            stages[stage["stage"]] = {"p50": float(times["p50"]), "p95": float(times["p95"])}
    return dict(sorted(stages.items(), key=lambda item: -item[1]["p50"]))


def _last_statuses(recording: Path, node: str) -> dict[str, dict[str, str]]:
    """Key-value pairs of the node's last status of each kind, by kind."""
    found: dict[str, dict[str, str]] = {}
    with RecordingReader(recording) as reader:
        for recorded in reader.messages([DIAGNOSTICS]):
            for status in reader.deserialize(recorded).status:
                name, _, kind = status.name.partition(": ")
                if name == node:
                    found[kind] = {pair.key: pair.value for pair in status.values}
    return found
