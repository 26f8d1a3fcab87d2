# SPDX-License-Identifier: Apache-2.0
"""The synchroniser: stated behaviour by example, and what holds whatever arrives by property."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssma_ros.synchronization import Matched, Synchronizer, SyncOptions

MS = 1_000_000
S = 1_000_000_000
#: When it came and its stamp, milliseconds.
Arrival = tuple[float, float]
OPTIONS = SyncOptions(sensors=("color", "depth", "nir"), sync_slop=0.02, sync_timeout=0.1, stale_after=0.5)


class Bench:
    """A synchroniser with a clock that tests turn; every item says what it is."""

    def __init__(self, options: SyncOptions = OPTIONS, now_ns: int = 1000 * S) -> None:
        self.sync: Synchronizer[tuple[str, int]] = Synchronizer(options)
        self.now_ns = now_ns

    def add(self, sensor: str, stamp_ms: float, after_ms: float = 0) -> None:
        self.now_ns += round(after_ms * MS)
        stamp = round(stamp_ms * MS)
        self.sync.add(sensor, stamp, (sensor, stamp), self.now_ns)

    def take(self, after_ms: float = 0) -> Matched[tuple[str, int]] | None:
        self.now_ns += round(after_ms * MS)
        return self.sync.take(self.now_ns)

    def moment(self, stamp_ms: float, *sensors: str) -> None:
        for sensor in sensors or ("depth", "nir", "color"):
            self.add(sensor, stamp_ms)


def test_three_equal_stamps_match_at_once() -> None:
    bench = Bench()
    bench.moment(10)
    frame = bench.take()
    assert frame is not None
    assert (frame.driver, frame.stamp_ns) == ("color", 10 * MS)
    assert dict(frame.items) == {s: (s, 10 * MS) for s in ("color", "depth", "nir")}
    assert not frame.missing
    assert bench.sync.counters.matched == 1
    assert bench.take() is None


def test_a_partner_with_a_clock_a_little_early_is_not_waited_for_once_its_period_is_known() -> None:
    bench = Bench()
    for index in range(6):
        stamp = 100.0 * index
        bench.add("depth", stamp - 5, after_ms=90)
        bench.add("nir", stamp - 7)
        bench.add("color", stamp, after_ms=10)
        frame = bench.take()
        if index < 2:  # two stamps make no period yet: something nearer may come
            assert frame is None
            frame = bench.take(after_ms=100)
        assert frame is not None
        assert not frame.missing
        assert frame.items["depth"] == ("depth", round((stamp - 5) * MS))
    assert bench.sync.counters.matched == 6


def test_a_partner_that_is_due_nearer_is_waited_for() -> None:
    bench = Bench()
    for stamp in (0.0, 30.0, 60.0, 90.0):
        bench.add("depth", stamp)
    bench.add("nir", 108)
    bench.add("color", 108)
    assert bench.take() is None  # depth of 90 ms is in reach, that of 120 ms is nearer
    bench.add("depth", 120)
    frame = bench.take()
    assert frame is not None
    assert frame.items["depth"] == ("depth", 120 * MS)


def test_a_frame_waits_for_a_partner_that_is_on_its_way() -> None:
    bench = Bench()
    bench.moment(0)
    bench.take()
    bench.moment(100, "color", "nir")
    assert bench.take(after_ms=60) is None
    bench.add("depth", 100)
    frame = bench.take()
    assert frame is not None
    assert frame.items["depth"] == ("depth", 100 * MS)


def test_the_nearest_partner_is_taken_though_another_within_slop_came_first() -> None:
    bench = Bench()
    bench.moment(0)
    bench.take()
    bench.add("nir", 50)
    bench.add("depth", 35)
    bench.add("color", 50)
    assert bench.take() is None
    bench.add("depth", 52, after_ms=10)
    frame = bench.take()
    assert frame is not None
    assert frame.items["depth"] == ("depth", 52 * MS)


def test_timeout_gives_the_frame_out_and_says_how_far_the_nearest_was() -> None:
    bench = Bench()
    bench.moment(0)
    bench.take()
    bench.moment(33, "color", "nir")
    assert bench.take(after_ms=99) is None
    frame = bench.take(after_ms=1)
    assert frame is not None
    assert frame.missing["depth"] == "nearest depth was 33 ms before the driving image, sync_slop is 20 ms"
    assert bench.sync.counters.degraded == {"depth: none within slop": 1}


def test_a_later_partner_ends_the_wait_before_the_timeout() -> None:
    bench = Bench()
    bench.moment(0)
    bench.take()
    bench.moment(40, "color", "nir")
    bench.add("depth", 66)
    frame = bench.take()
    assert frame is not None
    assert frame.missing["depth"] == "nearest depth was 26 ms after the driving image, sync_slop is 20 ms"


def test_a_silent_sensor_is_not_waited_for_and_its_age_is_said() -> None:
    bench = Bench()
    bench.moment(0)
    bench.take()
    bench.now_ns += 800 * MS
    bench.moment(800, "nir", "color")
    frame = bench.take()
    assert frame is not None
    assert frame.missing["depth"] == "no depth message for 0.8 s"


def test_a_sensor_never_heard_is_named_so() -> None:
    bench = Bench()
    bench.moment(0, "depth", "color")
    assert bench.take() is None
    frame = bench.take(after_ms=100)
    assert frame is not None
    assert frame.missing["nir"] == "no nir message received yet"


def test_recovery_needs_no_help() -> None:
    bench = Bench()
    bench.moment(0)
    bench.take()
    bench.now_ns += 2 * S
    bench.moment(2000, "nir", "color")
    assert bench.take().missing
    bench.moment(2100)
    assert not bench.take().missing


def test_the_newest_ready_frame_wins_and_older_ones_are_counted_where_the_work_is_too_slow() -> None:
    bench = Bench()
    bench.moment(0)
    assert bench.take() is not None  # and the work on it goes on while four others come
    for stamp in (25, 50, 75, 100):
        bench.now_ns += 25 * MS
        bench.moment(stamp)
    frame = bench.take()
    assert frame is not None
    assert frame.stamp_ns == 100 * MS
    assert bench.sync.counters.superseded == 3
    assert bench.take() is None


def test_images_that_become_ready_together_are_all_given_out_oldest_first() -> None:
    bench = Bench()
    bench.moment(0)
    assert bench.take() is not None
    for stamp in (33, 66, 100):
        bench.add("nir", stamp, after_ms=33)
        bench.add("color", stamp)
        assert bench.take() is None
    bench.add("depth", 100)  # settles all three
    taken = [bench.take(after_ms=10) for _ in range(4)]
    assert [frame and frame.stamp_ns // MS for frame in taken] == [33, 66, 100, None]
    assert bench.sync.counters.superseded == 0


def test_a_partner_later_than_the_timeout_is_called_late_and_the_timeout_is_named() -> None:
    bench = Bench()
    for index in range(8):
        bench.add("color", 100 * index, after_ms=20)
        bench.add("nir", 100 * index)
        if index >= 2:
            bench.add("depth", 100 * (index - 2))
        frame = bench.take(after_ms=80)
    assert frame is not None
    assert frame.missing["depth"] == (
        "depth arrives 200 ms after the image of the same stamp, sync_timeout is 100 ms, expected more than that"
    )
    assert bench.sync.counters.degraded["depth: late"] >= 3


def test_what_has_lain_for_too_long_while_the_work_hung_is_dropped_and_the_rest_is_given_out() -> None:
    bench = Bench()
    for index in range(40):  # the work keeps pace, then hangs for a second
        bench.moment(30 * index)
        assert bench.take() is not None
        assert bench.take(after_ms=5) is None
        bench.now_ns += 25 * MS
    bench.moment(1200)
    assert bench.take() is not None
    for stamp in range(1230, 2230, 30):
        bench.now_ns += 30 * MS
        bench.moment(stamp)
    taken = []
    while (frame := bench.take(after_ms=5)) is not None:
        taken.append(frame.stamp_ns // MS)
    assert taken == [2130, 2160, 2190, 2220]


def test_too_many_waiting_makes_the_oldest_a_frame_and_says_why() -> None:
    bench = Bench(replace(OPTIONS, sync_timeout=10.0, queue_size=3))
    bench.moment(0)
    assert bench.take() is not None
    for stamp in (100, 200, 300, 400):
        bench.add("color", stamp, after_ms=100)
        bench.add("nir", stamp)
    frame = bench.take()
    assert frame is not None
    assert frame.stamp_ns == 100 * MS
    assert frame.missing == {"depth": "no depth message within sync_slop had come when 3 images were waiting"}
    assert (bench.sync.counters.released, bench.sync.waiting) == (1, 3)


def test_images_that_wait_when_the_stamps_jump_become_frames() -> None:
    bench = Bench()
    bench.moment(5000)
    assert bench.take() is not None
    bench.moment(5100, "color", "nir")
    bench.moment(0)
    old, new = bench.take(), bench.take()
    assert old is not None
    assert new is not None
    assert old.missing == {"depth": "no depth message within sync_slop had come when the stamps of depth jumped back"}
    assert [old.stamp_ns // MS, new.stamp_ns // MS] == [5100, 0]
    assert [old.new_beginning, new.new_beginning] == [False, True]


def test_a_new_beginning_is_not_lost_with_the_frame_that_is_dropped() -> None:
    bench = Bench()
    bench.moment(5000)
    assert bench.take() is not None
    for stamp in (0, 25, 50, 75):
        bench.now_ns += 25 * MS
        bench.moment(stamp)
    frame = bench.take()
    assert frame is not None
    assert (frame.stamp_ns // MS, frame.new_beginning) == (75, True)


def test_a_driving_image_that_comes_long_after_its_partners_still_finds_them() -> None:
    bench = Bench()
    for index in range(60):
        bench.moment(33 * index, "depth", "nir")
        if index >= 20:
            bench.add("color", 33 * (index - 20))
        frame = bench.take(after_ms=33)
    assert frame is not None
    assert not frame.missing


def test_partners_that_no_image_can_use_any_more_are_let_go() -> None:
    bench = Bench()
    for index in range(50):
        bench.moment(33 * index, "depth", "color")
        bench.add("nir", 3_600_000 + 33 * index)  # its clock is an hour off
        bench.take(after_ms=33)
    # Three images wait out the timeout for a better near-infrared image, the fourth has just come.
    assert [len(track.recent) for track in bench.sync._tracks.values()] == [4, 4, 1]


def test_duplicates_are_ignored_and_counted() -> None:
    bench = Bench()
    bench.moment(0)
    bench.moment(0)
    assert bench.take() is not None
    assert bench.take() is None
    assert bench.sync.counters.duplicates == {"color": 1, "depth": 1, "nir": 1}
    bench.add("nir", 0)
    assert bench.sync.counters.repeating == {"color": (1, 0), "depth": (1, 0), "nir": (2, 0)}
    bench.moment(100)
    assert not bench.sync.counters.repeating


def test_an_overtaken_color_image_is_ignored_an_overtaken_partner_is_used() -> None:
    bench = Bench()
    bench.moment(0)
    bench.take()
    bench.moment(100, "color", "nir")
    bench.moment(133, "depth")
    bench.moment(100, "depth")
    bench.moment(66, "color")
    frame = bench.take()
    assert frame is not None
    assert frame.items["depth"] == ("depth", 100 * MS)
    assert bench.take() is None
    assert bench.sync.counters.overtaken == {"color": 1, "depth": 1}


@pytest.mark.parametrize("order", [("color", "depth", "nir"), ("depth", "nir", "color")])
def test_a_bag_loop_is_a_new_beginning_and_segmentation_goes_on(order: tuple[str, ...]) -> None:
    bench = Bench()
    for stamp in range(0, 10_000, 100):
        bench.moment(stamp)
        bench.take()
        bench.now_ns += 100 * MS
    taken = []
    for stamp in (0, 100, 200):
        for sensor in order:
            bench.add(sensor, stamp)
            taken.append(bench.take())
        bench.now_ns += 100 * MS
    frames = [frame for frame in taken if frame is not None]
    assert [f.stamp_ns // MS for f in frames] == [0, 100, 200]
    assert [f.new_beginning for f in frames] == [True, False, False]
    assert not any(f.missing for f in frames)
    assert bench.sync.counters.jumps == {"color": 1, "depth": 1, "nir": 1}


def test_a_gap_forward_is_a_new_beginning() -> None:
    bench = Bench()
    bench.moment(0)
    assert not bench.take().new_beginning
    bench.moment(30_000)
    assert bench.take().new_beginning


def test_a_partner_whose_clock_is_an_hour_ahead_degrades_with_the_distance() -> None:
    bench = Bench()
    bench.add("depth", 3_600_000)
    bench.moment(0, "nir", "color")
    assert bench.take() is None
    frame = bench.take(after_ms=100)
    assert frame is not None
    assert "nearest depth was 3600000 ms after" in frame.missing["depth"]


def test_another_sensor_drives_while_color_is_silent_and_hands_back() -> None:
    bench = Bench(replace(OPTIONS, drivers=("color", "depth")))
    bench.moment(0)
    assert bench.take().driver == "color"
    bench.now_ns += 700 * MS
    bench.moment(700, "nir", "depth")
    frame = bench.take()
    assert frame is not None
    assert frame.driver == "depth"
    assert frame.missing == {"color": "no color message for 0.7 s"}
    bench.moment(800)
    frame = bench.take()
    assert frame is not None
    assert frame.driver == "color"


def test_without_color_nothing_comes_out_by_default() -> None:
    bench = Bench()
    bench.moment(0)
    bench.take()
    bench.now_ns += 5 * S
    for stamp in range(5000, 6000, 100):
        bench.moment(stamp, "depth", "nir")
        assert bench.take(after_ms=100) is None


def test_clear_forgets_messages_and_keeps_counters() -> None:
    bench = Bench()
    bench.moment(0)
    bench.sync.clear()
    assert bench.take(after_ms=1000) is None
    assert bench.sync.age_ns("color", bench.now_ns) is None
    assert bench.sync.counters.received == {"color": 1, "depth": 1, "nir": 1}


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="drivers are"):
        SyncOptions(drivers=("lidar",))
    with pytest.raises(ValueError, match=r"sync_slop is -1\.0, expected 0 to 10"):
        SyncOptions(sync_slop=-1.0)


events = st.lists(
    st.tuples(
        st.sampled_from(("color", "depth", "nir", "take")),
        st.one_of(st.integers(0, 3000), st.integers(-10_000, 1_000_000)),  # stamp, ms
        st.integers(0, 200),  # time passing, ms
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(events=events, drivers=st.sampled_from([("color",), ("color", "depth"), ("color", "depth", "nir")]))
def test_whatever_arrives(events: list[tuple[str, int, int]], drivers: tuple[str, ...]) -> None:
    """No frame twice, partners within slop, every absence explained, every driving message accounted for."""
    bench = Bench(replace(OPTIONS, drivers=drivers, queue_size=5))
    driving = 0
    given_out = []
    for what, stamp, pause in events:
        if what == "take":
            frame = bench.take(after_ms=pause)
            if frame is not None:
                given_out.append(frame)
        else:
            before = bench.sync.counters.superseded + bench.sync.waiting
            bench.add(what, stamp, after_ms=pause)
            after = bench.sync.counters.superseded + bench.sync.waiting
            assert after - before in (0, 1)
            driving += after - before
            assert len(bench.sync._waiting) <= 5
    counters = bench.sync.counters
    for frame in given_out:
        assert frame.driver in drivers
        assert set(frame.items) | set(frame.missing) == {"color", "depth", "nir"}
        assert not set(frame.items) & set(frame.missing)
        for sensor, (name, stamp_ns) in frame.items.items():
            assert name == sensor
            assert abs(stamp_ns - frame.stamp_ns) <= OPTIONS.slop_ns
        assert all(reason for reason in frame.missing.values())
        assert frame.stamp_ns == frame.items[frame.driver][1]
    waiting = bench.sync.waiting
    assert driving == len(given_out) + counters.superseded + waiting
    assert counters.matched + sum(bool(f.missing) for f in given_out) == len(given_out)
    assert sum(counters.degraded.values()) == sum(len(f.missing) for f in given_out)


@settings(max_examples=100, deadline=None)
@given(events=events)
def test_no_driving_image_waits_longer_than_the_timeout(events: list[tuple[str, int, int]]) -> None:
    bench = Bench()
    for what, stamp, pause in events:
        if what == "take":
            bench.now_ns += pause * MS
        else:
            bench.add(what, stamp, after_ms=pause)
    deadline = bench.sync.next_deadline_ns()
    if deadline is not None:
        bench.now_ns = max(bench.now_ns, deadline)
        assert bench.take() is not None


def arrivals(hz: float, duration_ms: float, late_ms: float, jitter: list[float], drops: list[bool]) -> list[Arrival]:
    """(time of arrival, stamp) in ms of a camera; ``jitter`` and ``drops`` are repeated over its images."""
    made = []
    for index in range(int(duration_ms * hz / 1000)):
        if not drops[index % len(drops)]:
            stamp = 1000.0 * index / hz
            made.append((stamp + late_ms + jitter[index % len(jitter)], stamp))
    times = sorted(time for time, _ in made)  # jitter delays, it does not overtake
    return [(time, stamp) for time, (_, stamp) in zip(times, made, strict=True)]


def drive(
    cameras: dict[str, list[Arrival]], work_ms: float, options: SyncOptions = OPTIONS
) -> tuple[list[Matched[tuple[str, int]]], Bench]:
    """Messages arrive while a worker is at work on one frame after the other; what comes of it.

    Whoever is idle asks at every arrival and every deadline, as the worker's thread does.
    """
    bench = Bench(options)
    start_ns = bench.now_ns
    events = sorted((round(time * MS), name, stamp) for name, images in cameras.items() for time, stamp in images)
    given: list[Matched[tuple[str, int]]] = []
    free_ns: int | None = None  # None while idle
    while events or free_ns is not None or bench.sync.waiting:
        candidates = [start_ns + events[0][0]] if events else []
        deadline = bench.sync.next_deadline_ns()
        candidates += [free_ns] if free_ns is not None else [deadline] if deadline is not None else []
        bench.now_ns = max(bench.now_ns, min(candidates))
        was_busy = free_ns is not None
        while events and start_ns + events[0][0] <= bench.now_ns:
            _, name, stamp = events.pop(0)
            before = bench.sync.counters.superseded
            bench.add(name, stamp)
            assert was_busy or bench.sync.counters.superseded == before, "dropped while the worker was idle"
        if free_ns is None or free_ns <= bench.now_ns:
            before = bench.sync.counters.superseded
            frame = bench.take()
            assert was_busy or bench.sync.counters.superseded == before, "dropped while the worker was idle"
            free_ns = None if frame is None else bench.now_ns + max(1, round(work_ms * MS))
            given += [] if frame is None else [frame]
    return given, bench


def test_a_partner_that_is_late_starves_nothing() -> None:
    """30 Hz, depth 400 ms late, sync_timeout 0.6 s: eighteen images wait at a time."""
    cameras = {
        "color": arrivals(30, 7000, 0, [0], [False]),
        "depth": arrivals(30, 7000, 400, [0], [False]),
        "nir": arrivals(30, 7000, 0, [0], [False]),
    }
    given, bench = drive(cameras, 10, replace(OPTIONS, sync_timeout=0.6))
    assert len(given) == 210
    assert bench.sync.counters.matched == 210


def test_mixed_rates_lose_nothing_while_the_worker_keeps_pace() -> None:
    cameras = {
        "color": arrivals(30, 6000, 0, [0], [False]),
        "depth": arrivals(15, 6000, 0, [0], [False]),
        "nir": arrivals(5, 6000, 0, [0], [False]),
    }
    for work_ms in (1, 10, 25):
        given, bench = drive(cameras, work_ms)
        assert (len(given), bench.sync.counters.superseded) == (180, 0)


def test_a_worker_that_is_too_slow_gets_images_that_have_just_come() -> None:
    cameras = {name: arrivals(30, 6000, 0, [0], [False]) for name in ("color", "depth", "nir")}
    given, _ = drive(cameras, 100)
    starts = [1000 * S + index * 100 * MS for index in range(len(given))]
    ages = [start - frame.arrived_ns for start, frame in zip(starts, given, strict=True)]
    assert 58 <= len(given) <= 62
    assert max(ages[1:]) <= 34 * MS


cameras_of_all_kinds = st.fixed_dictionaries(
    {
        name: st.builds(
            arrivals,
            st.sampled_from([1.0, 4.7, 10.0, 15.0, 29.97, 60.0]),
            st.just(2500.0),
            st.sampled_from([0.0, 7.0, 90.0, 110.0, 400.0, 1500.0]),
            st.lists(st.floats(0.0, 40.0), min_size=1, max_size=5),
            st.lists(st.sampled_from([False, False, False, True]), min_size=1, max_size=6),
        )
        for name in ("color", "depth", "nir")
    }
)


@settings(max_examples=150, deadline=None)
@given(
    cameras=cameras_of_all_kinds,
    work_ms=st.sampled_from([0.0, 3.0, 20.0, 45.0, 120.0, 700.0]),
    timeout_ms=st.sampled_from([0, 30, 100, 600, 3000]),
    queue_size=st.sampled_from([1, 4, 100]),
)
def test_every_driving_image_is_given_out_or_superseded_while_the_worker_was_busy(
    cameras: dict[str, list[Arrival]], work_ms: float, timeout_ms: int, queue_size: int
) -> None:
    """Whatever the rates, however late, with jitter and drops; ``drive`` asserts that an idle worker loses nothing."""
    options = replace(OPTIONS, sync_timeout=timeout_ms / 1e3, queue_size=queue_size)
    given, bench = drive(cameras, work_ms, options)
    assert len(given) + bench.sync.counters.superseded == len(cameras["color"])
    stamps = [frame.stamp_ns for frame in given]
    assert stamps == sorted(set(stamps))
    if work_ms == 0.0:
        assert bench.sync.counters.superseded == 0
    if cameras["color"]:  # the last one always comes out
        assert stamps[-1] == round(cameras["color"][-1][1] * MS)


@settings(max_examples=60, deadline=None)
@given(cameras=cameras_of_all_kinds)
def test_whatever_is_late_by_less_than_the_timeout_is_found(cameras: dict[str, list[Arrival]]) -> None:
    """A driving image goes without a partner only where none of its stamp is sent."""
    given, _ = drive(cameras, 1, replace(OPTIONS, sync_timeout=3.0, stale_after=3.0, queue_size=400))
    for frame in given:
        for sensor in frame.missing:
            near = [stamp for _, stamp in cameras[sensor] if abs(round(stamp * MS) - frame.stamp_ns) <= OPTIONS.slop_ns]
            assert not near, (sensor, frame.stamp_ns, frame.missing)
