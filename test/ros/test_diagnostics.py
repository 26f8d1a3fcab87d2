# SPDX-License-Identifier: Apache-2.0
"""Diagnostics in plain words, running statistics, throttled sentences."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from ssma_ros.ros.diagnostics import (
    ERROR,
    OK,
    WARN,
    Demand,
    InputState,
    gravity_status,
    inference_details,
    inference_status,
    info_status,
    input_status,
    life_cycle_status,
    synchronization_status,
)
from ssma_ros.ros.processing import Doubt, Progress, SensorRecord
from ssma_ros.ros.statistics import RateMeter, StageTimes, ThrottledLog
from ssma_ros.synchronization import SyncCounters

S = 1_000_000_000


NOW = 100 * S


def state(age_ns: int | None, *, required: bool = False, problem: str = "", publishers: int = 1) -> InputState:
    return InputState("depth", "/depth", required, 30.0, age_ns, S // 2, publishers, problem)


def test_inputs_in_words() -> None:
    progress, counters = Progress(), SyncCounters()
    assert input_status(state(S // 10), counters, progress, NOW).level == OK
    silent = input_status(state(2 * S), counters, progress, NOW)
    assert (silent.level, silent.message) == (WARN, "no depth message on /depth for 2.0 s")
    assert input_status(state(2 * S, required=True), counters, progress, NOW).level == ERROR
    assert input_status(state(None), counters, progress, NOW).message == "no depth message on /depth yet"
    qos = input_status(state(None, problem="topic /depth: QoS"), counters, progress, NOW)
    assert qos.message == "topic /depth: QoS"
    gone = input_status(state(None, problem="topic /depth: QoS", publishers=0), counters, progress, NOW)
    assert gone.message == "no depth message on /depth yet, nobody publishes it"
    record = progress.sensors["depth"] = SensorRecord("refused: topic /depth: step is 1", NOW - S // 10, refused=4)
    refused = input_status(state(S // 10), counters, progress, NOW)
    assert (refused.level, refused.message) == (WARN, "refused: topic /depth: step is 1")
    assert refused.values["refused"] == "4"
    record.noted_ns = NOW - 10 * S  # no frame since: nothing is known about now
    assert input_status(state(S // 10), counters, progress, NOW).level == OK


def test_losses_on_the_way_are_warned_of_for_a_while() -> None:
    lossy = replace(state(S // 10, required=True), lost=49, lost_ns=NOW - S)
    status = input_status(lossy, SyncCounters(), Progress(), NOW)
    assert status.level == WARN
    assert "the middleware lost 49 messages so far" in status.message
    assert "depth_reliability" in status.message
    assert input_status(replace(lossy, lost_ns=NOW - 10 * S), SyncCounters(), Progress(), NOW).level == OK


def test_a_driver_that_does_not_stamp_is_named() -> None:
    counters = SyncCounters(repeating={"depth": (7, 0)})
    status = input_status(state(S // 10, required=True), counters, Progress(), NOW)
    assert status.level == ERROR
    assert status.message == "stamp of the last 8 depth messages is 0.000 s, expected rising stamps"


def test_counters_are_reported() -> None:
    counters = SyncCounters(matched=7, superseded=2, released=1, degraded=Counter({"nir: silent": 3}))
    status = synchronization_status(counters, Progress(unwanted=4), {"nir": "no nir message for 1.0 s"})
    assert (status.level, status.message) == (WARN, "frames go without nir: no nir message for 1.0 s")
    assert status.values == {
        "matched": "7",
        "dropped, a newer frame was ready": "2",
        "given out early, too many waiting": "1",
        "not segmented, no subscriber": "4",
        "degraded, nir: silent": "3",
    }
    assert synchronization_status(counters, Progress(), {}).level == OK


def demand(coming_hz: float = 30.0, work_ns: int | None = None) -> Demand:
    return Demand("color", coming_hz, work_ns, patience_ns=2 * S)


def test_nothing_out_while_images_come_in_is_never_well() -> None:
    progress = Progress(published_ns=NOW - 3 * S)
    status = inference_status(progress, {"device": "CPU"}, 0.0, NOW, demand())
    words = "nothing out for 3.0 s while color comes at 30.0 Hz: "
    assert (status.level, status.message) == (ERROR, f"{words}no frame was made of it, see synchronization")
    assert status.values["device"] == "CPU"
    status = inference_status(progress, {}, 0.0, NOW, demand(work_ns=5 * S))
    assert status.message == f"{words}the work on one frame has gone on for 5.0 s"
    progress.sensors["color"] = SensorRecord("refused: topic /x: encoding is 'y'", NOW)
    assert inference_status(progress, {}, 0.0, NOW, demand()).message == f"{words}refused: topic /x: encoding is 'y'"


def test_nothing_out_is_well_where_nothing_comes_in_where_nobody_listens_and_for_a_moment() -> None:
    for progress, asked in [
        (Progress(published_ns=NOW - 3 * S), demand(coming_hz=0.0)),
        (Progress(published_ns=NOW - S), demand()),
    ]:
        status = inference_status(progress, {}, 0.0, NOW, asked)
        assert (status.level, status.message) == (OK, "0.0 Hz out")
    unwanted = Progress(published_ns=NOW - 9 * S, unwanted_ns=NOW - S)
    status = inference_status(unwanted, {}, 0.0, NOW, demand())
    assert (status.level, status.message) == (OK, "nothing is segmented: nobody subscribes to an output")


def test_gravity_that_is_not_as_asked_for_is_warned_of_when_it_lasts() -> None:
    progress = Progress()
    progress.gravity = Doubt("the camera counts as level", NOW - S)
    assert gravity_status(progress, NOW).level == OK
    status = gravity_status(progress, NOW + S)
    assert (status.level, status.message) == (WARN, "the camera counts as level")


def test_inference_tells_latencies_identity_memory_and_lost_frames() -> None:
    progress = Progress(published=5)
    progress.stages.add({"inference": 10.0})
    progress.stages.add({"inference": 20.0})
    memory = {"GPU": 512_000_000, "process": 301_400_000}
    details = inference_details({"backend": "tensorrt"}, memory, progress.stages)
    status = inference_status(progress, details, 12.0, 9 * S)
    assert (status.level, status.message) == (OK, "12.0 Hz out")
    assert status.values["inference p50/p95 (ms)"] == "15.0 / 19.5"
    assert status.values["backend"] == "tensorrt"
    assert status.values["GPU memory (MB)"] == "512"
    assert status.values["process memory (MB)"] == "301"
    progress.failures["RuntimeError"] = 2
    progress.last_failure, progress.last_failure_ns = "RuntimeError: device lost", 9 * S
    lost = inference_status(progress, {}, 0.0, 10 * S)
    assert (lost.level, lost.message) == (ERROR, "2 frames lost so far, last: RuntimeError: device lost")
    assert inference_status(progress, {}, 0.0, 60 * S).level == OK


def test_memory_that_nobody_knows_is_left_out() -> None:
    assert inference_details({}, {"GPU": None, "process": None}, StageTimes()) == {}


def test_the_life_cycle_tells_how_long_its_transitions_took() -> None:
    status = life_cycle_status("active", {"configure": 1234.56, "activate": 0.31})
    assert (status.level, status.message) == (OK, "active")
    assert status.values == {"configure (ms)": "1234.6", "activate (ms)": "0.3"}
    assert life_cycle_status("inactive", {}).level == WARN


def test_a_camera_info_holds_until_another_comes() -> None:
    info = replace(state(None), sensor="camera_info", topic="/info")
    progress = Progress()
    never = info_status(info, 0, progress, NOW)
    assert (never.level, never.message) == (WARN, "no camera_info message on /info yet")
    old = info_status(replace(info, age_ns=60 * S), 9, progress, NOW)
    assert (old.level, old.message) == (OK, "30.0 Hz")
    assert (old.values["age (s)"], old.values["received"]) == ("60.000", "9")
    progress.sensors["camera_info"] = SensorRecord("refused: topic /info: size is 1x1", NOW - S // 10, refused=3)
    refused = info_status(replace(info, age_ns=S), 9, progress, NOW)
    assert (refused.level, refused.message) == (WARN, "refused: topic /info: size is 1x1")
    assert refused.values["refused"] == "3"


def test_rate_is_messages_a_second_and_sinks_when_they_stay_away() -> None:
    meter = RateMeter(window_s=5.0)
    for i in range(31):
        meter.tick(i * S // 10)
    assert meter.rate_hz(3 * S) == pytest.approx(10.0)
    assert meter.rate_hz(5 * S) < 7.0
    assert meter.rate_hz(20 * S) == 0.0


def test_stages_forget_when_told() -> None:
    times = StageTimes()
    times.add({"a": 1.0})
    times.clear()
    assert times.percentiles(50) == {}


def test_each_kind_of_sentence_is_said_once_a_period_with_a_count() -> None:
    now, said = [0], []
    log = ThrottledLog(said.append, lambda: now[0], period_s=5.0)
    for _ in range(3):
        log.say("step", "step is 3")
    log.say("size", "size is 4")
    assert said == ["step is 3", "size is 4"]
    now[0] = 5 * S
    log.say("step", "step is 3")
    assert said[-1] == "step is 3 (and 2 more like it since the last report)"


def test_ever_new_kinds_take_no_memory() -> None:
    log = ThrottledLog(lambda _: None, lambda: 0)
    for i in range(1000):
        log.say(str(i), "")
    assert len(log._said) == ThrottledLog.LIMIT
