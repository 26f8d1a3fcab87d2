# SPDX-License-Identifier: Apache-2.0
"""rosbag2 recordings in and out: MCAP and sqlite3, without a ROS installation (``rosbags`` library)."""
