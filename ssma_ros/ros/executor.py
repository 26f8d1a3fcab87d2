"""The executor that spins the node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rclpy.executors import SingleThreadedExecutor

if TYPE_CHECKING:
    from rclpy.executors import Executor
    from rclpy.node import Node


def make_executor(node: Node) -> Executor:
    """An executor with ``node`` in it; one thread is enough, callbacks only pass messages on."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    return executor
