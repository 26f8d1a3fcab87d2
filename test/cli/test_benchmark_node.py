# SPDX-License-Identifier: Apache-2.0
"""``ssma benchmark node``: the search for the peak, and one short real run."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ssma_ros.cli._size import parse_size
from ssma_ros.cli.benchmark_node import cpu_seconds, find_peak, table
from ssma_ros.cli.main import main
from ssma_ros.errors import SsmaError
from ssma_ros.files import write_json


def report(rate_hz: float, missed: int, sent: int = 100):
    pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")
    from ssma_ros.demo.load_generator import RunReport

    return RunReport(
        rate_hz=rate_hz, duration_s=sent / rate_hz, sent=sent, received=sent - missed, missed=missed,
        output_rate_hz=rate_hz, first_latency_ms=1.0, last_latency_ms=1.0, latency_mean_ms=1.0, latency_min_ms=1.0,
        latency_p50_ms=1.0, latency_p95_ms=1.0, latency_max_ms=1.0, jitter_ms=0.1, jitter_max_ms=0.2, cpu_percent=10.0,
        outputs=1, stages_ms={"assembly": "0.1 / 0.2"},
    )


def test_the_peak_is_the_highest_rate_below_five_percent_loss() -> None:
    peak = find_peak(lambda rate: report(rate, missed=0 if rate <= 47.0 else 30))
    assert 47.0 / 1.06 < peak.rate_hz <= 47.0


def test_a_run_at_no_rate_the_machine_can_keep_proves_nothing() -> None:
    def measure(rate: float):
        kept = report(min(rate, 20.0), missed=0)
        return report(rate, missed=0, sent=kept.sent) if rate <= 20.0 else type(kept)(
            **{**kept.to_document(), "rate_hz": rate, "duration_s": kept.sent / 20.0}
        )

    assert find_peak(measure).rate_hz <= 21.1


def test_what_was_not_measured_is_valid_json() -> None:
    silent = replace(report(30.0, missed=100), latency_p50_ms=float("nan"), jitter_ms=float("nan"))
    assert json.loads(json.dumps(silent.to_document(), allow_nan=False))["latency_p50_ms"] is None
    assert "nan" in table([silent])


def test_table_has_a_line_for_each_run() -> None:
    lines = table([report(10.0, 0), report(30.0, 3)]).splitlines()
    assert len(lines) == 4
    assert lines[2].split()[:4] == ["30.0", "30.0", "100", "3"]
    assert lines[3].endswith("assembly 0.1 / 0.2")


def test_sizes_are_checked() -> None:
    assert parse_size("768x384") == (768, 384)
    for text in ("768", "0x5", "axb", "-1x5"):
        with pytest.raises(SsmaError, match="expected WIDTHxHEIGHT"):
            parse_size(text)


def test_cpu_time_of_this_process_rises() -> None:
    before = cpu_seconds(os.getpid())
    while cpu_seconds(os.getpid()) == before:
        sum(range(10_000))
    assert cpu_seconds(os.getpid()) > before


def test_results_that_cannot_be_written_are_refused_before_the_node_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("the node was started"))
    assert main(["benchmark", "node", "-o", str(tmp_path / "no" / "such" / "file.json")]) == 1
    assert "such does not exist, expected an existing folder for file.json" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_results_that_cannot_be_written_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match="cannot be written"):
        write_json(tmp_path / "no" / "such" / "file.json", {})
    assert not list(tmp_path.iterdir())


def test_the_stamp_is_read_from_the_bytes_of_a_message() -> None:
    pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import Image

    from ssma_ros.messages.decode import serialized_stamp_ns

    message = Image(width=3, encoding="mono8")
    message.header.stamp.sec, message.header.stamp.nanosec = 1_700_000_000, 987_654_321
    assert serialized_stamp_ns(serialize_message(message)) == 1_700_000_000_987_654_321
    assert serialized_stamp_ns(bytes([0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 5])) == 2_000_000_005


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command sets its own; given back afterwards."""
    for name in ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE", "FASTRTPS_DEFAULT_PROFILES_FILE",
                 "FASTDDS_DEFAULT_PROFILES_FILE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("environment")
def test_parameters_reach_the_node(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")
    assert main(["benchmark", "node", "--domain", "96", "-p", "preprocessing_threads:=0"]) == 1
    assert "preprocessing_threads" in capsys.readouterr().err


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("options", [(), ("--every-output",)])
def test_a_short_real_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")
    output = tmp_path / "results.json"
    status = main([
        "benchmark", "node", "--size", "96x64", "--rates", "10", "--duration", "1", "--no-peak", "--domain",
        str(1 + os.getpid() % 100), "-o", str(output), *options,
    ])
    assert status == 0
    run = json.loads(output.read_text())["runs"][0]
    assert run["received"] > 0
    assert run["sent"] == run["received"] + run["missed"]
    assert "besides_inference" in run["stages_ms"]
    assert run["latency_min_ms"] <= run["latency_p50_ms"] <= run["latency_max_ms"]
    assert (run["outputs"] > 15) == bool(options)  # what the node offers depends on the message packages installed
    assert "Hz in" in capsys.readouterr().out
