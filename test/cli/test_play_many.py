# SPDX-License-Identifier: Apache-2.0
"""``ssma play`` and ``ssma evaluate`` side by side give what they give alone."""

from __future__ import annotations

import pytest
from recordings.small_recording import HEIGHT, WIDTH, write_small_recording
from ros.stub_network import StubBackend, stub_contract

from ssma_ros import inference
from ssma_ros.cli._played import outputs_of
from ssma_ros.cli.main import main
from ssma_ros.errors import SsmaError
from ssma_ros.recordings.reader import RecordingReader


def messages_of(path):
    with RecordingReader(path) as reader:
        return [(m.topic, m.type, m.stamp_ns, bytes(m.data)) for m in reader.messages()]


@pytest.fixture
def drives(tmp_path):
    return [write_small_recording(tmp_path / name, frames=2, shift_ns=shift * 10**9) for shift, name in enumerate("ab")]


def test_several_recordings_go_into_one_folder(tmp_path, drives, monkeypatch, capsys):
    monkeypatch.setattr(inference, "load_backend", lambda model, **_: StubBackend(stub_contract(WIDTH, HEIGHT)))
    for drive in drives:
        assert main(["play", str(drive), "-o", str(tmp_path / "alone" / drive.name)]) == 0
    capsys.readouterr()
    assert main(["play", *map(str, drives), "-o", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    for drive in drives:
        assert messages_of(tmp_path / "out" / drive.name) == messages_of(tmp_path / "alone" / drive.name)
        assert f"{drive.name}: 2 frames segmented" in told


def test_recordings_of_one_name_are_refused(tmp_path):
    with pytest.raises(SsmaError, match="have one name"):
        outputs_of([tmp_path / "x" / "drive", tmp_path / "y" / "drive"], tmp_path / "out")
    assert outputs_of([tmp_path / "drive"], tmp_path / "out") == [tmp_path / "out"]
