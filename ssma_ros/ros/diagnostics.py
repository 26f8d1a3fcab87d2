# SPDX-License-Identifier: Apache-2.0
"""What the node says about itself on /diagnostics, in plain words. Pure: no rclpy, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssma_ros.ros.processing import Progress, SensorRecord
    from ssma_ros.ros.statistics import StageTimes
    from ssma_ros.synchronization import SyncCounters

OK, WARN, ERROR = 0, 1, 2

#: How long a lost frame is reported as an error, nanoseconds.
FAILURE_SHOWN_NS = 5_000_000_000
#: How long messages lost by the middleware are warned of, nanoseconds.
LOSS_SHOWN_NS = 5_000_000_000
#: This many duplicates in a row are no hiccup but a driver that does not stamp.
REPEATS_SHOWN = 3

_S = 1e-9  # of a nanosecond


@dataclass(frozen=True)
class Status:
    """One entry of a diagnostic_msgs/DiagnosticArray.

    Attributes:
        name: what it is about, without the node's name.
        level: OK, WARN or ERROR.
        message: one sentence.
        values: details by name.
    """

    name: str
    level: int
    message: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class InputState:
    """What is known of one input when a report is made.

    Attributes:
        sensor, topic: which.
        required: whether the output stops without it.
        rate_hz: arrivals a second.
        age_ns: since the last message, None for never.
        stale_ns: more than this is too old.
        publishers: how many publish the topic.
        problem: a QoS that does not fit, or empty.
        lost, lost_ns: messages the middleware lost, and when it last did.
    """

    sensor: str
    topic: str
    required: bool
    rate_hz: float
    age_ns: int | None
    stale_ns: int
    publishers: int
    problem: str = ""
    lost: int = 0
    lost_ns: int | None = None


def life_cycle_status(state: str, transitions_ms: Mapping[str, float]) -> Status:
    """Status of the life cycle; ``transitions_ms`` has the duration of the last transition of each kind."""
    values = {f"{name} (ms)": f"{duration:.1f}" for name, duration in transitions_ms.items()}
    return Status("life cycle", OK if state == "active" else WARN, state, values)


def input_status(state: InputState, counters: SyncCounters, progress: Progress, now_ns: int) -> Status:
    """Status of one image input."""
    record = progress.sensors.get(state.sensor)
    message = _trouble(state, counters, "" if record is None else record.current_reason(now_ns))
    level = OK if not message else ERROR if state.required else WARN
    if not message and state.lost_ns is not None and now_ns - state.lost_ns < LOSS_SHOWN_NS:
        level = WARN
        message = (
            f"{state.rate_hz:.1f} Hz, the middleware lost {state.lost} messages so far, expected none: give both "
            f"sides config/fastdds.xml, or publish reliably and set {state.sensor}_reliability"
        )
    if not message and record is not None and record.suspicion:
        level, message = WARN, record.suspicion
    message = message or f"{state.rate_hz:.1f} Hz"
    values = {
        "topic": state.topic,
        **_arrivals(state, counters.received[state.sensor], record),
        "duplicate stamps": str(counters.duplicates[state.sensor]),
        "overtaken": str(counters.overtaken[state.sensor]),
        "stamp jumps": str(counters.jumps[state.sensor]),
    }
    return Status(state.sensor, level, message, values)


def info_status(state: InputState, received: int, progress: Progress, now_ns: int) -> Status:
    """Status of a camera info: the last one holds until another comes, so that only none and a refused one matter."""
    record = progress.sensors.get(state.sensor)
    reason = "" if record is None else record.current_reason(now_ns)
    if state.age_ns is None:
        reason = _silence(state)
    values = {"topic": state.topic, **_arrivals(state, received, record)}
    return Status(state.sensor, WARN if reason else OK, reason or f"{state.rate_hz:.1f} Hz", values)


def _arrivals(state: InputState, received: int, record: SensorRecord | None) -> dict[str, str]:
    """What every input tells about its messages."""
    values = {
        "rate (Hz)": f"{state.rate_hz:.2f}",
        "age (s)": "never" if state.age_ns is None else f"{state.age_ns * _S:.3f}",
        "received": str(received),
        "refused": str(0 if record is None else record.refused),
        "lost by the middleware": str(state.lost),
    }
    if state.problem:
        values["QoS"] = state.problem
    return values


def _trouble(state: InputState, counters: SyncCounters, reason: str) -> str:
    """What is wrong with an input, in words, or nothing."""
    if state.age_ns is None or state.age_ns > state.stale_ns:
        return _silence(state)
    count, stamp_ns = counters.repeating.get(state.sensor, (0, 0))
    if count >= REPEATS_SHOWN:
        return f"stamp of the last {count + 1} {state.sensor} messages is {stamp_ns * _S:.3f} s, expected rising stamps"
    return reason


def _silence(state: InputState) -> str:
    """Why nothing comes from an input."""
    if state.problem and state.publishers:
        return state.problem
    nobody = "" if state.publishers else ", nobody publishes it"
    since = "yet" if state.age_ns is None else f"for {state.age_ns * _S:.1f} s"
    return f"no {state.sensor} message on {state.topic} {since}{nobody}"


def synchronization_status(counters: SyncCounters, progress: Progress, degraded_now: Mapping[str, str]) -> Status:
    """Status of matching; ``degraded_now`` has the reason of each sensor the last frame went without."""
    values = {
        "matched": str(counters.matched),
        "dropped, a newer frame was ready": str(counters.superseded),
        "given out early, too many waiting": str(counters.released),
        "not segmented, no subscriber": str(progress.unwanted),
    }
    values.update({f"degraded, {reason}": str(count) for reason, count in sorted(counters.degraded.items())})
    if degraded_now:
        words = "; ".join(f"{sensor}: {reason}" for sensor, reason in degraded_now.items())
        return Status("synchronization", WARN, f"frames go without {words}", values)
    return Status("synchronization", OK, f"{counters.matched} frames matched", values)


def gravity_status(progress: Progress, now_ns: int) -> Status:
    """Status of the direction that HHA takes for down; an estimate that is refused for a moment is no trouble."""
    words = progress.gravity.lasting(now_ns)
    return Status("gravity", WARN if words else OK, words or "as asked for")


def registration_status(progress: Progress, now_ns: int) -> Status:
    """Status of what other cameras' images are registered by."""
    words = progress.registration.lasting(now_ns)
    return Status("registration", WARN if words else OK, words or "through completed depth")


