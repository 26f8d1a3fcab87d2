# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from recordings.small_recording import FRAME_ID, HEIGHT, PERIOD_NS, WIDTH, color, depth_mm, label, stamp
from recordings.small_recording import write_small_recording as write_drive
from ros.stub_network import stub_contract

from ssma_ros.demo.plan import output_topics
from ssma_ros.demo.results import DriveResults
from ssma_ros.recordings import records as messages
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.topics import find_input_topics
from ssma_ros.recordings.typestore import IMAGE
from ssma_ros.recordings.writer import RecordingWriter

CONTRACT = stub_contract(WIDTH, HEIGHT)


def results(tmp_path, masks: dict[int, np.ndarray], *, compressed: bool = True, inputs_at=(1,), without=()):
    drive = write_drive(tmp_path / "drive", frames=4, compressed=compressed, without=without)
    names = output_topics(CONTRACT)
    with RecordingWriter(tmp_path / "out") as writer:
        for index, mask in masks.items():
            now = stamp(index)
            writer.write(names.mask, IMAGE, messages.image(mask, "mono8", now, FRAME_ID), now)
            if index in inputs_at:
                hha = np.dstack([np.full((HEIGHT, WIDTH), v, np.uint8) for v in (1, 2, 3)])
                writer.write(names.inputs["hha"], IMAGE, messages.image(hha, "bgr8", now, FRAME_ID), now)
                writer.write(names.inputs["evi"], IMAGE, messages.image(mask, "mono8", now, FRAME_ID), now)
                gate = np.full((HEIGHT, WIDTH), 0.25, np.float32)
                writer.write(names.gates["rgb"], IMAGE, messages.image(gate, "32FC1", now, FRAME_ID), now)
    with RecordingReader(drive) as reader:
        topics = find_input_topics(reader.topics, "drive")
    return DriveResults((drive, topics), (tmp_path / "out", names), CONTRACT)


def test_frames_join_images_and_masks_by_stamp(tmp_path):
    found = list(results(tmp_path, {0: label(0), 2: label(2)}).frames())
    assert [s for s, _, _ in found] == [stamp(i) for i in range(4)]
    assert [m is None for _, _, m in found] == [False, True, False, True]
    np.testing.assert_array_equal(found[2][1], color(2)[..., ::-1])
    np.testing.assert_array_equal(found[2][2], label(2))


def test_frame_rate_comes_from_the_stamps(tmp_path):
    found = results(tmp_path, {0: label(0)})
    assert found.frame_rate() == pytest.approx(1e9 / PERIOD_NS)
    assert found.mask_size() == (WIDTH, HEIGHT)


def test_perfect_masks_score_one(tmp_path):
    accuracy = results(tmp_path, {i: label(i) for i in range(3)}).accuracy()
    assert (accuracy["frames"], accuracy["miou"]) == (3, 1.0)
    assert accuracy["iou"] == {"trail": 1.0, "grass": 1.0, "vegetation": None, "sky": None, "obstacle": None}


def test_half_wrong_masks_score_by_hand(tmp_path):
    """All trail where half of the picture is grass; 16 ignored pixels lie in the trail half."""
    accuracy = results(tmp_path, {0: np.zeros((HEIGHT, WIDTH), np.uint8)}).accuracy()
    trail = HEIGHT // 2 * WIDTH - 16
    assert accuracy["iou"]["trail"] == pytest.approx(trail / (trail + HEIGHT // 2 * WIDTH), abs=1e-6)
    assert accuracy["iou"]["grass"] == 0.0


def test_masks_of_another_size_are_scored_on_their_own_grid(tmp_path):
    accuracy = results(tmp_path, {0: label(0)[::2, ::2]}).accuracy()
    assert accuracy["miou"] == pytest.approx(1.0, abs=0.01)


def test_without_labels_there_is_no_accuracy(tmp_path):
    assert results(tmp_path, {0: label(0)}, without=["label"]).accuracy() is None


@pytest.mark.parametrize("compressed", [False, True])
def test_scene_gathers_everything_about_one_frame(tmp_path, compressed):
    scene = results(tmp_path, {1: label(1), 2: label(2)}, compressed=compressed).scene(stamp(1))
    np.testing.assert_array_equal(scene.color, color(1)[..., ::-1])
    np.testing.assert_allclose(scene.sensors["depth"], depth_mm(1) * 1e-3, rtol=1e-6)
    np.testing.assert_array_equal(scene.label, label(1))
    assert scene.inputs["hha"][0, 0].tolist() == [3, 2, 1]  # shown in RGB order
    assert set(scene.inputs) == {"hha", "evi"}
    assert scene.gates["rgb"].dtype == np.float32
    assert float(scene.gates["rgb"][0, 0]) == 0.25
    assert scene.confidence is None


def test_the_best_frame_has_inputs_and_many_classes(tmp_path):
    many = np.arange(HEIGHT * WIDTH, dtype=np.uint32).reshape(HEIGHT, WIDTH).astype(np.uint8) % 5
    found = results(tmp_path, {0: label(0), 1: label(1), 2: many, 3: many}, inputs_at=(0, 1, 2))
    assert found.best_stamp() == stamp(2)


def test_strip_is_spread_over_the_drive(tmp_path):
    found = results(tmp_path, {i: label(i) for i in range(4)})
    assert [s.stamp_ns for s in found.strip(2)] == [stamp(0), stamp(3)]
    assert len(found.strip(9)) == 4
