# SPDX-License-Identifier: Apache-2.0
"""The offline matcher against its definition, and what follows from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssma_ros.recordings.matching import JUMP_NS, Stamps, match

MS = 1_000_000
T0 = 1_700_000_000 * 10**9
SLOP = 50 * MS


def stamps(taken_ms, recorded_ms=None) -> Stamps:
    """Milliseconds from T0; recorded when taken, unless said."""
    taken = np.array([T0 + t * MS for t in taken_ms], np.int64)
    recorded = taken if recorded_ms is None else np.array([T0 + t * MS for t in recorded_ms], np.int64)
    return Stamps(taken, recorded)


def partners(matching, name="depth") -> list[int]:
    return [matching.partner(name, frame) for frame in range(len(matching))]


moments = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 5000)), max_size=25)


@settings(deadline=None)
@given(driving=moments, others=moments)
def test_every_driving_image_makes_a_frame_with_its_nearest_partner(driving, others):
    driver, depth = stamps(*zip(*driving, strict=True)) if driving else stamps([]), (
        stamps(*zip(*others, strict=True)) if others else stamps([])
    )  # fmt: skip
    matching = match(driver, {"depth": (depth, SLOP)})
    assert sorted(matching.order.tolist()) == list(range(len(driver)))
    by_recording = driver.say_nothing or depth.say_nothing
    for frame, index in enumerate(matching.order):
        away = depth.recorded - driver.recorded[index] if by_recording else depth.taken - driver.taken[index]
        found = matching.partner("depth", frame)
        if found < 0:
            assert not len(away) or np.abs(away).min() > SLOP
        else:
            assert abs(away[found]) == np.abs(away).min() <= SLOP
            ties = np.flatnonzero(np.abs(away) == np.abs(away).min())
            late = np.abs(depth.recorded - driver.recorded[index])
            assert late[found] == late[ties].min()


@settings(deadline=None)
@given(
    driving=st.lists(st.integers(0, 900), unique=True, min_size=1, max_size=20),
    others=st.lists(st.integers(0, 900), unique=True, max_size=20),
    data=st.data(),
)
def test_the_time_of_recording_makes_no_difference(driving, others, data):
    """Distinct stamps that lie within a second: in whatever order and however late they were recorded."""
    def frames(driving, others, late):
        driver, depth = stamps(driving, [t + d for t, d in zip(driving, late, strict=False)]), stamps(others)
        matching = match(driver, {"depth": (depth, SLOP)})
        return [
            (driving[index], None if found < 0 else abs(others[found] - driving[index]))
            for index, found in zip(matching.order, partners(matching), strict=True)
        ]

    expected = frames(sorted(driving), sorted(others), [0] * len(driving))
    late = data.draw(st.lists(st.integers(0, 5000), min_size=len(driving), max_size=len(driving)))
    shuffled = data.draw(st.permutations(driving)), data.draw(st.permutations(others))
    if not stamps(shuffled[0]).say_nothing and not stamps(shuffled[1]).say_nothing:
        assert frames(*shuffled, late) == expected
    assert [stamp for stamp, _ in expected] == sorted(driving)


@pytest.mark.parametrize("late_ms", [0, 120, 250, 5000])
def test_a_partner_recorded_late_is_matched_by_its_stamp(late_ms):
    times = [100 * i + 1 for i in range(12)]
    matching = match(stamps(times), {"depth": (stamps(times, [t + late_ms for t in times]), SLOP)})
    assert partners(matching) == list(range(12))


def test_a_slower_partner_serves_every_image_within_the_slop():
    """15 and 5 Hz: as in the node, a message is used as often as it is the nearest."""
    times = [1 + 67 * i for i in range(12)]
    matching = match(stamps(times), {"depth": (stamps([1, 201, 401, 601]), SLOP)})
    assert partners(matching) == [0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1]
    wide = match(stamps(times), {"depth": (stamps([1, 201, 401, 601]), 100 * MS)})
    assert partners(wide)[:6] == [0, 0, 1, 1, 1, 2]


def test_swapped_images_are_sorted():
    matching = match(stamps([0, 100, 200, 400, 300, 500]), {})
    assert matching.order.tolist() == [0, 1, 2, 4, 3, 5]
    assert not matching.begins.any()


@pytest.mark.parametrize(
    "taken",
    [
        pytest.param([-T0 // MS] * 6, id="all zero"),
        pytest.param([0, 0, 0, 0, 0, 1000], id="whole seconds"),
        pytest.param([-T0 // MS, 100, -T0 // MS, -T0 // MS, 400, -T0 // MS], id="mostly zero"),
    ],
)
def test_stamps_that_say_nothing_give_way_to_the_time_of_recording(taken):
    recorded = [100 * i for i in range(6)]
    matching = match(stamps(taken, recorded), {"depth": (stamps(taken, [t + 3 for t in recorded]), SLOP)})
    assert (matching.order.tolist(), partners(matching)) == ([0, 1, 2, 3, 4, 5],) * 2
    assert not matching.begins.any()


def test_only_the_pair_with_a_sensor_that_does_not_stamp_is_matched_by_recording():
    times = [100 * i + 1 for i in range(6)]
    unstamped = stamps([-T0 // MS] * 6, [t + 20 for t in times])
    late = stamps(times, [t + 300 for t in times])
    matching = match(stamps(times), {"nir": (unstamped, SLOP), "depth": (late, SLOP)})
    assert partners(matching, "nir") == partners(matching, "depth") == list(range(6))


def test_a_bag_that_was_played_twice_keeps_its_rounds_apart():
    """Stamps repeat, the second round lies 20 s later in the recording."""
    times = [100 * i + 1 for i in range(15)]
    twice, recorded = times * 2, [*times, *(t + 20_000 for t in times)]
    matching = match(stamps(twice, recorded), {"depth": (stamps(twice, recorded), SLOP)})
    assert matching.order.tolist() == partners(matching) == list(range(30))
    assert np.flatnonzero(matching.begins).tolist() == [15]


def test_a_gap_begins_anew():
    gap = JUMP_NS // MS + 1
    matching = match(stamps([1, 101, 101 + gap, 201 + gap]), {})
    assert matching.begins.tolist() == [False, False, True, False]


def test_one_wild_stamp_loses_no_frame():
    for wild in (-T0 // MS, 10**9):
        times = [1, 101, wild, 301, 401]
        matching = match(stamps(times), {"depth": (stamps([1, 101, 201, 301, 401]), SLOP)})
        found = dict(zip(matching.order.tolist(), partners(matching), strict=True))
        assert found == {0: 0, 1: 1, 2: -1, 3: 3, 4: 4}


def test_without_a_message_of_the_partner():
    matching = match(stamps([1, 101]), {"depth": (stamps([]), SLOP)})
    assert partners(matching) == [-1, -1]
