# SPDX-License-Identifier: Apache-2.0
"""QoS overrides: every ``qos_overrides.<topic>.<subscription|publisher>.<policy>`` works or is refused by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rclpy.qos import QoSPolicyKind
from rclpy.qos_overriding_options import QoSOverridingOptions

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from rclpy.node import Node

    E = TypeVar("E")

PREFIX = "qos_overrides."


def with_overrides(node: Node, topic: str, entity: str, create: Callable[[QoSOverridingOptions], E]) -> E:
    """Create a subscription or publisher with the QoS that the node's start asks for.

    Args:
        node: that owns it.
        topic: name as it is given to ``create``; the override names what it is resolved and remapped to.
        entity: ``subscription`` or ``publisher``.
        create: makes it with these options; the profile it has is changed by rclpy.

    Raises:
        SsmaError: an override has a value that its policy cannot have.
    """
    start = f"{PREFIX}{node.resolve_topic_name(topic)}.{entity}."
    given = {name: value for name, value in _overrides(node).items() if name.startswith(start)}
    allowed = _policies(entity)
    known = {name: allowed[name.removeprefix(start)] for name in given if name.removeprefix(start) in allowed}
    for name in known:
        if not node.has_parameter(name):  # rclpy would make it read-only, and a dump of it could not be loaded again
            node.declare_parameter(name, given[name].value)
    try:
        return create(QoSOverridingOptions(list(known.values())))
    except (RuntimeError, AttributeError, TypeError, ValueError) as error:
        if not known:
            raise
        values = ", ".join(f"{name} is {given[name].value!r}" for name in known)
        raise SsmaError(f"parameter {values}, expected a value of that QoS policy ({error})") from None


def unused_overrides(node: Node) -> list[str]:
    """One sentence for each override that nothing made so far has taken."""
    unused = (name for name in _overrides(node) if name.startswith(PREFIX) and not node.has_parameter(name))
    return [
        f"parameter '{name}' fits no topic of this node and is ignored, expected qos_overrides.<resolved topic>."
        f"<subscription or publisher>.<{', '.join(_policies('subscription'))}>"
        for name in unused
    ]


def _policies(entity: str) -> dict[str, QoSPolicyKind]:
    without = {"INVALID"} | ({"LIFESPAN"} if entity == "subscription" else set())
    return {name.lower(): kind for name, kind in sorted(QoSPolicyKind.__members__.items()) if name not in without}


def _overrides(node: Node) -> dict[str, Any]:
    overrides: dict[str, Any] = getattr(node, "_parameter_overrides", {})  # rclpy has no public way to list them
    return overrides
