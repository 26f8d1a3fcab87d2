# SPDX-License-Identifier: Apache-2.0
"""Parameters for nav2's semantic segmentation layer and for elevation_mapping_cupy, made from a network's label set.

    python examples/consumer_parameters.py nav2 MODEL > nav2_costmap.yaml
    python examples/consumer_parameters.py elevation_mapping MODEL > subscribers.yaml

MODEL is a shipped network, a model folder or a file. Every class of its label set is named, sky too: the layer reports
an error for a class that it does not know.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import yaml

from ssma_ros.contract import contract_path_for, load_contract
from ssma_ros.errors import SsmaError
from ssma_ros.inference import find_model

if TYPE_CHECKING:
    from ssma_ros.contract import Contract

#: nav2: above this a robot's centre would be in collision; costs between it and 0 are grades of dislike.
LETHAL = 254
#: Below this traversability a class is an obstacle to nav2, and one observation of it is enough.
OBSTACLE_BELOW = 0.2


def nav2(contract: Contract, name: str) -> dict[str, Any]:
    """A rolling costmap in the robot's frame with the layer of kiwicampus/semantic_segmentation_layer in it."""
    source: dict[str, Any] = {
        "segmentation_topic": f"{name}/mask",
        "confidence_topic": f"{name}/confidence",
        "labels_topic": f"{name}/label_info",
        "pointcloud_topic": f"{name}/points",
        "max_obstacle_distance": 8.0,
        "min_obstacle_distance": 0.3,
        "tile_map_decay_time": 0.5,
        "class_types": list(contract.labels.names),
    }
    for entry in contract.labels.classes:
        good = 1.0 if entry.traversability is None else float(entry.traversability)
        blocks = good < OBSTACLE_BELOW
        cost = LETHAL if blocks else round((1.0 - good) * 0.5 * LETHAL)
        source[entry.name] = {
            "classes": [entry.name], "base_cost": cost, "max_cost": cost, "mark_confidence": 0,
            "samples_to_max_cost": 0, "dominant_priority": blocks,
        }
    layer = {
        "plugin": "semantic_segmentation_layer::SemanticSegmentationLayer", "enabled": True,
        "observation_sources": "camera", "camera": source,
    }
    costmap = {
        "global_frame": "base_link", "robot_base_frame": "base_link", "rolling_window": True, "width": 16, "height": 16,
        "resolution": 0.1, "update_frequency": 5.0, "publish_frequency": 5.0, "always_send_full_costmap": True,
        "robot_radius": 0.4, "plugins": ["semantic_layer"], "semantic_layer": layer,
    }
    return {"costmap": {"costmap": {"ros__parameters": costmap}}}


def elevation_mapping(contract: Contract, name: str) -> dict[str, Any]:
    """Subscribers of elevation_mapping_cupy (ROS 2): the planes of probabilities, and the cloud."""
    parameters = {
        "image_channel_fusions": {"sem_.*": "exponential", "default": "exponential"},
        "pointcloud_channel_fusions": {"sem_.*": "average", "default": "average"},
        "subscribers": {
            "ssma_semantics": {
                "topic_name": f"{name}/semantic_image", "camera_info_topic_name": f"{name}/camera_info",
                "channel_info_topic_name": f"{name}/channel_info", "data_type": "image",
            },
            "ssma_points": {"topic_name": f"{name}/points", "data_type": "pointcloud"},
        },
        "publishers": {
            "elevation_map_raw": {
                "layers": ["elevation", "traversability", *(f"sem_{each}" for each in contract.labels.names)],
                "basic_layers": ["elevation"], "fps": 5.0,
            },
        },
    }
    return {"/elevation_mapping_node": {"ros__parameters": parameters}}


MAKERS = {"nav2": nav2, "elevation_mapping": elevation_mapping}


def text_of(consumer: str, model: str, name: str) -> str:
    """The YAML file, with what it was made by.

    Raises:
        SsmaError: there is no such model.
    """
    head = f"# Made by: python examples/consumer_parameters.py {consumer} {model}\n"
    contract = load_contract(contract_path_for(find_model(model)))
    return head + yaml.safe_dump(MAKERS[consumer](contract, name), sort_keys=False, default_flow_style=None, width=118)


def main() -> int:
    """Write the parameters to standard output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("consumer", choices=MAKERS)
    parser.add_argument("model", nargs="?", default="forest_rgb_hha_evi")
    parser.add_argument("--node", default="/ssma_fusion", help="name of the fusion node (default: %(default)s)")
    args = parser.parse_args()
    try:
        sys.stdout.write(text_of(args.consumer, args.model, args.node))
    except SsmaError as error:
        sys.exit(f"consumer_parameters: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
