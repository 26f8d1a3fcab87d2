"""Multimodal semantic segmentation for field robots with SSMA fusion networks.

The library (frames, preprocessing, networks, inference, pipeline) knows no ROS; the doors into it are
the node in :mod:`ssma_ros.ros`, recordings in :mod:`ssma_ros.recordings` and the ``ssma`` command line.
"""

__version__ = "0.1.0"
