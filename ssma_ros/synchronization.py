# SPDX-License-Identifier: Apache-2.0
"""Matches sensor messages by stamp into frames, and goes on with what is there when a sensor fails.

Pure logic: it is fed with stamps, opaque items and the current time, and holds no thread, no clock and no ROS.
The driving image (colour) sets the pace. For each driving image the nearest partner of every other sensor within
``sync_slop`` is taken. A frame is ready as soon as no better partner can come, or when it has waited ``sync_timeout``;
sensors silent for longer than ``stale_after`` are not waited for at all. Whatever else ends the wait (too many
waiting, a jump of the stamps, another driver) makes the frame ready too, so that every driving image becomes a frame.

Of several frames that are ready the oldest is given out first while the one who takes them keeps pace. Where he is
slower than the driving images, or has left a frame lying for too long, the newest wins.

Times called ``now`` are from a clock that never jumps (nanoseconds); stamps are the senders' and may do anything.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Generic, TypeVar

from ssma_ros.options import check_ranges, option
from ssma_ros.pacing import Pace
from ssma_ros.sensors import DRIVER, SENSORS

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

_MS = 1_000_000
_S = 1_000_000_000

#: A ready frame is never too old to be given out before it has lain for this long, nanoseconds.
_FRESH_NS = 100 * _MS
#: Arrivals of driving images that are remembered: how late a partner is and how fast they come is told from them.
_ARRIVALS = 1000
#: Stamps of a sensor from which its period is told.
_STAMPS = 10


@dataclass(frozen=True)
class SyncOptions:
    """How frames are matched.

    Attributes:
        sensors: those that are subscribed, in the order in which they may drive.
        drivers: sensors that may drive; the first is the regular driver, the others step in (in this order)
            while all before them are silent.
        jump_ns: nanoseconds. A stamp that goes back by more is a new beginning (bag loop, reset of simulated time), by
            less a message that was overtaken; a gap forward by more also makes the next frame a new beginning.
        queue_size: driving images that wait at most, and messages kept of each partner. When another driving image
            comes, the one that has waited longest becomes a frame with the partners that are there.
    """

    sensors: tuple[str, ...] = tuple(SENSORS)
    drivers: tuple[str, ...] = (DRIVER,)
    sync_slop: float = option(
        0.05, "Largest stamp difference between the driving image and a partner, seconds.",
        live=True, low=0.0, high=10.0,
    )
    sync_timeout: float = option(
        0.1, "How long a driving image waits for its partners after it arrived, seconds.", live=True, low=0.0, high=10.0
    )
    stale_after: float = option(
        0.5, "A sensor silent for longer is reported and no longer waited for, seconds. More than its period.",
        live=True, low=0.01, high=3600.0,
    )
    jump_ns: int = _S
    queue_size: int = 100

    def __post_init__(self) -> None:
        if not self.drivers or any(d not in self.sensors for d in self.drivers):
            raise ValueError(f"drivers are {self.drivers}, expected at least one of {self.sensors}")
        check_ranges(self)
        if self.jump_ns < 0 or self.queue_size < 1:
            raise ValueError(f"sync options {self}, expected a jump of at least 0 and a queue of at least 1")

    @property
    def slop_ns(self) -> int:
        """``sync_slop`` in nanoseconds, as stamps are."""
        return round(self.sync_slop * _S)

    @property
    def timeout_ns(self) -> int:
        """``sync_timeout`` in nanoseconds."""
        return round(self.sync_timeout * _S)

    @property
    def stale_ns(self) -> int:
        """``stale_after`` in nanoseconds."""
        return round(self.stale_after * _S)


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
        superseded: ready frames dropped because the work on one before them went on for too long (overload).
        released: frames made before their time because ``queue_size`` images were waiting.
        duplicates, overtaken, jumps: messages per sensor with the stamp of the one before (ignored), with a
            slightly older one (a late driving image is ignored, a late partner still used), with a much older one.
        repeating: for each sensor whose latest messages were all duplicates, how many they were and their stamp.
    """

    received: Counter[str] = field(default_factory=Counter)
    matched: int = 0
    degraded: Counter[str] = field(default_factory=Counter)
    superseded: int = 0
    released: int = 0
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
    """What is known of one sensor.

    Attributes:
        recent: messages that may still be used, in order of arrival; the last one is always among them.
        stamps: of the latest messages in order of arrival, since the stamps last jumped.
        last_stamp_ns: the newest stamp, since the stamps last jumped.
        last_arrival_ns: when the latest message came.
        late_ns: how long after the driving image of its stamp the latest message came, None where there was none.
    """

    recent: deque[_Message[T]] = field(default_factory=deque)
    stamps: deque[int] = field(default_factory=lambda: deque(maxlen=_STAMPS))
    last_stamp_ns: int | None = None
    last_arrival_ns: int | None = None
    late_ns: int | None = None


