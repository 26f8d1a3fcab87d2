# SPDX-License-Identifier: Apache-2.0
"""Progress of an engine's build as sentences."""

from __future__ import annotations

import pytest

from ssma_ros.inference.tensorrt.build_log import BuildLog


def shares(said: list[str]) -> list[str]:
    return [line.partition(" after")[0] for line in said]


def test_a_line_for_each_tenth() -> None:
    said: list[str] = []
    log = BuildLog(said.append, lambda: True)
    log.start("Building engine", None, 40)
    for step in range(40):
        assert log.step("Building engine", step)
    log.finish("Building engine")
    assert said[0] == "Building engine, which can take minutes"
    assert shares(said[1:]) == [f"Building engine: {percent} %" for percent in range(10, 101, 10)]


def test_inner_phases_fill_the_step_they_belong_to() -> None:
    """Two steps, the second of which is a phase of ten: nine of them are 95 % of the whole."""
    said: list[str] = []
    log = BuildLog(said.append, lambda: True)
    log.start("outer", None, 2)
    log.step("outer", 0)
    log.start("inner", "outer", 10)
    for step in range(9):
        log.step("inner", step)
    assert shares(said[1:]) == ["outer: 50 %", "outer: 60 %", "outer: 70 %", "outer: 80 %", "outer: 90 %"]
    log.step("inner", 9)
    log.finish("inner")
    log.step("outer", 1)
    assert shares(said)[-1] == "outer: 100 %"


def test_progress_never_goes_back_and_stray_reports_do_no_harm() -> None:
    said: list[str] = []
    log = BuildLog(said.append, lambda: True)
    log.start("outer", None, 0)
    log.step("nobody knows me", 3)
    log.finish("nobody knows me")
    log.start("loop", "loop", 1)
    log.step("loop", 5)
    log.step("outer", 0)
    assert shares(said) == ["outer, which can take minutes", "loop: 100 %"]


@pytest.mark.parametrize("going_on", [True, False])
def test_the_build_stops_when_the_node_shall_end(going_on: bool) -> None:
    log = BuildLog(lambda _: None, lambda: going_on)
    log.start("Building engine", None, 2)
    assert log.step("Building engine", 0) is going_on


def test_the_next_build_begins_at_zero() -> None:
    said: list[str] = []
    log = BuildLog(said.append, lambda: True, lines=2)
    for _ in range(2):
        log.start("build", None, 2)
        log.step("build", 0)
        log.step("build", 1)
        log.finish("build")
    assert shares(said) == ["build, which can take minutes", "build: 50 %", "build: 100 %"] * 2
