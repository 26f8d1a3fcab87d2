# SPDX-License-Identifier: Apache-2.0
import importlib.util

import pytest

from ssma_ros.cli import demo
from ssma_ros.cli.main import main


def test_without_ros_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["demo"]) == 1
    assert "ssma: demo: the Python package rclpy is not installed, expected pip install 'ssma_ros[ros]'" in (
        capsys.readouterr().err
    )


def test_bad_input_is_one_sentence(tmp_path, capsys):
    pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")
    pytest.importorskip("PIL", reason="needs Pillow (make test installs it)")
    assert main(["demo", str(tmp_path / "absent"), "-o", str(tmp_path / "out"), "--model", "nothing"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("ssma: ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_closing_rows_hold_the_figures():
    summary = {
        "model": "/models/forest", "rate_hz": 9.9, "input_rate_hz": 10.0,
        "latency_ms": {"p50": 61.2, "p95": 90.0, "max": 99.0},
        "frames": {"published": 55, "segmented": 54, "dropped": 1, "degraded": 2},
        "node": {"identity": "openvino bf16", "stages_ms": {"inference": {"p50": 30.0, "p95": 40.0}}},
        "machine": {"load_before": 9.5, "cores": 2},
        "accuracy": {"miou": 0.71, "frames": 54, "iou": {"trail": 0.9, "void": None}},
    }  # fmt: skip
    rows = dict(demo._rows(summary))
    assert rows["network"] == "forest, openvino bf16"
    assert rows["rate"] == "9.90 Hz (images came at 10.00 Hz)"
    assert rows["latency"] == "61 ms p50, 90 ms p95, image out to mask in"
    assert rows["frames"] == "55 published, 54 segmented, 1 dropped, 2 degraded"
    assert rows["note"] == "other programs were busy: load 9.5 on 2 cores before the demo began"
    assert rows["  inference"] == "30 ms p50, 40 ms p95, in the node"
    assert rows["mIoU"] == "0.710 over 54 labelled frames (trail 0.90)"


def test_closing_rows_without_labels_or_a_second_mask():
    summary = {
        "model": "forest", "rate_hz": None, "input_rate_hz": None, "latency_ms": None, "accuracy": None,
        "frames": {"published": 1, "segmented": 1, "dropped": 0, "degraded": 0},
        "node": {"identity": "", "stages_ms": {}}, "machine": {"load_before": 0.1, "cores": 2},
    }  # fmt: skip
    assert [name for name, _ in demo._rows(summary)] == ["network", "frames"]