@dataclass
class _Ready(Generic[T]):
    """A frame that only waits to be taken.

    Attributes:
        jumped: whether stamps jumped before it.
        partners: what came of matching, None while that can wait until it is taken.
    """

    driver: str
    message: _Message[T]
    ready_ns: int
    jumped: bool
    partners: _Partners[T] | None = None


@dataclass(frozen=True)
class _Partners(Generic[T]):
    """Messages by sensor, and for each absent one the kind of reason and the words."""

    items: Mapping[str, T]
    missing: Mapping[str, tuple[str, str]]


class Synchronizer(Generic[T]):
    """See the module's text. Not thread-safe: the caller holds a lock.

    Args:
        options: may be replaced between calls as long as the sensors stay the same.
    """

    def __init__(self, options: SyncOptions | None = None) -> None:
        self.options = options or SyncOptions()
        self.counters = SyncCounters()
        self.clear()

    def clear(self) -> None:
        """Forget all messages (deactivation); counters stay."""
        self._tracks: dict[str, _Track[T]] = {sensor: _Track() for sensor in self.options.sensors}
        self._waiting: list[tuple[str, _Message[T]]] = []  # driving images that are no frames yet, by stamp
        self._ready: deque[_Ready[T]] = deque()
        self._arrivals: deque[tuple[int, int]] = deque(maxlen=_ARRIVALS)  # of driving images: stamp, time
        self._pace = Pace()
        self._last_given_ns: int | None = None
        self._first_arrival_ns: int | None = None
        self._jumped = False

    @property
    def waiting(self) -> int:
        """Driving images that have not been given out yet."""
        return len(self._waiting) + len(self._ready)

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
        if previous is not None and stamp_ns in track.stamps:
            self.counters.duplicates[sensor] += 1
            self.counters.repeating[sensor] = (self.counters.repeating.get(sensor, (0, 0))[0] + 1, stamp_ns)
            return
        self.counters.repeating.pop(sensor, None)
        late = previous is not None and stamp_ns < previous
        if previous is not None and previous - stamp_ns > self.options.jump_ns:
            self._begin_anew(sensor, previous, stamp_ns, now_ns)
            late = False
        if late:
            self.counters.overtaken[sensor] += 1
        else:
            track.last_stamp_ns = stamp_ns
        message = _Message(stamp_ns, now_ns, item)
        track.stamps.append(stamp_ns)
        track.recent.append(message)
        if sensor != self.driver(now_ns):
            track.late_ns = self._lateness_ns(message)
        elif not late:
            self._wait(sensor, message)
        self._settle(now_ns)
        self._forget(now_ns)

    def take(self, now_ns: int) -> Matched[T] | None:
        """The next frame, or None if none is ready. Called whenever whoever works on frames is free.

        The oldest comes first. Frames that the work has left lying for too long are dropped and counted, and where it
        is slower than the driving images all but the newest.
        """
        self._settle(now_ns)
        if self._pace.busy:
            self._pace.free(now_ns)
            if self._pace.falls_behind:
                self._drop(len(self._ready) - 1)
        if not self._ready:
            return None
        self._pace.given(now_ns)
        return self._give(self._ready.popleft(), now_ns)

    def next_deadline_ns(self) -> int | None:
        """When the frame that has waited longest will be given out at the latest, or None if none waits."""
        if self._ready:
            return self._ready[0].ready_ns
        arrived = min((message.arrived_ns for _, message in self._waiting), default=None)
        return None if arrived is None else arrived + self.options.timeout_ns

    def _begin_anew(self, sensor: str, before_ns: int, stamp_ns: int, now_ns: int) -> None:
        """The sensor's stamps jumped back: frames of the time before are made of what is there."""
        old = [abs(m.stamp_ns - before_ns) < abs(m.stamp_ns - stamp_ns) for _, m in self._waiting]
        self._release(sum(old), f"the stamps of {sensor} jumped back", now_ns)
        for frame in self._ready:
            frame.partners = frame.partners or self._match(frame.driver, frame.message, "", now_ns)
        track = self._tracks[sensor]
        track.recent.clear()
        track.stamps.clear()
        track.late_ns = None
        self.counters.jumps[sensor] += 1
        if sensor in self.options.drivers:
            self._arrivals.clear()
            self._jumped = True
            self._last_given_ns = None

    def _wait(self, sensor: str, message: _Message[T]) -> None:
        if self._waiting and self._waiting[0][0] != sensor:
            self._release(len(self._waiting), f"{sensor} drives from now on", message.arrived_ns)
        if len(self._waiting) >= self.options.queue_size:
            self.counters.released += 1
            self._release(1, f"{self.options.queue_size} images were waiting", message.arrived_ns)
        self._waiting.append((sensor, message))
        self._pace.arrived(message.arrived_ns, self.options.stale_ns)
        if self._arrivals and self._arrivals[-1][0] >= message.stamp_ns:  # of another driver
            self._arrivals.clear()
        self._arrivals.append((message.stamp_ns, message.arrived_ns))

    def _settle(self, now_ns: int) -> None:
        """Make frames of the driving images that need not wait any longer, and of all before them."""
        ready = len(self._waiting)
        while ready and not self._is_ready(*self._waiting[ready - 1], now_ns):
            ready -= 1
        self._release(ready, "", now_ns)
        if self._pace.busy:
            self._drop_old(now_ns)

    def _release(self, count: int, cause: str, now_ns: int) -> None:
        """Make frames of the first driving images that wait, ``cause`` being what ended the wait before its time."""
        for driver, message in self._waiting[:count]:
            partners = self._match(driver, message, cause, now_ns) if cause else None
            self._ready.append(_Ready(driver, message, now_ns, self._jumped, partners))
            self._jumped = False
        del self._waiting[:count]

    def _drop_old(self, now_ns: int) -> None:
        """Drop the frames that the work has left lying for too long, never the newest."""
        oldest_ns = now_ns - max(_FRESH_NS, self.options.timeout_ns)
        self._drop(sum(frame.ready_ns < oldest_ns for frame in list(self._ready)[:-1]))

    def _drop(self, count: int) -> None:
        for _ in range(count):
            dropped = self._ready.popleft()
            self._ready[0].jumped |= dropped.jumped
            self.counters.superseded += 1

    def _forget(self, now_ns: int) -> None:
        """Let go of messages that no driving image can use any more; each sensor's last one stays."""
        driver = self.driver(now_ns)
        newest = self._tracks[driver].last_stamp_ns
        awaited = [m.stamp_ns for _, m in self._waiting[:1]]
        awaited += [frame.message.stamp_ns for frame in self._ready if frame.partners is None]
        oldest = None if newest is None else min([newest, *awaited])
        for track in self._tracks.values():
            while len(track.recent) > 1 and self._is_useless(track.recent[0], oldest, newest, len(track.recent)):
                track.recent.popleft()

    def _is_useless(self, message: _Message[T], oldest: int | None, newest: int | None, count: int) -> bool:
        if count > self.options.queue_size:
            return True
        if oldest is None or newest is None:  # no driving image yet
            return False
        reach = max(self.options.jump_ns, self.options.slop_ns)  # farther ahead is another epoch, or a wrong clock
        return message.stamp_ns < oldest - self.options.slop_ns or message.stamp_ns > newest + reach

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
            # (this sensor has not jumped yet, or its clock is off) says nothing, unless one of ours is there too.
            nearest = self._nearest(partner, stamp_ns)
            within = nearest is not None and abs(nearest.stamp_ns - stamp_ns) <= self.options.slop_ns
            return within or last <= stamp_ns + max(self.options.jump_ns, self.options.slop_ns)
        # A message a little before ours is as good as it gets if the sensor is not due again before the same time
        # after ours. Without this, a sensor whose clock is a few milliseconds early would cost its whole period.
        period = self._shortest_period_ns(partner)
        return stamp_ns - last <= self.options.slop_ns and period is not None and last + period > 2 * stamp_ns - last

    def _shortest_period_ns(self, sensor: str) -> int | None:
        """Least time between two stamps among the sensor's recent messages, None of fewer than three messages."""
        stamps = sorted(self._tracks[sensor].stamps)
        return None if len(stamps) < 3 else min(later - earlier for earlier, later in pairwise(stamps))

    def _nearest(self, partner: str, stamp_ns: int) -> _Message[T] | None:
        recent = self._tracks[partner].recent
        return min(recent, key=lambda m: abs(m.stamp_ns - stamp_ns)) if recent else None

    def _lateness_ns(self, message: _Message[T]) -> int | None:
        """How long after the driving image of its stamp a partner's message came, None if no such image is known."""
        place = bisect_left(self._arrivals, (message.stamp_ns, 0))
        near = [self._arrivals[i] for i in (place - 1, place) if 0 <= i < len(self._arrivals)]
        stamp_ns, arrived_ns = min(near, key=lambda arrival: abs(arrival[0] - message.stamp_ns), default=(None, 0))
        within = stamp_ns is not None and abs(stamp_ns - message.stamp_ns) <= self.options.slop_ns
        return message.arrived_ns - arrived_ns if within else None

    def _match(self, driver: str, message: _Message[T], cause: str, now_ns: int) -> _Partners[T]:
        items: dict[str, T] = {driver: message.item}
        missing: dict[str, tuple[str, str]] = {}
        for partner in self._partners(driver):
            nearest = self._nearest(partner, message.stamp_ns)
            if nearest is not None and abs(nearest.stamp_ns - message.stamp_ns) <= self.options.slop_ns:
                items[partner] = nearest.item
            else:
                missing[partner] = self._why_missing(partner, nearest, message.stamp_ns, cause, now_ns)
        return _Partners(items, missing)

    def _give(self, frame: _Ready[T], now_ns: int) -> Matched[T]:
        message = frame.message
        partners = frame.partners or self._match(frame.driver, message, "", now_ns)
        for partner, (kind, _) in partners.missing.items():
            self.counters.degraded[f"{partner}: {kind}"] += 1
        self.counters.matched += not partners.missing
        before, self._last_given_ns = self._last_given_ns, message.stamp_ns
        anew = frame.jumped or (before is not None and message.stamp_ns - before > self.options.jump_ns)
        words = {partner: reason for partner, (_, reason) in partners.missing.items()}
        return Matched(frame.driver, message.stamp_ns, message.arrived_ns, partners.items, words, anew)

    def _why_missing(
        self, partner: str, nearest: _Message[T] | None, stamp_ns: int, cause: str, now_ns: int
    ) -> tuple[str, str]:
        """Kind of reason (for counting) and the reason in words."""
        age, late = self.age_ns(partner, now_ns), self._tracks[partner].late_ns
        if age is None:
            return "never received", f"no {partner} message received yet"
        if age > self.options.stale_ns:
            return "silent", f"no {partner} message for {age / _S:.1f} s"
        if cause:
            return "given out early", f"no {partner} message within sync_slop had come when {cause}"
        if nearest is None:
            return "none since the stamps jumped", f"no {partner} message since its stamps jumped back"
        if late is not None and late >= self.options.timeout_ns:
            return "late", (
                f"{partner} arrives {late / _MS:.0f} ms after the image of the same stamp, "
                f"sync_timeout is {self.options.timeout_ns / _MS:.0f} ms, expected more than that"
            )
        away = nearest.stamp_ns - stamp_ns
        side = "after" if away > 0 else "before"
        return "none within slop", (
            f"nearest {partner} was {abs(away) / _MS:.0f} ms {side} the driving image, "
            f"sync_slop is {self.options.slop_ns / _MS:.0f} ms"
        )
