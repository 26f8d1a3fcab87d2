# SPDX-License-Identifier: Apache-2.0
"""Graphs that do not belong to their contract are refused with what differs."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from inference.toy_network import toy_contract

from ssma_ros.contract import Stream, save_contract
from ssma_ros.errors import SsmaError
from ssma_ros.inference.runtime.fit import check_onnx, load_checked_contract
from ssma_ros.inference.runtime.onnx_file import read_onnx_facts
from ssma_ros.labels.label_set import LabelClass, LabelSet


def refusal(toy_folder, contract) -> str:
    with pytest.raises(SsmaError) as caught:
        check_onnx(read_onnx_facts(toy_folder / "model.onnx"), contract, "model x")
    return str(caught.value)


def test_fitting_contract_is_returned(toy_folder):
    contract, facts = load_checked_contract(toy_folder / "model.onnx")
    assert contract == toy_contract()
    assert list(facts.inputs) == ["color", "hha", "present"]


def test_other_size(toy_folder):
    message = refusal(toy_folder, replace(toy_contract(), width=96))
    assert "input 'color' is uint8[32,64,3], expected uint8[32,96,3]" in message


def test_other_stream_names(toy_folder):
    contract = toy_contract()
    other = replace(contract, streams=(contract.streams[0], Stream("evi", "evi")))
    assert "its inputs are color, hha, present, expected color, evi, present" in refusal(toy_folder, other)


def test_other_number_of_classes(toy_folder):
    labels = toy_contract().labels
    fewer = LabelSet(labels.name, labels.classes[:4], 255, None, {})
    assert "'probabilities' is uint8[5,32,64], expected uint8[4,32,64]" in refusal(
        toy_folder, replace(toy_contract(), labels=fewer)
    )


def test_other_class_names(toy_folder):
    labels = toy_contract().labels
    renamed = (*labels.classes[:4], LabelClass(4, "log", (1, 2, 3), 0.0))
    message = refusal(toy_folder, replace(toy_contract(), labels=replace(labels, classes=renamed)))
    shared = "trail, grass, vegetation, sky"
    assert f"its classes are {shared}, obstacle, expected {shared}, log" in message


def test_other_normalisation(toy_folder):
    message = refusal(toy_folder, replace(toy_contract(), temperature=2.0))
    assert "was exported with contract" in message


def test_graph_of_another_program(toy_folder, tmp_path):
    import onnx

    model = onnx.load(toy_folder / "model.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "model.onnx")
    save_contract(toy_contract(), tmp_path / "contract.json")
    with pytest.raises(SsmaError, match="no contract digest in its metadata"):
        load_checked_contract(tmp_path / "model.onnx")


def test_missing_contract(toy_folder, tmp_path):
    shutil.copy(toy_folder / "model.onnx", tmp_path)
    with pytest.raises(SsmaError, match=r"contract\.json: no such file"):
        load_checked_contract(tmp_path / "model.onnx")
