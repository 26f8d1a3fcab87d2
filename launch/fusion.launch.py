"""Starts the fusion node, and rviz on request.

ros2 launch ssma_ros fusion.launch.py --show-args lists the arguments.
"""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

# argument, default, description
TOPICS = (
    ("color", "camera/image_rect", "rectified colour image"),
    ("color_info", "camera/camera_info", "camera info of the rectified colour image"),
    ("depth", "depth/image_rect", "depth image registered to the colour camera"),
    ("depth_info", "depth/camera_info", "camera info of the depth camera (only with register_depth)"),
    ("disparity", "depth/disparity", "disparity image (only with depth_source: disparity)"),
    ("nir", "nir/image_rect", "near-infrared image registered to the colour camera"),
)
# Names inside the node, in the order of TOPICS.
INSIDE = (
    "camera/image_rect", "camera/camera_info", "depth/image_rect", "depth/camera_info", "depth/disparity",
    "nir/image_rect",
)


def generate_launch_description() -> LaunchDescription:
    share = FindPackageShare("ssma_ros")
    profile = PathJoinSubstitution([share, "config", "fastdds.xml"])
    use_sim_time = {"use_sim_time": LaunchConfiguration("use_sim_time")}
    with_profile = IfCondition(LaunchConfiguration("fastdds"))
    return LaunchDescription([
        DeclareLaunchArgument("namespace", default_value="", description="namespace of the node and its topics"),
        DeclareLaunchArgument(
            "model", default_value="forest_rgb_hha_evi",
            description="shipped model, model folder, or .onnx, .engine or .safetensors file",
        ),
        DeclareLaunchArgument(
            "params_file", default_value=PathJoinSubstitution([share, "config", "fusion.yaml"]),
            description="YAML file with the node's parameters; model, autostart and use_sim_time are arguments here",
        ),
        DeclareLaunchArgument(
            "autostart", default_value="true", choices=["true", "false"],
            description="configure and activate at once; false where a lifecycle manager does it",
        ),
        DeclareLaunchArgument(
            "use_sim_time", default_value="false", choices=["true", "false"], description="take the time from /clock"
        ),
        DeclareLaunchArgument(
            "rviz", default_value="false", choices=["true", "false"], description="start rviz with its configuration"
        ),
        DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
        DeclareLaunchArgument(
            "fastdds", default_value="false", choices=["true", "false"],
            description="use config/fastdds.xml (64 MB shared memory); the other processes need it too",
        ),
        *(
            DeclareLaunchArgument(name, default_value=default, description=f"topic of the {text}")
            for name, default, text in TOPICS
        ),
        # Fast DDS 2 reads the first, Fast DDS 3 the second.
        SetEnvironmentVariable("FASTRTPS_DEFAULT_PROFILES_FILE", profile, condition=with_profile),
        SetEnvironmentVariable("FASTDDS_DEFAULT_PROFILES_FILE", profile, condition=with_profile),
        Node(
            package="ssma_ros",
            executable="fusion_node",
            name="ssma_fusion",
            namespace=LaunchConfiguration("namespace"),
            output="screen",
            parameters=[
                LaunchConfiguration("params_file"),
                {"model": LaunchConfiguration("model"), "autostart": LaunchConfiguration("autostart")},
                use_sim_time,
            ],
            remappings=[
                (inside, LaunchConfiguration(name)) for inside, (name, *_) in zip(INSIDE, TOPICS, strict=True)
            ],
            arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
        ),
        Node(
            package="rviz2",
            executable="rviz2",
            name="rviz",
            namespace=LaunchConfiguration("namespace"),
            arguments=["-d", PathJoinSubstitution([share, "rviz", "fusion.rviz"])],
            parameters=[use_sim_time],
            condition=IfCondition(LaunchConfiguration("rviz")),
        ),
    ])
