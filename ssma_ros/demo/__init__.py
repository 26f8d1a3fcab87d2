# SPDX-License-Identifier: Apache-2.0
"""The live demo: a recording played into a ROS 2 graph, segmented by the real node, and what it leaves behind."""
