# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from ssma_ros.cli.main import main


def test_table_and_json(tmp_path, capsys):
    pytest.importorskip("numba")
    target = tmp_path / "results.json"
    arguments = ["--sizes", "64x48", "--rounds", "2", "--threads", "1", "--json", str(target), "--note", "a test"]
    assert main(["benchmark", "preprocessing", *arguments]) == 0
    document = json.loads(target.read_text())
    assert document["note"] == "a test"
    assert document["implementation"] == "compiled"
    found = {(m["function"], m["input"]): m for m in document["measurements"]}
    assert set(found) == {(f, i) for f in ("fill_fast", "fill_multiscale", "encode_hha") for i in ("stereo", "lidar")}
    for (function, _), measured in found.items():
        assert measured["ratio"] > 0
        if function != "encode_hha":
            assert measured["difference"] <= 1e-4
    table = capsys.readouterr().out
    assert "| fill_fast | 64×48 | stereo | 1 |" in table


def test_registration_is_measured_where_it_is_asked_for(tmp_path, capsys):
    target = tmp_path / "results.json"
    arguments = ["--functions", "register_image", "--inputs", "stereo", "--sizes", "64x48", "--rounds", "2"]
    assert main(["benchmark", "preprocessing", *arguments, "--threads", "1", "--json", str(target)]) == 0
    (measured,) = json.loads(target.read_text())["measurements"]
    assert measured["difference"] == 0.0
    assert "| register_image | 64×48 | stereo | 1 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sizes", "64"], "sizes: got '64', expected WIDTHxHEIGHT"),
        (["--rounds", "0"], "rounds 0"),
        (["--clock", "cpu"], "expected --threads 1"),
    ],
)
def test_refusals(arguments, words, capsys):
    assert main(["benchmark", "preprocessing", *arguments]) == 1
    assert words in capsys.readouterr().err
