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
from ssma_ros.cameras import load_preset, preset_names, settings_of
from ssma_ros.sensors import DRIVER, SENSORS

if TYPE_CHECKING:
    from launch import LaunchContext

# argument, role of a camera preset, name inside the node (which is also the default), description
TOPICS = (
    ("color_info", "camera_info", "camera/camera_info", "camera info of the colour image"),
    *(
        (f"{sensor.name}_info", f"{sensor.name}_camera_info", sensor.camera_info,
         f"camera info of the {sensor.title} camera (only with register_{sensor.name})")
        for sensor in SENSORS.values() if sensor.name != DRIVER
    ),
    *(
        (sensor.name, sensor.name, sensor.topic, f"{sensor.title} image" + (
            ", rectified or with rectify: true" if sensor.name == DRIVER else
            f", registered to the {SENSORS[DRIVER].title} camera or with register_{sensor.name}: true"))
        for sensor in SENSORS.values()
    ),
    *(
        ("disparity", "disparity", sensor.disparity, f"disparity image (only with {sensor.name}_source: disparity)")
        for sensor in SENSORS.values() if sensor.disparity
    ),
)
# What most drivers, and the demo, call the optical frame of the colour camera.
COLOR_FRAME = "camera_color_optical_frame"
# Arguments that win over the parameter file where they are given, and their types.
OVERRIDES = {"model": str, "autostart": bool, "use_sim_time": bool}


def nodes(context: LaunchContext) -> list[Node]:
    """The nodes; an argument that was left empty leaves the parameter to the file."""
    # Later ones win: what a parent launch file sets for all nodes, the camera, the parameter file, the arguments.
    given = LaunchConfiguration("params_file").perform(context)
    params_file = Path(given).expanduser()
    if given and not params_file.is_file():
        raise FileNotFoundError(f"params_file: {params_file} is not a file")  # launch would only warn
    camera = LaunchConfiguration("camera").perform(context)
    topics, of_camera = settings_of(camera, LaunchConfiguration("camera_prefix").perform(context))
    fixed_frame = LaunchConfiguration("fixed_frame").perform(context) or (
        load_preset(camera).frame if camera else COLOR_FRAME)
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
                "-f", fixed_frame,
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
            parameters=[of_camera, *([str(params_file)] if given else []), overrides],
            remappings=[
                (default, LaunchConfiguration(name).perform(context) or topics.get(role, default))
                for name, role, default, _ in TOPICS
            ],
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
            "params_file", default_value="",
            description="YAML file with the node's parameters, such as a copy of config/fusion.yaml; empty: defaults",
        ),
        DeclareLaunchArgument(
            "camera", default_value="", choices=["", *preset_names()],
            description="topics and parameters as this camera's driver has them (config/cameras); arguments and "
            "params_file win over it",
        ),
        DeclareLaunchArgument(
            "camera_prefix", default_value="",
            description="namespace and name of that driver, where they are not those of its own launch file",
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
            "fixed_frame", default_value="",
            description="rviz shows the points in this frame: the colour camera's, or any that tf connects with it; "
            f"empty: as the camera's driver calls it, or {COLOR_FRAME}",
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
            DeclareLaunchArgument(
                name, default_value="", description=f"topic of the {text}; empty: as the camera's driver calls it, or "
                f"{default}",
            )
            for name, _, default, text in TOPICS
        ),
        # The profile is of no use to another middleware. Fast DDS 2 reads the first variable, Fast DDS 3 the second.
        SetEnvironmentVariable("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp", condition=with_profile),
        SetEnvironmentVariable("FASTRTPS_DEFAULT_PROFILES_FILE", profile, condition=with_profile),
        SetEnvironmentVariable("FASTDDS_DEFAULT_PROFILES_FILE", profile, condition=with_profile),
        OpaqueFunction(function=nodes),
    ])
