# SPDX-License-Identifier: Apache-2.0
"""When messages come: stamps, rates, losses, lateness, offsets between sensors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.doctor.finding import Finding
from ssma_ros.doctor.middleware import profile_lines
from ssma_ros.doctor.timing import ENOUGH, lost, pair, period_s, rate_hz
from ssma_ros.sensors import DRIVER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssma_ros.doctor.finding import Severity
    from ssma_ros.doctor.scene import InputSeen, Scene

#: Shares of frames: what is rarer is a hiccup, what is more frequent than the other is the rule.
_SOME, _MOST = 0.05, 0.5
#: A camera that is this late makes masks of the past, seconds; stamps further off are another clock's.
_OLD_S, _OTHER_CLOCK_S = 0.3, 5.0
#: A difference of stamps up to here can be bridged by ``sync_slop``, seconds.
_BRIDGED_S = 0.2
#: Share of its messages that a stream loses before it is told.
_LOSS = 0.1


def not_stamped(scene: Scene) -> Iterator[Finding]:
    """Images without stamps, or with stamps that repeat, cannot be matched."""
    for seen in _timed(scene):
        stamps = seen.stamps
        zeros = int(np.count_nonzero(stamps.taken == 0))
        if stamps.say_nothing or zeros:
            what = "no stamp (0)" if zeros else "the stamp of the one before"
            count = zeros or stamps.repeated
            # Offline the time of recording stands in.
            severity: Severity = "error" if scene.live and stamps.say_nothing else "warning"
            yield Finding(severity, seen.sensor, f"{count} of {seen.count} messages on {seen.topic} have {what}",
                          "have the driver stamp each image when it is taken")
        elif stamps.repeated:
            yield Finding("warning", seen.sensor, f"{stamps.repeated} of {seen.count} messages on {seen.topic} repeat "
                          "a stamp: each but the first is dropped", "have the driver stamp each image when it is taken")


def stamps_go_back(scene: Scene) -> Iterator[Finding]:
    """Stamps that go back: a bag in a loop, two clocks, or messages that overtake each other."""
    for seen in _timed(scene):
        stamps = seen.stamps
        if stamps.overtaken and not stamps.say_nothing:
            worst = float(-np.diff(stamps.taken).min()) * 1e-9
            yield Finding("warning", seen.sensor, f"stamps on {seen.topic} go back {stamps.overtaken} times, by up to "
                          f"{worst:.2f} s", "is a bag played in a loop, or are there two publishers?")


def losses(scene: Scene) -> Iterator[Finding]:
    """Images that the stamps say were taken and that never came."""
    for seen in _timed(scene):
        if seen.stamps.say_nothing:
            continue
        missing = max(lost(seen.stamps), seen.lost)
        share = missing / (missing + seen.count)
        if share < _LOSS:
            continue
        period = period_s(seen.stamps)
        rate = f"{rate_hz(seen.arrived_ns):.1f} of {1 / period:.1f} Hz" if period else f"{missing} fewer"
        big = scene.live and seen.image_bytes > 60_000
        todo = "give this shell, the node and the camera's driver the Fast DDS profile (docs/components.md, Middleware)"
        yield Finding("error" if share > _MOST else "warning", seen.sensor, f"{rate} arrive on {seen.topic}: "
                      f"{100 * share:.0f} % of the images are lost",
                      todo if big else "look at the driver's own rate and the machine's load",
                      shell=profile_lines() if big else ())


def late(scene: Scene) -> Iterator[Finding]:
    """A partner that arrives after ``sync_timeout`` is left out."""
    driver = scene.inputs[DRIVER]
    for seen in _partners(scene):
        timeout = scene.setup.parameters.sync_timeout
        late_s = pair(driver.stamps, seen.stamps).late_s
        if not late_s.size:
            continue
        share = float(np.mean(late_s > timeout))
        if share < _SOME or not scene.live:
            continue
        usual = float(np.percentile(late_s, 95))
        wanted = min(10.0, _up(usual + 0.05, 0.05))
        yield Finding("error" if share > _MOST else "warning", seen.sensor,
                      f"arrives {float(np.median(late_s)) * 1e3:.0f} ms after its colour image (95 %: "
                      f"{usual * 1e3:.0f} ms), sync_timeout is {timeout * 1e3:.0f} ms: {100 * share:.0f} % of the "
                      "frames go without", "wait longer, or make its driver quicker", {"sync_timeout": wanted})


def apart(scene: Scene) -> Iterator[Finding]:
    """Stamps of partners further from the colour image's than ``sync_slop``: another clock, rate or exposure."""
    driver = scene.inputs[DRIVER]
    for seen in _partners(scene):
        slop = scene.setup.parameters.sync_slop
        found = pair(driver.stamps, seen.stamps)
        if not found.away_s.size or abs(float(np.median(found.away_s))) > _OTHER_CLOCK_S:
            yield Finding("error", seen.sensor, f"its stamps and colour's are {_span(found.clocks_s)} apart: two "
                          "clocks", "give both drivers one clock (PTP, chrony, or stamps of arrival)")
            continue
        share = float(np.mean(np.abs(found.away_s) > slop))
        if share < _SOME:
            continue
        usual = float(np.percentile(np.abs(found.away_s), 95))
        rates = f"{rate_hz(seen.arrived_ns):.1f} Hz beside {rate_hz(driver.arrived_ns):.1f}"
        can = usual <= _BRIDGED_S
        parameters: dict[str, Any] = {"sync_slop": _up(usual * 1.1, 0.01)} if can else {}
        yield Finding("error" if share > _MOST else "warning", seen.sensor,
                      f"taken {float(np.median(found.away_s)) * 1e3:+.0f} ms off its colour image (95 %: "
                      f"{usual * 1e3:.0f} ms; {rates}), sync_slop is {slop * 1e3:.0f} ms: {100 * share:.0f} % of the "
                      "frames go without", "trigger both together; or, where the robot is slow, allow more" if can else
                      "give both drivers one clock (PTP, chrony, or stamps of arrival)", parameters)


