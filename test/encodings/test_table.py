# SPDX-License-Identifier: Apache-2.0
"""The table of encodings: every entry is whole, and a new one is one file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ssma_ros.contract import Contract, Stream
from ssma_ros.encodings.table import ENCODINGS, as_rgb
from ssma_ros.inputs.encoded import why_blank
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.labels import load_label_set
from ssma_ros.segmenter import blank_frame
from ssma_ros.sensors import SENSORS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def contract_of(encoding: str) -> Contract:
    return Contract(64, 48, (Stream("one", encoding),), load_label_set("synthetic_forest"))


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_encoding_is_whole(name: str) -> None:
    encoding = ENCODINGS[name]
    assert encoding.name == name
    assert set(encoding.sensors) <= set(SENSORS)
    assert f"`{name}`" in (DOCS / "contract.md").read_text(encoding="utf-8")
    frame = blank_frame(64, 48)
    encoded = InputEncoder(contract_of(name)).encode(frame)
    picture = encoded.inputs["one"]
    assert (picture.shape, picture.dtype, picture.flags.c_contiguous) == ((48, 64, 3), np.uint8, True)
    if encoding.order == "grey":
        assert (picture == picture[..., :1]).all()
    for sensor in encoding.sensors:
        held = frame.images.pop(sensor)
        assert sensor in str(why_blank(Stream("one", name), frame))
        frame.images[sensor] = held
    frame.intrinsics = None
    assert (why_blank(Stream("one", name), frame) is not None) == encoding.needs_camera


@pytest.mark.parametrize("name", ENCODINGS)
def test_pictures_for_people_are_rgb(name: str) -> None:
    picture = np.zeros((1, 1, 3), np.uint8)
    picture[...] = (1, 2, 3)
    assert as_rgb(name, picture).tolist() == [[[1, 2, 3] if ENCODINGS[name].order == "rgb" else [3, 2, 1]]]


MADE_UP = '''
"""Edges of the colour image."""
import cv2
from ssma_ros.encodings.base import Encoding, StreamEncoder

class Edges(StreamEncoder):
    def encode(self, frame, out):
        return cv2.cvtColor(cv2.Canny(frame.color, 50, 100), cv2.COLOR_GRAY2BGR, dst=out)

ENCODINGS = (Encoding("edges", ("color",), Edges, order="grey"),)
'''
USE = '''
import sys
import cv2, numpy as np
import ssma_ros.encodings
ssma_ros.encodings.__path__.append(sys.argv[1])
from ssma_ros.contract import Contract, parse_contract, Stream
from ssma_ros.errors import SsmaError
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.labels import load_label_set
from ssma_ros.messages.catalogue import OutputCatalog
from ssma_ros.segmenter import blank_frame
contract = Contract(64, 48, (Stream("lines", "edges"),), load_label_set("synthetic_forest"))
assert parse_contract(contract.to_document(), "here") == contract
frame = blank_frame(64, 48)
frame.color[10:30, 10:30] = 255
found = InputEncoder(contract).encode(frame).inputs["lines"]
assert (found[..., 0] == cv2.Canny(frame.color, 50, 100)).all() and found.any()
topics = [output.topic for output in OutputCatalog(contract).outputs]
from ssma_ros.inputs.resident import CudaInputEncoder
try:
    CudaInputEncoder(contract, None, {"lines": 0})
except SsmaError as error:
    print(error)
'''


def test_a_new_encoding_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "edges.py").write_text(MADE_UP)
    done = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path)], capture_output=True, text=True, check=False,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "encoding 'edges' of stream 'lines' is made on the processor only"
