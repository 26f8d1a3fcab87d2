# SPDX-License-Identifier: Apache-2.0
"""Starts the fusion node, and rviz on request.

ros2 launch ssma_ros fusion.launch.py --show-args lists the arguments.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription
from ssma_ros.sensors import DRIVER, SENSORS

if TYPE_CHECKING:
    from launch import LaunchContext

# argument, name inside the node (which is also the default), description
TOPICS = (
    ("color_info", "camera/camera_info", "camera info of the rectified colour image"),
    *(
        (f"{sensor.name}_info", sensor.camera_info, f"camera info of the {sensor.title} camera (only with register_"
         f"{sensor.name})")
        for sensor in SENSORS.values() if sensor.name != DRIVER
    ),
    *(
        (sensor.name, sensor.topic, f"{sensor.title} image, rectified" + (
            "" if sensor.name == DRIVER else f" and registered to the {SENSORS[DRIVER].title} camera"))
        for sensor in SENSORS.values()
    ),
    *(
        ("disparity", sensor.disparity, f"disparity image (only with {sensor.name}_source: disparity)")
        for sensor in SENSORS.values() if sensor.disparity
    ),
)
# Arguments that win over the parameter file where they are given, and their types.
OVERRIDES = {"model": str, "autostart": bool, "use_sim_time": bool}


def nodes(context: LaunchContext) -> list[Node]:
    """The nodes; an argument that was left empty leaves the parameter to the file."""
    params_file = Path(LaunchConfiguration("params_file").perform(context)).expanduser()
    if not params_file.is_file():
        raise FileNotFoundError(f"params_file: {params_file} is not a file")  # launch would only warn
    overrides = {
        name: ParameterValue(LaunchConfiguration(name), value_type=kind)
        for name, kind in OVERRIDES.items()
        if LaunchConfiguration(name).perform(context)
    }
    use_sim_time = {name: value for name, value in overrides.items() if name == "use_sim_time"}
    return [
        # First: where rviz2 is not installed, nothing else has been started yet.
        Node(
            package="rviz2",
            executable="rviz2",
            name="rviz",
            namespace=LaunchConfiguration("namespace"),
            arguments=[
                "-d", PathJoinSubstitution([FindPackageShare("ssma_ros"), "rviz", "fusion.rviz"]),
                "-f", LaunchConfiguration("fixed_frame"),
            ],
            parameters=[use_sim_time],
            condition=IfCondition(LaunchConfiguration("rviz")),
        ),
        Node(
            package="ssma_ros",
            executable="fusion_node",
            name="ssma_fusion",
            namespace=LaunchConfiguration("namespace"),
            output="screen",
            parameters=[str(params_file), overrides],
            remappings=[(default, LaunchConfiguration(name)) for name, default, _ in TOPICS],
            arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
        ),
    ]


def generate_launch_description() -> LaunchDescription:
    share = FindPackageShare("ssma_ros")
    profile = PathJoinSubstitution([share, "config", "fastdds.xml"])
    with_profile = IfCondition(LaunchConfiguration("fastdds"))
    return LaunchDescription([
        DeclareLaunchArgument("namespace", default_value="", description="namespace of the node and its topics"),
        DeclareLaunchArgument(
            "model", default_value="",
            description="shipped model, model folder, or .onnx, .engine or .safetensors file; "
            "empty: as in params_file",
        ),
        DeclareLaunchArgument(
            "params_file", default_value=PathJoinSubstitution([share, "config", "fusion.yaml"]),
            description="YAML file with the node's parameters",
        ),
        DeclareLaunchArgument(
            "autostart", default_value="", choices=["", "true", "false"],
            description="configure and activate at once, false where a lifecycle manager does it; "
            "empty: as in params_file",
        ),
        DeclareLaunchArgument(
            "use_sim_time", default_value="", choices=["", "true", "false"],
            description="take the time from /clock; empty: as in params_file",
        ),
        DeclareLaunchArgument(
            "rviz", default_value="false", choices=["true", "false"], description="start rviz with its configuration"
        ),
        DeclareLaunchArgument(
            "fixed_frame", default_value="camera_optical_frame",
            description="rviz shows the points in this frame: the colour camera's, or any that tf connects with it",
        ),
        DeclareLaunchArgument(
            "log_level", default_value="info", choices=["debug", "info", "warn", "error", "fatal"],
            description="least severe messages of the node that are shown",
        ),
        DeclareLaunchArgument(
            "fastdds", default_value="false", choices=["true", "false"],
            description="use config/fastdds.xml (128 MB shared memory); the other processes need it too",
        ),
        *(
            DeclareLaunchArgument(name, default_value=default, description=f"topic of the {text}")
            for name, default, text in TOPICS
        ),
        # Fast DDS 2 reads the first, Fast DDS 3 the second.
        SetEnvironmentVariable("FASTRTPS_DEFAULT_PROFILES_FILE", profile, condition=with_profile),
        SetEnvironmentVariable("FASTDDS_DEFAULT_PROFILES_FILE", profile, condition=with_profile),
        OpaqueFunction(function=nodes),
    ])
