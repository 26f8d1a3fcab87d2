# SPDX-License-Identifier: Apache-2.0
"""A demo run in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ssma_ros.demo.live import LiveResult

FORMAT = "ssma-demo-summary"
VERSION = 1


def percentiles(values: Iterable[float]) -> dict[str, float] | None:
    """p50, p95 and max, rounded to a hundredth; None of nothing."""
    array = np.fromiter(values, np.float64)
    if array.size == 0:
        return None
    p50, p95 = np.percentile(array, [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2), "max": round(float(array.max()), 2)}


def latencies_ms(live: LiveResult) -> list[float]:
    """Milliseconds from the publication of each image to the arrival of its mask."""
    published = dict(live.publish_times)
    return [(arrived - published[stamp]) * 1e-6 for stamp, arrived in live.mask_times if stamp in published]


def sustained_rate_hz(times: Sequence[tuple[int, int]]) -> float | None:
    """Events a second between the first and the last of (stamp_ns, monotonic_ns) pairs; None of fewer than two."""
    if len(times) < 2 or times[-1][1] <= times[0][1]:
        return None
    return (len(times) - 1) / ((times[-1][1] - times[0][1]) * 1e-9)


def measured(live: LiveResult) -> dict[str, Any]:
    """Rates, latency and counts of a live run, JSON-ready."""
    published = len(live.publish_times)
    stamps = {stamp for stamp, _ in live.publish_times}
    segmented = sum(stamp in stamps for stamp, _ in live.mask_times)
    return {
        "rate_hz": _rounded(sustained_rate_hz(live.mask_times)),
        "input_rate_hz": _rounded(sustained_rate_hz(live.publish_times)),
        "latency_ms": percentiles(latencies_ms(live)),
        "frames": {"published": published, "segmented": segmented, "dropped": published - segmented},
        "published_messages": dict(live.published),
        "received_messages": dict(live.received),
        "player_lateness_ms": percentiles(live.lateness_ms),
    }


def closing_table(rows: Sequence[tuple[str, str]], files: Mapping[str, str]) -> str:
    """Two aligned blocks for the terminal: figures, then what each file is."""
    width = max(len(name) for name in [*(name for name, _ in rows), *files])
    lines = [f"  {name:<{width}}  {value}" for name, value in rows]
    lines += ["", *(f"  {name:<{width}}  {value}" for name, value in files.items())]
    return "\n".join(lines)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
