# SPDX-License-Identifier: Apache-2.0
"""One dataclass is the truth: the YAML file and the documentation follow it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ssma_ros.encodings.base import EncoderOptions
from ssma_ros.errors import SsmaError
from ssma_ros.messages.catalogue import OutputOptions
from ssma_ros.options import options_of, part
from ssma_ros.ros.parameters import (
    FusionParameters,
    constraints,
    defaults,
    to_markdown,
    to_yaml,
    unknown_names,
)
from ssma_ros.ros.sensor_parameters import SensorParameters
from ssma_ros.synchronization import SyncOptions

PROJECT = Path(__file__).resolve().parents[2]


def test_config_file_is_what_the_dataclass_says() -> None:
    text = (PROJECT / "config" / "fusion.yaml").read_text(encoding="utf-8")
    assert text == to_yaml(), "run: python -m ssma_ros.ros.parameters > config/fusion.yaml"


def test_documentation_is_what_the_dataclass_says() -> None:
    text = (PROJECT / "docs" / "components.md").read_text(encoding="utf-8")
    assert to_markdown() in text, "put ssma_ros.ros.parameters.to_markdown() into docs/components.md"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("sync_slop", -0.1, "parameter sync_slop is -0.1, expected 0 to 10"),
        ("sync_slop", float("nan"), "expected a finite real number"),
        ("sync_slop", True, "expected a finite real number"),
        ("backend", "magic", "parameter backend is 'magic', expected one of auto, openvino"),
        ("threads", 1.5, "parameter threads is 1.5, expected a whole number"),
        ("threads", True, "expected a whole number"),
        ("autostart", "yes", "expected true or false"),
        ("model", 3, "expected a string"),
        ("class_confidence_topics", "grass", "expected a list of strings"),
        ("class_confidence_topics", [1], "expected a list of strings"),
        ("jpeg_quality", 0, "expected 1 to 100"),
    ],
)
def test_bad_values_are_refused_in_a_sentence(name: str, value: Any, words: str) -> None:
    with pytest.raises(SsmaError, match=words):
        FusionParameters.from_values({name: value})


def test_every_parameter_is_described_and_its_default_is_good() -> None:
    parameters = FusionParameters()
    for name, constraint in constraints().items():
        assert constraint.text.endswith("."), name
        assert getattr(parameters, name) == defaults()[name]


def test_lists_and_whole_numbers_are_taken_as_ros_and_yaml_give_them() -> None:
    parameters = FusionParameters.from_values({"class_confidence_topics": ["grass"], "sync_slop": 1, "other": 3})
    assert parameters.class_confidence_topics == ("grass",)
    assert parameters.replaced({"points_semantic_fields": ["*"]}).points_semantic_fields == ("*",)


def test_an_empty_list_of_a_yaml_file_is_no_class() -> None:
    assert FusionParameters.from_values({"class_confidence_topics": None}).class_confidence_topics == ()
    with pytest.raises(SsmaError, match="parameter model is None"):
        FusionParameters.from_values({"model": None})


def test_misspelt_names_are_found_with_what_was_meant() -> None:
    assert unknown_names(["modell", "model", "use_sim_time", "qos_overrides./tf.subscription.depth", "xyz"]) == [
        "parameter 'modell' is unknown and ignored, expected 'model'",
        "parameter 'xyz' is unknown and ignored, expected a name from docs/components.md",
    ]


@pytest.mark.parametrize("name", sorted(set(constraints()) - set(options_of(SensorParameters))))
def test_a_parameter_is_declared_in_one_file(name: str) -> None:
    """Where it is used, as a field of a dataclass: ``name: type = option(…)``. Those of sensors are made of a table;
    training has options of the same names that mean other things."""
    declared = re.compile(rf"^    {name}: [^\n]* = option\(", re.MULTILINE)
    package = PROJECT / "ssma_ros"
    sources = {path: path.read_text("utf-8") for path in package.rglob("*.py") if path.parts[-3] != "training"}
    assert len([path for path, source in sources.items() if declared.search(source)]) == 1
    words = constraints()[name].text[:40]
    assert len([path for path, source in sources.items() if words in source]) == 1


def test_a_part_of_the_parameters_is_what_the_room_takes() -> None:
    parameters = FusionParameters.from_values({"sync_slop": 0.2, "camera_height": 1.2, "jpeg_quality": 7})
    assert part(SyncOptions, parameters).slop_ns == 200_000_000
    assert part(EncoderOptions, parameters) == EncoderOptions(1, True, 0.5, 1.2)
    assert part(OutputOptions, parameters).jpeg_quality == 7
