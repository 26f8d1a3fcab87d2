# SPDX-License-Identifier: Apache-2.0
"""``ssma statistics`` against numpy on the same encoded images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from ssma_ros.cli.main import main
from ssma_ros.contract import Contract, Stream
from ssma_ros.labels import load_label_set
from ssma_ros.training.datasets import open_dataset
from ssma_ros.training.datasets.cache import EncodedSamples
from ssma_ros.training.datasets.statistics import measure
from ssma_ros.training.fit.losses import class_shares

STREAMS = (Stream("rgb", "bgr"), Stream("hha", "hha"), Stream("evi", "evi2"))


@pytest.fixture
def own_contract() -> Contract:
    return Contract(48, 32, STREAMS, load_label_set("synthetic_forest"))


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[dict[str, Any], str]:
    assert main(["statistics", *arguments, "--quiet"]) == 0
    text = capsys.readouterr().out
    return {s["name"]: s for s in yaml.safe_load(text)["contract"]["streams"]}, text


def test_mean_and_scale_are_numpys(forest_folder: Path, own_contract: Contract) -> None:
    dataset = open_dataset("folder", forest_folder, "train", own_contract.labels)
    samples = EncodedSamples(dataset, own_contract)
    found = measure(dataset, own_contract, range(3), progress=False)
    for index, one in enumerate(found.streams):
        pixels = np.stack([samples[i].images[index] for i in range(3)]).reshape(-1, 3).astype(np.float64)
        np.testing.assert_allclose(one.mean, pixels.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(one.deviation, pixels.std(axis=0), rtol=1e-9)
        np.testing.assert_allclose(one.scale * pixels.std(axis=0), 1.0, rtol=1e-9)
    # What a network is given by such a contract has mean 0 and deviation 1.
    np.testing.assert_array_equal(
        own_contract.labels.shares(found.labels), class_shares(samples, own_contract.labels)
    )


def test_what_is_printed_is_a_part_of_a_configuration(
    forest_folder: Path, own_contract: Contract, capsys: pytest.CaptureFixture[str]
) -> None:
    streams, text = printed(capsys, str(forest_folder), "--labels", "synthetic_forest", "--size", "48x32")
    found = measure(
        open_dataset("folder", forest_folder, "train", own_contract.labels), own_contract, range(3), progress=False
    )
    assert list(streams) == ["rgb", "hha", "evi"], "all that the first sample has"
    for one in found.streams:
        told = streams[one.stream.name]
        assert told["encoding"] == one.stream.encoding
        np.testing.assert_allclose(told["mean"], one.mean, atol=0.05)
        np.testing.assert_allclose(told["scale"], one.scale, rtol=0.005)
    assert "# 3 samples of split 'train'" in text
    assert "# size of the images: 64x32 (3)" in text
    assert text.count("# in 3 of 3 samples") == 3


def test_a_configuration_says_what_to_measure_and_how(
    forest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (forest_folder / "train" / "depth").rename(forest_folder / "train" / "tiefe")
    parameters = {"completion": "fast", "height_range": 4.0}
    document = {
        "name": "own",
        "contract": {
            "width": 48, "height": 32, "labels": "synthetic_forest",
            "streams": [{"name": "geometry", "encoding": "hha", "parameters": parameters}],
        },
        "data": {"options": {"folders": {"depth": "tiefe"}}},
        "stages": [{}],
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(document))
    streams, _ = printed(capsys, str(forest_folder), "--config", str(tmp_path / "own.yaml"), "--limit", "2")
    assert streams.keys() == {"geometry"}
    assert streams["geometry"]["parameters"] == parameters
    # What is printed can be laid over the file that it was measured for.
    document["contract"]["streams"] = list(streams.values())
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(document))
    assert printed(capsys, str(forest_folder), "--config", str(tmp_path / "own.yaml"), "--limit", "2")[0] == streams


def test_void_unlabelled_sizes_and_a_channel_of_one_value(
    forest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    label = np.zeros((32, 64), np.uint8)
    label[:8] = 1
    label[8:16] = 255
    for name in ("000", "001", "002"):
        cv2.imwrite(str(forest_folder / "train" / "label" / f"{name}.png"), label)
        cv2.imwrite(str(forest_folder / "train" / "nir" / f"{name}.png"), np.full((32, 64), 77, np.uint8))
    for folder in ("rgb", "label", "nir", "depth"):
        path = str(forest_folder / "train" / folder / "002.png")
        cv2.imwrite(path, cv2.resize(cv2.imread(path, cv2.IMREAD_UNCHANGED), (128, 64), interpolation=0))
    streams, text = printed(
        capsys, str(forest_folder), "--labels", "synthetic_forest", "--size", "64x32", "--streams", "nir=nir"
    )
    assert streams["nir"]["mean"] == [77.0] * 3
    assert streams["nir"]["scale"] == [1.0] * 3, "nothing to divide by"
    assert "# size of the images: 64x32 (2), 128x64 (1)" in text
    assert "0 trail                 66.67 %" in text
    assert "1 grass                 33.33 %" in text
    assert "3 sky                    0.00 %  in none of these samples" in text
    assert "unlabelled, of all pixels   25.00 %" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no label set, expected --labels SET"),
        (["--labels", "woods"], "label set 'woods': no such set"),
        (["--labels", "synthetic_forest", "--size", "big"], "size: got 'big', expected WIDTHxHEIGHT"),
        (["--labels", "synthetic_forest", "--size", "50x50"], "size is 50x50, expected positive multiples of 16"),
        (["--labels", "synthetic_forest", "--streams", "rgb"], "stream 'rgb' has encoding ''"),
        (["--labels", "synthetic_forest", "--streams", "a=bgr", "a=hha"], "expected distinct names"),
        (["--labels", "synthetic_forest", "--streams", "t=thermal"], "'t' is blank in all 3 samples .* .no thermal"),
        (["--labels", "synthetic_forest", "--limit", "-1"], "limit: got -1"),
        (["--labels", "synthetic_forest", "--split", "test"], "no folder test/label"),
        (["--config", "none.yaml"], "none.yaml: no such file"),
        (["--config", "none.yaml", "--size", "64x32"], "got --size and --config"),
    ],
)
def test_refusals_are_one_sentence(
    arguments: list[str], message: str, forest_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["statistics", str(forest_folder), *arguments, "--quiet"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert re.search(message, told.err), told.err