def slow(scene: Scene) -> Iterator[Finding]:
    """A sensor whose period is longer than ``stale_after`` counts as failed between its images."""
    stale = scene.setup.parameters.stale_after
    for seen in _timed(scene):
        period = period_s(seen.stamps)
        if period > stale:
            yield Finding("error", seen.sensor, f"{1 / period:.2f} Hz on {seen.topic}, and after {stale:g} s of "
                          "silence a sensor counts as failed", "allow more", {"stale_after": _up(2.5 * period, 0.5)})


def old(scene: Scene) -> Iterator[Finding]:
    """Colour images that are old when they arrive, or stamped by another clock than this machine's."""
    driver = scene.inputs[DRIVER]
    if driver.count < ENOUGH or driver.stamps.say_nothing or not scene.live:
        return
    age = float(np.median(driver.stamps.recorded - driver.stamps.taken)) * 1e-9
    if abs(age) > _OTHER_CLOCK_S or age < -0.1:
        simulated = any(topic.name == "/clock" for topic in scene.topics)
        told = bool(scene.setup.overrides.get("use_sim_time"))
        if simulated and not told:
            yield Finding("note", driver.sensor, f"stamps are {_span(age)} off this machine's clock, and /clock is "
                          "published", "take the time from there", {"use_sim_time": True})
        elif not simulated:
            yield Finding("warning", driver.sensor, f"stamps are {_span(age)} off this machine's clock: tf and "
                          "planners will not find these masks", "set the driver's clock (PTP, chrony); is it "
                          "a bag played without --clock?")
    elif age > _OLD_S:
        yield Finding("warning", driver.sensor, f"images are {age * 1e3:.0f} ms old when they arrive",
                      "look at the driver: buffers, exposure, a slow network")


def _timed(scene: Scene) -> Iterator[InputSeen]:
    return (seen for seen in scene.images() if seen.count >= ENOUGH)


def _partners(scene: Scene) -> Iterator[InputSeen]:
    """Partners whose stamps can be compared with the driving image's."""
    driver = scene.inputs[DRIVER]
    if driver.count >= ENOUGH and not driver.stamps.say_nothing:
        yield from (s for s in scene.partners() if s.count >= ENOUGH and not s.stamps.say_nothing)


def _up(value: float, step: float) -> float:
    """Rounded up to whole steps."""
    return round(math.ceil(value / step - 1e-9) * step, 3)


def _span(seconds: float) -> str:
    size = abs(seconds)
    if size > 7200:
        return f"{size / 3600:,.0f} h"
    return f"{size:,.0f} s" if size > 2 else f"{size * 1e3:.0f} ms"


CHECKS = (not_stamped, stamps_go_back, losses, late, apart, slow, old)
