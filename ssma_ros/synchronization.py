"""Matches sensor messages by stamp into frames, and goes on with what is there when a sensor fails.

Pure logic: it is fed with stamps, opaque items and the current time, and holds no thread, no clock and no ROS.
The driving image (colour) sets the pace. For each driving image the nearest partner of every other sensor within
``slop_ns`` is taken. A frame is ready as soon as no better partner can come, or when it has waited ``timeout_ns``;
sensors silent for longer than ``stale_ns`` are not waited for at all. The newest ready frame wins.

Times called ``now`` are from a clock that never jumps (arrival times, nanoseconds); stamps are the senders' and
may do anything.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Generic, TypeVar

from ssma_ros.sensors import DRIVER, SENSORS

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

_MS = 1_000_000
_S = 1_000_000_000


@dataclass(frozen=True)
class SyncOptions:
    """How frames are matched. All times in nanoseconds.

    Attributes:
        sensors: those that are subscribed, in the order in which they may drive.
        drivers: sensors that may drive; the first is the regular driver, the others step in (in this order)
            while all before them are silent.
        slop_ns: largest stamp difference between the driving image and a partner.
        timeout_ns: how long a driving image waits for its partners after it arrived.
        stale_ns: a sensor silent for longer is not waited for.
        jump_ns: a stamp that goes back by more is a new beginning (bag loop, reset of simulated time), by less
            a message that was overtaken; a gap forward by more also makes the next frame a new beginning.
        queue_size: messages kept per sensor.
    """

    sensors: tuple[str, ...] = tuple(SENSORS)
    drivers: tuple[str, ...] = (DRIVER,)
    slop_ns: int = 50 * _MS
    timeout_ns: int = 100 * _MS
    stale_ns: int = 500 * _MS
    jump_ns: int = _S
    queue_size: int = 10

    def __post_init__(self) -> None:
        if not self.drivers or any(d not in self.sensors for d in self.drivers):
            raise ValueError(f"drivers are {self.drivers}, expected at least one of {self.sensors}")
        if min(self.slop_ns, self.timeout_ns, self.stale_ns, self.jump_ns) < 0 or self.queue_size < 1:
            raise ValueError(f"sync options {self}, expected times of at least 0 and a queue of at least 1")


@dataclass(frozen=True)
class Matched(Generic[T]):
    """One moment: the driving message and its partners.

    Attributes:
        driver: sensor that drives this frame.
        stamp_ns: of the driving message.
        arrived_ns: when the driving message arrived, and so when the frame's latency began.
        items: sensor → message, the driver's among them; absent where there is no partner.
        missing: for each absent sensor the reason in words.
        new_beginning: stamps jumped before this frame: forget what was remembered from earlier ones.
    """

    driver: str
    stamp_ns: int
    arrived_ns: int
    items: Mapping[str, T]
    missing: Mapping[str, str]
    new_beginning: bool = False


@dataclass
class SyncCounters:
    """What happened so far, for diagnostics.

    Attributes:
        received: messages per sensor.
        matched: frames given out with every subscribed sensor.
        degraded: frames given out with one missing, by "sensor: kind of reason".
        superseded: driving images dropped because a newer frame was ready first (overload).
        overflowed: driving images dropped because too many were waiting.
        duplicates, overtaken, jumps: messages per sensor with the stamp of the one before (ignored), with a
            slightly older one (a late driving image is ignored, a late partner still used), with a much older one.
        repeating: for each sensor whose latest messages were all duplicates, how many they were and their stamp.
    """

    received: Counter[str] = field(default_factory=Counter)
    matched: int = 0
    degraded: Counter[str] = field(default_factory=Counter)
    superseded: int = 0
    overflowed: int = 0
    duplicates: Counter[str] = field(default_factory=Counter)
    overtaken: Counter[str] = field(default_factory=Counter)
    jumps: Counter[str] = field(default_factory=Counter)
    repeating: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Message(Generic[T]):
    stamp_ns: int
    arrived_ns: int
    item: T


@dataclass
class _Track(Generic[T]):
    """What is known of one sensor; ``recent`` in order of arrival."""

    recent: deque[_Message[T]]
    last_stamp_ns: int | None = None
    last_arrival_ns: int | None = None


class Synchronizer(Generic[T]):
    """See the module's text. Not thread-safe: the caller holds a lock.

    Args:
        options: may be replaced between calls as long as the sensors stay the same.
    """

    def __init__(self, options: SyncOptions | None = None) -> None:
        self.options = options or SyncOptions()
        self.counters = SyncCounters()
        self._tracks: dict[str, _Track[T]] = {}
        self._waiting: list[tuple[str, _Message[T]]] = []  # driving images not given out yet, by stamp
        self._last_given_ns: int | None = None
        self._first_arrival_ns: int | None = None
        self._jumped = False
        self.clear()

    def clear(self) -> None:
        """Forget all messages (deactivation); counters stay."""
        size = self.options.queue_size
        self._tracks = {sensor: _Track(deque(maxlen=size)) for sensor in self.options.sensors}
        self._waiting.clear()
        self._last_given_ns = None
        self._first_arrival_ns = None
        self._jumped = False

    def age_ns(self, sensor: str, now_ns: int) -> int | None:
        """Nanoseconds since the sensor's last message arrived, or None if none ever did."""
        arrival = self._tracks[sensor].last_arrival_ns
        return None if arrival is None else now_ns - arrival

    def is_silent(self, sensor: str, now_ns: int) -> bool:
        """Whether nothing has come from the sensor for ``stale_ns``.

        A sensor never heard has its grace too, counted from the first message of any: at the start of a drive
        the partners of the first driving image are a moment behind it.
        """
        age = self.age_ns(sensor, now_ns)
        if age is None:
            return self._first_arrival_ns is None or now_ns - self._first_arrival_ns > self.options.stale_ns
        return age > self.options.stale_ns

    def driver(self, now_ns: int) -> str:
        """The sensor that drives now: the first of the drivers that is not silent, else the regular one."""
        for sensor in self.options.drivers:
            if not self.is_silent(sensor, now_ns):
                return sensor
        return self.options.drivers[0]

    def add(self, sensor: str, stamp_ns: int, item: T, now_ns: int) -> None:
        """Take in one message.

        Raises:
            KeyError: the sensor is not one of ``options.sensors``.
        """
        track = self._tracks[sensor]
        self.counters.received[sensor] += 1
        if self._first_arrival_ns is None:
            self._first_arrival_ns = now_ns
        previous, track.last_arrival_ns = track.last_stamp_ns, now_ns
        if previous is not None and any(m.stamp_ns == stamp_ns for m in track.recent):
            self.counters.duplicates[sensor] += 1
            self.counters.repeating[sensor] = (self.counters.repeating.get(sensor, (0, 0))[0] + 1, stamp_ns)
            return
        self.counters.repeating.pop(sensor, None)
        late = previous is not None and stamp_ns < previous
        if late and previous is not None and previous - stamp_ns > self.options.jump_ns:
            self._begin_anew(sensor)
            late = False
        if late:
            self.counters.overtaken[sensor] += 1
        else:
            track.last_stamp_ns = stamp_ns
        message = _Message(stamp_ns, now_ns, item)
        track.recent.append(message)
        if sensor == self.driver(now_ns) and not late:
            self._wait(sensor, message)

    def take(self, now_ns: int) -> Matched[T] | None:
        """The newest frame that is ready, or None. Older frames still waiting are dropped and counted."""
        for index in range(len(self._waiting) - 1, -1, -1):
            driver, message = self._waiting[index]
            if self._is_ready(driver, message, now_ns):
                self.counters.superseded += index
                del self._waiting[: index + 1]
                return self._give(driver, message, now_ns)
        return None

    def take_every(self, now_ns: int) -> list[Matched[T]]:
        """All frames that are ready, oldest first and none dropped: for replay, which is in no hurry."""
        ready: list[Matched[T]] = []
        while self._waiting and self._is_ready(*self._waiting[0], now_ns):
            driver, message = self._waiting.pop(0)
            ready.append(self._give(driver, message, now_ns))
        return ready

    def next_deadline_ns(self) -> int | None:
        """When the frame that has waited longest will be given out at the latest, or None if none waits."""
        if not self._waiting:
            return None
        return min(message.arrived_ns for _, message in self._waiting) + self.options.timeout_ns

    def _begin_anew(self, sensor: str) -> None:
        track = self._tracks[sensor]
        track.recent.clear()
        self.counters.jumps[sensor] += 1
        if any(driver == sensor for driver, _ in self._waiting):
            self.counters.superseded += len(self._waiting)
            self._waiting.clear()
        if sensor in self.options.drivers:
            self._jumped = True
            self._last_given_ns = None

    def _wait(self, sensor: str, message: _Message[T]) -> None:
        if self._waiting and self._waiting[0][0] != sensor:  # another sensor drives from now on
            self.counters.superseded += len(self._waiting)
            self._waiting.clear()
        if len(self._waiting) == self.options.queue_size:
            self.counters.overflowed += 1
            del self._waiting[0]
        self._waiting.append((sensor, message))

    def _partners(self, driver: str) -> list[str]:
        return [sensor for sensor in self.options.sensors if sensor != driver]

    def _is_ready(self, driver: str, message: _Message[T], now_ns: int) -> bool:
        if now_ns - message.arrived_ns >= self.options.timeout_ns:
            return True
        return all(self._is_settled(partner, message.stamp_ns, now_ns) for partner in self._partners(driver))

    def _is_settled(self, partner: str, stamp_ns: int, now_ns: int) -> bool:
        """Whether no better message of ``partner`` can be expected for a driving image of ``stamp_ns``."""
        if self.is_silent(partner, now_ns):
            return True
        last = self._tracks[partner].last_stamp_ns
        if last is None:
            return False
        if stamp_ns <= last:
            # Stamps rise, so what follows a message at or after ours is farther away. A message from another epoch
            # (this sensor has not jumped yet, or its clock is off) says nothing.
            return last <= stamp_ns + max(self.options.jump_ns, self.options.slop_ns)
        # A message a little before ours is as good as it gets if the sensor is not due again before the same time
        # after ours. Without this, a sensor whose clock is a few milliseconds early would cost its whole period.
        period = self._shortest_period_ns(partner)
        return stamp_ns - last <= self.options.slop_ns and period is not None and last + period > 2 * stamp_ns - last

    def _shortest_period_ns(self, sensor: str) -> int | None:
        """Least time between two stamps among the sensor's recent messages, None of fewer than three messages."""
        stamps = sorted(message.stamp_ns for message in self._tracks[sensor].recent)
        if len(stamps) < 3:
            return None
        return min(later - earlier for earlier, later in pairwise(stamps))

    def _nearest(self, partner: str, stamp_ns: int) -> _Message[T] | None:
        recent = self._tracks[partner].recent
        return min(recent, key=lambda m: abs(m.stamp_ns - stamp_ns)) if recent else None

    def _give(self, driver: str, message: _Message[T], now_ns: int) -> Matched[T]:
        items: dict[str, T] = {driver: message.item}
        missing: dict[str, str] = {}
        for partner in self._partners(driver):
            nearest = self._nearest(partner, message.stamp_ns)
            if nearest is not None and abs(nearest.stamp_ns - message.stamp_ns) <= self.options.slop_ns:
                items[partner] = nearest.item
                continue
            kind, missing[partner] = self._why_missing(partner, nearest, message.stamp_ns, now_ns)
            self.counters.degraded[f"{partner}: {kind}"] += 1
        if not missing:
            self.counters.matched += 1
        gap = self._last_given_ns is not None and message.stamp_ns - self._last_given_ns > self.options.jump_ns
        anew, self._jumped = self._jumped or gap, False
        self._last_given_ns = message.stamp_ns
        return Matched(driver, message.stamp_ns, message.arrived_ns, items, missing, anew)

    def _why_missing(
        self, partner: str, nearest: _Message[T] | None, stamp_ns: int, now_ns: int
    ) -> tuple[str, str]:
        """Kind of reason (for counting) and the reason in words."""
        age = self.age_ns(partner, now_ns)
        if age is None:
            return "never received", f"no {partner} message received yet"
        if age > self.options.stale_ns:
            return "silent", f"no {partner} message for {age / _S:.1f} s"
        if nearest is None:
            return "none since the stamps jumped", f"no {partner} message since its stamps jumped back"
        away = nearest.stamp_ns - stamp_ns
        side = "after" if away > 0 else "before"
        return "none within slop", (
            f"nearest {partner} was {abs(away) / _MS:.0f} ms {side} the driving image, "
            f"sync_slop is {self.options.slop_ns / _MS:.0f} ms"
        )
