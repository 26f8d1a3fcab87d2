# SPDX-License-Identifier: Apache-2.0
"""A bond with nav2's lifecycle manager: it gives a node up that sends none, unless its ``bond_timeout`` is 0."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rclpy.node import Node

#: As nav2's own servers have it, seconds.
_TIMEOUT_S, _PERIOD_S = 4.0, 0.5


class ManagerBond:
    """Signs of life while the node is active, where the package bondpy is installed.

    Args:
        node: whose name the manager knows.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._bond: Any = None

    def start(self) -> None:
        """Begin to send them, or say what to set where that is not possible."""
        try:
            bondpy = importlib.import_module("bondpy.bondpy")
        except ImportError:
            self._node.get_logger().info(
                "no bond, bondpy is not installed: nav2's lifecycle manager takes this node with bond_timeout: 0.0"
            )
            return
        self._bond = bondpy.Bond("bond", self._node.get_name(), self._node)
        self._bond.heartbeat_timeout, self._bond.heartbeat_period = _TIMEOUT_S, _PERIOD_S
        self._bond.start()

    def stop(self) -> None:
        """End it; the manager is told so. Idempotent."""
        bond, self._bond = self._bond, None
        if bond is not None:
            bond.shutdown()
