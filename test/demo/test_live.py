# SPDX-License-Identifier: Apache-2.0
"""The three processes for real, with a stand-in for the fusion node."""

import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from recordings.small_recording import color, stamp, write_small_recording

from ssma_ros.demo.live import LivePlan, free_domain, run_live, shared_memory_note
from ssma_ros.errors import SsmaError
from ssma_ros.messages.decode import stamp_ns
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.typestore import IMAGE

pytest.importorskip("rclpy", reason="rclpy is not installed")
STAND_IN = Path(__file__).with_name("stand_in_node.py")
PUBLISH = {
    "color": "/camera/image_rect",
    "camera_info": "/camera/camera_info",
    "depth": "/depth/image_rect",
    "nir": "/nir/image_rect",
}
MASK = "/ssma_fusion/mask"


def plan_for(tmp_path: Path, behaviour: str = "", **changes) -> LivePlan:
    recording = write_small_recording(tmp_path / "drive", frames=5, compressed=True)
    values = {
        "recording": recording,
        "output": tmp_path / "out",
        "topic_mapping": [],
        "publish": PUBLISH,
        "record": [f"{MASK}@{IMAGE}"],
        "node_command": [sys.executable, str(STAND_IN), behaviour],
        "node_name": "/ssma_fusion",
        "mask_topic": MASK,
    }
    return LivePlan(**{**values, **changes})


@pytest.fixture
def scratch(tmp_path):
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


def test_every_image_comes_back_as_a_mask_with_its_stamp(tmp_path, scratch):
    seen = []
    result = run_live(plan_for(tmp_path), scratch, on_event=seen.append)
    stamps = [stamp(i) for i in range(5)]
    assert result.published == dict.fromkeys(PUBLISH, 5)
    assert [s for s, _ in result.publish_times] == stamps
    assert [s for s, _ in result.mask_times] == stamps
    assert all(got > sent for (_, sent), (_, got) in zip(result.publish_times, result.mask_times, strict=True))
    assert sorted(seen) == ["frame"] * 5 + ["mask"] * 5
    with RecordingReader(tmp_path / "out") as reader:
        masks = [reader.deserialize(m) for m in reader.messages([MASK])]
        assert any(t.name == "/diagnostics" and t.count > 0 for t in reader.topics)
    assert [stamp_ns(m) for m in masks] == stamps
    np.testing.assert_array_equal(masks[2].data.reshape(48, 96), color(2)[..., 2] // 64)


def test_a_crashing_node_is_one_sentence_with_its_last_words(tmp_path, scratch):
    with pytest.raises(SsmaError, match=r"the fusion node ended with status 3: .*the model melted"):
        run_live(plan_for(tmp_path, "crash"), scratch)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["drive", "logs"]


def test_a_truncated_recording_is_one_sentence(tmp_path, scratch):
    plan = plan_for(tmp_path)
    storage = next(plan.recording.glob("*.mcap"))
    storage.write_bytes(storage.read_bytes()[:2000])
    with pytest.raises(SsmaError, match="may be truncated"):
        run_live(plan, scratch)


def test_small_shared_memory_is_noted(monkeypatch):
    assert shared_memory_note("/not/there") is None
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=64 * 2**20))
    assert "64 MB free, expected 512" in shared_memory_note()
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**30))
    assert shared_memory_note() is None


def test_a_domain_in_use_is_not_chosen(monkeypatch):
    monkeypatch.setattr("ssma_ros.demo.live._LAST_DOMAIN", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        try:
            taken.bind(("", 7400 + 250))
        except OSError:
            pytest.skip("domain 1 is in use on this machine")
        with pytest.raises(SsmaError, match="ROS_DOMAIN_ID"):
            free_domain()


def test_sparse_topics_are_thinned(tmp_path, scratch):
    plan = plan_for(tmp_path, record=[f"{MASK}@{IMAGE}@0.2"])
    assert run_live(plan, scratch).received[MASK] == 5
    with RecordingReader(plan.output) as reader:
        assert [t.count for t in reader.topics if t.name == MASK] == [3]