@dataclass(frozen=True)
class Demand:
    """What should come out.

    Attributes:
        driver: sensor whose images make frames now.
        coming_hz: how fast they come.
        work_ns: how long the work on the present frame has gone on, None while there is none.
        patience_ns: without output for longer something is wrong.
    """

    driver: str
    coming_hz: float
    work_ns: int | None
    patience_ns: int


def why_nothing_comes_out(progress: Progress, demand: Demand, now_ns: int) -> Status | None:
    """Status of inference while images come in and nothing goes out, or None where something does."""
    quiet_ns = now_ns - progress.published_ns
    if demand.coming_hz == 0.0 or quiet_ns < demand.patience_ns:
        return None
    if progress.unwanted_ns is not None and now_ns - progress.unwanted_ns < demand.patience_ns:
        return Status("inference", OK, "nothing is segmented: nobody subscribes to an output")
    record = progress.sensors.get(demand.driver)
    reason = "" if record is None else record.current_reason(now_ns)
    if demand.work_ns is not None and demand.work_ns > demand.patience_ns:
        reason = f"the work on one frame has gone on for {demand.work_ns * _S:.1f} s"
    words = f"nothing out for {quiet_ns * _S:.1f} s while {demand.driver} comes at {demand.coming_hz:.1f} Hz"
    return Status("inference", ERROR, f"{words}: {reason or 'no frame was made of it, see synchronization'}")


def inference_details(
    identity: Mapping[str, str], memory: Mapping[str, int | None], stages: StageTimes
) -> dict[str, str]:
    """Identity of the network, memory and latencies as values of a status.

    Args:
        identity: of the network.
        memory: bytes by whose they are (``GPU``, ``process``), None where nobody can tell.
        stages: durations by stage.
    """
    values = dict(identity)
    values.update({f"{owner} memory (MB)": f"{size / 1e6:.0f}" for owner, size in memory.items() if size is not None})
    for stage, (median, high) in sorted(stages.percentiles(50, 95).items()):
        values[f"{stage} p50/p95 (ms)"] = f"{median:.1f} / {high:.1f}"
    return values


def inference_status(
    progress: Progress, details: Mapping[str, str], rate_hz: float, now_ns: int, demand: Demand | None = None
) -> Status:
    """Status of network and output; a lost frame is an ERROR for some seconds, and so is no output on ``demand``."""
    values = {
        **details,
        "published": str(progress.published),
        "degraded": str(progress.degraded),
        "refused driving images": str(progress.refused),
        "failures": str(progress.failures.total()),
    }
    lost = progress.last_failure_ns
    if lost is not None and now_ns - lost < FAILURE_SHOWN_NS:
        words = f"{progress.failures.total()} frames lost so far, last: {progress.last_failure}"
        return Status("inference", ERROR, words, values)
    quiet = None if demand is None else why_nothing_comes_out(progress, demand, now_ns)
    if quiet is not None:
        return replace(quiet, values=values)
    return Status("inference", OK, f"{rate_hz:.1f} Hz out", values)
