# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import replace

import pytest

from ssma_ros.contract import Contract, Stream, VectorScaling, contract_path_for, load_contract, save_contract
from ssma_ros.errors import SsmaError
from ssma_ros.labels import load_label_set


@pytest.fixture
def contract() -> Contract:
    streams = (
        Stream("rgb", "bgr", (1.0, 2.0, 3.0), (0.1, 0.1, 0.1)),
        Stream("hha", "hha", parameters={"max_depth": 50.0}),
    )
    return Contract(768, 384, streams, load_label_set("synthetic_forest"), {"name": "SSMA"}, 1.5, "a test")


def test_round_trip(tmp_path, contract):
    path = tmp_path / "contract.json"
    save_contract(contract, path)
    again = load_contract(path)
    assert again == contract
    assert again.digest() == contract.digest()
    assert list(tmp_path.iterdir()) == [path]


def test_digest_changes_with_meaning_only(contract):
    assert replace(contract, description="other words").digest() == contract.digest()
    assert replace(contract, temperature=2.0).digest() != contract.digest()
    assert replace(contract, width=512).digest() != contract.digest()


def test_vector_scaling_makes_another_version_that_older_readers_refuse(tmp_path, contract):
    scaled = replace(contract, vector_scaling=VectorScaling((1, 2, 1, 0.5, 1), (0, 0.25, 0, -0.25, 0)))
    path = tmp_path / "contract.json"
    save_contract(scaled, path)
    assert load_contract(path) == scaled
    assert scaled.digest() != contract.digest()
    # What readers of version 1 check is the number alone, and they know no other.
    assert (contract.to_document()["version"], scaled.to_document()["version"]) == (1, 2)
    assert "vector_scaling" not in contract.to_document()


def test_own_contract_wins_over_the_folders(tmp_path):
    model = tmp_path / "net.onnx"
    assert contract_path_for(model) == tmp_path / "contract.json"
    (tmp_path / "net.contract.json").write_text("{}")
    assert contract_path_for(model) == tmp_path / "net.contract.json"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "not a contract"),
        ({"version": 9}, "version is 9, expected 1"),
        ({"width": 770}, "770x384, expected positive multiples of 16"),
        ({"streams": []}, "no streams"),
        ({"streams": [{"name": "a", "encoding": "sonar"}]}, "encoding 'sonar', expected one of bgr"),
        ({"streams": [{"name": "a", "encoding": "bgr"}, {"name": "a", "encoding": "nir"}]}, "distinct names"),
        ({"streams": [{"name": "a", "encoding": "bgr", "mean": [1]}]},
         r"streams\[0\]\.mean is \[1\], expected three numbers"),
        ({"streams": [{"name": "a", "encoding": "bgr", "scale": "big"}]},
         r'streams\[0\]\.scale is "big", expected three numbers'),
        ({"streams": [{"encoding": "bgr"}]}, r"has no streams\[0\]\.name, expected a string"),
        ({"streams": ["rgb"]}, r'streams\[0\] is "rgb", expected a mapping'),
        ({"streams": {"a": 1}}, r'streams is {"a": 1}, expected a list of entries'),
        ({"streams": None}, "streams is null, expected a list of entries"),
        ({"temperature": "hot"}, 'temperature is "hot", expected a finite number'),
        ({"network": [1]}, r"network is \[1\], expected a mapping"),
        ({"temperature": 0}, "temperature is 0"),
        ({"version": 2}, "version is 2, expected 1"),
        ({"vector_scaling": {"weights": [1] * 5, "bias": [0] * 5}}, "version is 1, expected 2 as it has vector_scal"),
        ({"version": 2, "vector_scaling": {"weights": [1], "bias": [0] * 5}}, "1 weights and 5 biases, expected 5"),
        ({"version": 2, "vector_scaling": {"weights": [0] * 5, "bias": [0] * 5}}, "expected positive weights"),
        ({"version": 2, "vector_scaling": {"weights": [1] * 5}},
         r"has no vector_scaling\.bias, expected a list of numbers"),
        ({"version": 2, "vector_scaling": [1]}, r"vector_scaling is \[1\], expected a mapping"),
        ({"labels": "moon"}, "no such set"),
        ({"width": None}, "width is null, expected a whole number"),
        ({"temprature": 2.0}, r"unknown key 'temprature', expected one of .*\('temperature' may be meant\)"),
        ({"std": [1, 2, 3]}, "unknown key 'std', expected one of width"),
        ({"ignore_index": 255}, "unknown key 'ignore_index', expected one of width"),
        ({"streams": [{"name": "a", "encoding": "bgr", "std": [1, 1, 1]}]}, r"unknown key 'streams\[0\]\.std'"),
        ({"streams": [{"name": "a", "encoding": "hha", "params": {}}]}, r"\('parameters' may be meant\)"),
        ({"streams": [{"name": "a", "encoding": "hha", "parameters": {"max_dept": 5}}]},
         r"stream 'a' \(hha\) has parameter 'max_dept', expected one of completion, .*\('max_depth' may be meant\)"),
        ({"streams": [{"name": "a", "encoding": "bgr", "parameters": {"completion": "fast"}}]},
         "has parameter 'completion', expected none"),
        ({"streams": [{"name": "near infrared", "encoding": "nir"}]},
         "stream name is 'near infrared', expected a lett"),
        ({"streams": [{"name": "2d", "encoding": "bgr"}]}, "stream name is '2d', expected a letter"),
        ({"streams": [{"name": "mask", "encoding": "nir"}]}, "stream name is 'mask', expected another"),
        ({"streams": [{"name": "present", "encoding": "nir"}]}, "stream name is 'present', expected another"),
        ({"labels": {"name": "a", "classes": [], "ignore_index": 255}}, "unknown key 'ignore_index'.*'ignore_id' may"),
        ({"width": True}, "width is true, expected a whole number"),
        ({"height": "x" * 500}, 'height is "x{59}…, expected a whole number'),
    ],
)
def test_bad_contracts_end_in_one_sentence(tmp_path, contract, change, message):
    path = tmp_path / "contract.json"
    path.write_text(json.dumps({**contract.to_document(), **change}))
    with pytest.raises(SsmaError, match=message) as caught:
        load_contract(path)
    assert "\n" not in str(caught.value)


def test_a_key_that_stands_twice_is_refused(tmp_path, contract):
    path = tmp_path / "contract.json"
    text = json.dumps(contract.to_document())
    path.write_text(text.replace('"temperature": 1.5', '"temperature": 1.5, "temperature": 2.5'))
    with pytest.raises(SsmaError, match="key 'temperature' stands twice in one object"):
        load_contract(path)


def test_missing_or_broken_file(tmp_path):
    with pytest.raises(SsmaError, match="no such file"):
        load_contract(tmp_path / "contract.json")
    (tmp_path / "contract.json").write_bytes(b"\xff\xfe garbage")
    with pytest.raises(SsmaError, match="cannot be read as JSON"):
        load_contract(tmp_path / "contract.json")
