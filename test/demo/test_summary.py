# SPDX-License-Identifier: Apache-2.0
import pytest

from ssma_ros.demo.live import LiveResult
from ssma_ros.demo.machine import describe_machine, describe_versions
from ssma_ros.demo.node_report import identity_words, node_report, stage_times
from ssma_ros.demo.summary import closing_table, latencies_ms, measured, percentiles, sustained_rate_hz
from ssma_ros.recordings import records as messages
from ssma_ros.recordings.typestore import DIAGNOSTIC_ARRAY
from ssma_ros.recordings.writer import RecordingWriter

MS = 1_000_000


def a_run() -> LiveResult:
    """Ten images at 10 Hz; the fourth is dropped, the others come back after 30 ms, the last after 50 ms."""
    sent = [(i, i * 100 * MS) for i in range(10)]
    back = [(stamp, moment + (50 if stamp == 9 else 30) * MS) for stamp, moment in sent if stamp != 3]
    return LiveResult({"color": 10}, sent, [0.1] * 10, back, {"/mask": 9})


def test_latency_goes_from_image_to_its_own_mask():
    assert latencies_ms(a_run()) == pytest.approx([30.0] * 8 + [50.0])


def test_a_mask_of_no_published_image_does_not_count():
    run = LiveResult(publish_times=[(1, 0)], mask_times=[(1, 20 * MS), (2, 30 * MS)])
    assert latencies_ms(run) == [20.0]
    assert measured(run)["frames"] == {"published": 1, "segmented": 1, "dropped": 0}


def test_measured_figures():
    figures = measured(a_run())
    assert figures["frames"] == {"published": 10, "segmented": 9, "dropped": 1}
    assert figures["input_rate_hz"] == 10.0
    assert figures["rate_hz"] == pytest.approx(8 / 0.92, abs=0.01)
    assert figures["latency_ms"] == {"p50": 30.0, "p95": 42.0, "max": 50.0}


def test_rates_and_percentiles_of_too_little():
    assert sustained_rate_hz([]) is None
    assert sustained_rate_hz([(0, 5)]) is None
    assert sustained_rate_hz([(0, 5), (1, 5)]) is None
    assert percentiles([]) is None


def test_closing_table_is_aligned():
    text = closing_table([("rate", "10 Hz")], {"out/a.mp4": "video"})
    assert text.splitlines() == ["  rate       10 Hz", "", "  out/a.mp4  video"]


def write_diagnostics(path, *reports: dict[str, dict[str, str]]) -> None:
    with RecordingWriter(path) as writer:
        for index, report in enumerate(reports):
            statuses = [
                messages.make(
                    "diagnostic_msgs/msg/DiagnosticStatus",
                    name=name,
                    values=[{"key": key, "value": value} for key, value in values.items()],
                )
                for name, values in report.items()
            ]
            array = messages.make(DIAGNOSTIC_ARRAY, header=messages.header(index, ""), status=statuses)
            writer.write("/diagnostics", DIAGNOSTIC_ARRAY, array, index)


def test_the_last_report_of_the_node_counts(tmp_path):
    inference = {"backend": "openvino", "precision": "bf16", "published": "7", "degraded": "2",
                 "inference p50/p95 (ms)": "30.5 / 41.0", "waiting p50/p95 (ms)": "60.0 / 90.0"}  # fmt: skip
    write_diagnostics(
        tmp_path / "out",
        {"ssma_fusion: inference": {"published": "1"}, "other: inference": {"published": "99"}},
        {"ssma_fusion: inference": inference, "ssma_fusion: synchronization": {"matched": "7"}},
        {"other: inference": {"published": "100"}},
    )
    report = node_report(tmp_path / "out", "/ssma_fusion")
    assert (report["identity"], report["published"], report["degraded"]) == ("openvino bf16", 7, 2)
    assert report["stages_ms"] == {"waiting": {"p50": 60.0, "p95": 90.0}, "inference": {"p50": 30.5, "p95": 41.0}}
    assert report["synchronization"] == {"matched": 7}


def test_a_node_that_reported_nothing(tmp_path):
    write_diagnostics(tmp_path / "out", {"other: x": {}})
    report = node_report(tmp_path / "out", "/ssma_fusion")
    assert (report["identity"], report["degraded"], report["stages_ms"]) == ("", 0, {})


def test_values_that_are_no_times_are_passed_over():
    assert stage_times({"a p50/p95 (ms)": "nan", "published": "3 / 4"}) == {}
    assert identity_words({"device": "CPU"}) == ""


def test_machine_and_versions_are_described():
    machine = describe_machine()
    assert machine["cores"] >= 1
    assert machine["memory_gib"] > 0
    versions = describe_versions()
    assert {"python", "numpy", "rosbags"} <= set(versions)
