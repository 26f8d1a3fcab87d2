# SPDX-License-Identifier: Apache-2.0
"""What ships with the package: the recorded drive and the network that was not trained on it."""

import pytest

from ssma_ros.demo.plan import output_topics
from ssma_ros.demo.results import DriveResults
from ssma_ros.inference import load_backend, shipped_models
from ssma_ros.recordings.play import PlayOptions, play
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.topics import find_input_topics
from ssma_ros.segmenter import Segmenter
from ssma_ros.share import share_path

MODEL = "forest_rgb_hha_evi"


@pytest.mark.slow
def test_the_shipped_network_segments_the_shipped_drive(tmp_path):
    recording = share_path("demo", "forest_drive")
    assert recording is not None
    assert MODEL in shipped_models()
    segmenter = Segmenter(load_backend(MODEL))
    contract = segmenter.contract
    result = play(recording, tmp_path / "out", lambda: segmenter, PlayOptions(outputs=["mask"]))
    assert result.frames == result.complete >= 50
    with RecordingReader(recording) as reader:
        topics = find_input_topics(reader.topics, str(recording))
    found = DriveResults((recording, topics), (tmp_path / "out", output_topics(contract)), contract)
    accuracy = found.accuracy()
    assert accuracy is not None
    assert accuracy["frames"] == result.frames
    assert accuracy["miou"] >= 0.60
