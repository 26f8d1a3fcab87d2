# SPDX-License-Identifier: Apache-2.0
"""Files for nav2, elevation mapping, Foxglove and rviz speak of topics and classes that the node really has."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from ssma_ros.contract import Contract, contract_path_for, load_contract
from ssma_ros.inference import find_model
from ssma_ros.messages.catalogue import OutputCatalog
from ssma_ros.ros.parameters import FusionParameters

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLES = PROJECT / "examples"
MODEL = "forest_rgb_hha_evi"
MADE = {
    "nav2": EXAMPLES / "nav2" / "costmap.yaml",
    "elevation_mapping": EXAMPLES / "elevation_mapping" / "subscribers.yaml",
}
#: Published besides the catalogue's.
OTHERS = {"label_info"}


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_contract(contract_path_for(find_model(MODEL)))


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / "consumer_parameters.py"))


@pytest.mark.parametrize("consumer", MADE)
def test_the_files_are_what_the_script_makes(script: dict[str, Any], consumer: str) -> None:
    assert MADE[consumer].read_text(encoding="utf-8") == script["text_of"](consumer, MODEL, "/ssma_fusion")


def test_every_class_has_a_cost_that_follows_its_traversability(contract: Contract) -> None:
    costmap = yaml.safe_load(MADE["nav2"].read_text())["costmap"]["costmap"]["ros__parameters"]
    camera = costmap["semantic_layer"]["camera"]
    assert camera["class_types"] == list(contract.labels.names)
    assert [camera[name]["classes"] for name in contract.labels.names] == [[name] for name in contract.labels.names]
    costs = {c.name: camera[c.name]["max_cost"] for c in contract.labels.classes}
    assert costs["trail"] == 0
    assert 0 < costs["grass"] < 127 < costs["obstacle"] == 254
    assert camera["obstacle"]["dominant_priority"]
    assert not camera["grass"]["dominant_priority"]


@pytest.mark.parametrize(
    "path",
    [*MADE.values(), EXAMPLES / "foxglove" / "fusion_layout.json", *sorted((PROJECT / "rviz").glob("*.rviz"))],
    ids=lambda path: path.name,
)
def test_every_topic_is_one_that_the_node_publishes(contract: Contract, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = set(re.findall(r"/?ssma_fusion/([\w/]+)", text))
    assert named
    assert named <= {output.topic for output in OutputCatalog(contract).outputs} | OTHERS
    (json.loads if path.suffix == ".json" else yaml.safe_load)(text)


def test_panels_of_the_foxglove_layout_are_all_placed() -> None:
    layout = json.loads((EXAMPLES / "foxglove" / "fusion_layout.json").read_text())
    placed: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, str):
            placed.append(node)
        else:
            walk(node["first"])
            walk(node["second"])

    walk(layout["layout"])
    assert sorted(placed) == sorted(layout["configById"])


def test_parameters_of_the_example_are_the_nodes() -> None:
    values = yaml.safe_load((EXAMPLES / "nav2" / "fusion.yaml").read_text())["/**"]["ros__parameters"]
    FusionParameters.from_values(values)
    assert values.keys() <= FusionParameters.__dataclass_fields__.keys()


def test_frames_of_the_views_exist() -> None:
    """The optical frame that most drivers, and the demo, give the colour camera, and the example's robot frame."""
    pattern = re.compile(r"^ *Fixed Frame: (\w+)", re.MULTILINE)
    fixed = {path.name: pattern.findall(path.read_text()) for path in (PROJECT / "rviz").glob("*.rviz")}
    assert fixed == {"fusion.rviz": ["camera_color_optical_frame"], "nav2_example.rviz": ["base_link"]}
    launch = (PROJECT / "launch" / "nav2_example.launch.py").read_text()
    assert 'CAMERA_FRAME = "camera_color_optical_frame"' in launch
    assert '"base_link", "camera_link"' in launch


def test_what_is_missing_for_nav2_is_named_with_where_it_comes_from() -> None:
    pytest.importorskip("launch_ros", reason="needs launch_ros, which comes with ROS 2")
    module = runpy.run_path(str(PROJECT / "launch" / "nav2_example.launch.py"))
    assert module["generate_launch_description"]().entities
    lacking = module["missing"]()
    if lacking:
        with pytest.raises(RuntimeError, match="nav2_example: not installed: "):
            module["check"](None)
    assert all("(" in each for each in lacking)
