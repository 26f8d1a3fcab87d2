# SPDX-License-Identifier: Apache-2.0
"""The demo drive in nav2's costmap: recording, fusion node, costmap with the semantic layer, lifecycle manager, rviz.

ros2 launch ssma_ros nav2_example.launch.py

Costs come from examples/nav2/costmap.yaml, which examples/consumer_parameters.py makes of a network's label set. The
costmap rolls with the robot in its own frame, so nothing but the camera's place is needed of tf.
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription, OpaqueFunction
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

#: What has to be there besides this package, and where it comes from.
NEEDED = {
    "nav2_costmap_2d": "apt install ros-$ROS_DISTRO-nav2-costmap-2d",
    "nav2_lifecycle_manager": "apt install ros-$ROS_DISTRO-nav2-lifecycle-manager",
    "semantic_segmentation_layer": "github.com/kiwicampus/semantic_segmentation_layer into the workspace, the branch "
    "of your distribution",
    "vision_msgs": "apt install ros-$ROS_DISTRO-vision-msgs",
    "tf2_ros": "apt install ros-$ROS_DISTRO-tf2-ros",
    "rosbag2_transport": "apt install ros-$ROS_DISTRO-rosbag2",
    "rosbag2_storage_mcap": "apt install ros-$ROS_DISTRO-rosbag2-storage-mcap",
}
#: The colour camera of the demo drive: metres over the ground, and how it looks: forward, level to a degree.
CAMERA_HEIGHT, CAMERA_PITCH = "0.76", "0.02"
CAMERA_FRAME = "camera_color_optical_frame"


def missing() -> list[str]:
    """Packages that are not installed, each with where it comes from."""
    lacking = []
    for package, source in NEEDED.items():
        try:
            get_package_prefix(package)
        except PackageNotFoundError:
            lacking.append(f"{package} ({source})")
    return lacking


def check(_context: object) -> list[object]:
    """Nothing, or the reason why nothing is started."""
    lacking = missing()
    if lacking:
        raise RuntimeError("nav2_example: not installed: " + "; ".join(lacking))
    return []


def static_transform(parent: str, child: str, *numbers: str) -> Node:
    """x y z in metres, yaw pitch roll in radians."""
    names = ("--x", "--y", "--z", "--yaw", "--pitch", "--roll")
    arguments = [word for pair in zip(names, numbers, strict=True) for word in pair]
    return Node(
        package="tf2_ros", executable="static_transform_publisher", name=f"{child}_place",
        arguments=[*arguments, "--frame-id", parent, "--child-frame-id", child],
    )  # fmt: skip


def generate_launch_description() -> LaunchDescription:
    share = FindPackageShare("ssma_ros")
    recording = PathJoinSubstitution([share, "demo", "forest_drive"])
    by_the_clock = {"use_sim_time": True}
    fusion = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).with_name("fusion.launch.py"))),
        launch_arguments={
            "autostart": "false", "use_sim_time": "true", "rviz": "false",
            "params_file": PathJoinSubstitution([share, "examples", "nav2", "fusion.yaml"]),
        }.items(),
    )  # fmt: skip
    return LaunchDescription([
        DeclareLaunchArgument("rviz", default_value="true", choices=["true", "false"], description="show the costmap"),
        DeclareLaunchArgument("rate", default_value="0.5", description="speed of the recording"),
        OpaqueFunction(function=check),
        fusion,
        Node(
            package="nav2_costmap_2d", executable="nav2_costmap_2d", output="screen",  # it names itself costmap/costmap
            parameters=[PathJoinSubstitution([share, "examples", "nav2", "costmap.yaml"]), by_the_clock],
        ),
        Node(
            package="nav2_lifecycle_manager", executable="lifecycle_manager", name="lifecycle_manager_example",
            output="screen",
            # The fusion node first: the layer wants the names of the classes before masks. Compiling may take a minute.
            parameters=[{"node_names": ["ssma_fusion", "costmap/costmap"], "autostart": True, "bond_timeout": 0.0,
                         **by_the_clock}],
        ),
        # Robot to camera: forward, at its height; then optical axes (REP-103).
        static_transform("base_link", "camera_link", "0.0", "0.0", CAMERA_HEIGHT, "0.0", CAMERA_PITCH, "0.0"),
        static_transform("camera_link", CAMERA_FRAME, "0.0", "0.0", "0.0", "-1.5708", "0.0", "-1.5708"),
        ExecuteProcess(
            cmd=["ros2", "bag", "play", recording, "--clock", "50", "--rate", LaunchConfiguration("rate"),
                 "--delay", "20"],
            output="screen",
        ),
        Node(
            package="rviz2", executable="rviz2", name="rviz",
            arguments=["-d", PathJoinSubstitution([share, "rviz", "nav2_example.rviz"])], parameters=[by_the_clock],
            condition=IfCondition(LaunchConfiguration("rviz")),
        ),
    ])
