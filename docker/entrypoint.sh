#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Arguments without a command are arguments of the launch file.
set -e
source /ros2_ws/install/setup.bash
if [ $# -eq 0 ] || [[ "$1" == *":="* ]]; then
  exec ros2 launch ssma_ros fusion.launch.py "$@"
fi
exec "$@"
