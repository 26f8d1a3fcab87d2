# SPDX-License-Identifier: Apache-2.0
"""Declares :class:`~ssma_ros.ros.parameters.FusionParameters` on a node and keeps it current."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException

from ssma_ros.errors import SsmaError
from ssma_ros.ros.parameters import (
    FusionParameters,
    constraints,
    defaults,
    unknown_names,
    why_invalid,
    wrong_type,
)
from ssma_ros.ros.qos import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.node import Node
    from rclpy.parameter import Parameter

    from ssma_ros.options import Option


class ParameterSet:
    """The node's parameters as one frozen object.

    Args:
        node: on which they are declared.
        configured: whether the node is configured now, when only live parameters may change.
        check: called before a change with what the parameters would be; raises SsmaError to refuse it.
        changed: called after a change with the new parameters.

    Raises:
        SsmaError: an override has the wrong type or is out of range.
    """

    def __init__(
        self,
        node: Node,
        configured: Callable[[], bool],
        check: Callable[[FusionParameters], None],
        changed: Callable[[FusionParameters], None],
    ) -> None:
        self._node = node
        self._configured = configured
        self._check_values = check
        self._changed = changed
        # What a file or the command line sets; rclpy has no public way to list it.
        overrides = getattr(node, "_parameter_overrides", {})
        values: dict[str, Any] = {}
        for name, default in defaults().items():
            start = list(default) if isinstance(default, tuple) else default
            try:
                values[name] = node.declare_parameter(name, start, descriptor(constraints()[name], default)).value
            except (InvalidParameterTypeException, InvalidParameterValueException) as error:
                if name not in overrides:
                    raise SsmaError(f"parameter {name}: {error}") from None
                got = overrides[name].value
                raise SsmaError(why_invalid(name, got) or wrong_type(name, got)) from None
        self.current = FusionParameters.from_values(values)
        for sentence in unknown_names(overrides):  # rclpy ignores overrides of undeclared names in silence
            node.get_logger().warning(sentence)
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._adopt)

    def _check(self, parameters: list[Parameter]) -> SetParametersResult:
        own = self._own(parameters)
        for parameter in parameters:
            reason = self._why_fixed(parameter)
            if reason:
                return SetParametersResult(successful=False, reason=reason)
        try:
            self._check_values(self.current.replaced(own))
        except SsmaError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _why_fixed(self, parameter: Parameter) -> str:
        """Why a parameter cannot change now, or nothing; what has that value already does not change."""
        name = parameter.name
        if name.startswith(PREFIX):
            same = self._node.get_parameter_or(name, parameter).value == parameter.value
            return "" if same else f"parameter {name} is read when the topic is made, expected a restart with it"
        if name not in constraints() or constraints()[name].live or not self._configured():
            return ""
        before, value = getattr(self.current, name), parameter.value
        same = before == (tuple(value or ()) if isinstance(before, tuple) else value)
        return "" if same else f"parameter {name} is read at configure, expected the node to be cleaned up first"

    def _adopt(self, parameters: list[Parameter]) -> None:
        own = self._own(parameters)
        if own:
            self.current = self.current.replaced(own)
            self._changed(self.current)

    @staticmethod
    def _own(parameters: list[Parameter]) -> dict[str, Any]:
        known = constraints()
        return {parameter.name: parameter.value for parameter in parameters if parameter.name in known}


def unreadable_arguments(error: RuntimeError) -> str:
    """What is wrong with the ROS arguments, from the words of rcl's error less the places in its sources."""
    words = re.sub(r", at \S+:\d+", "", str(error)).removeprefix("failed to initialize rcl: ")
    of_file = re.search(r"params file: '(?:--params-file )?(.+?)'\. Error: (.*)", words)
    if "logging" in words and of_file is None:
        return f"the folder of the log cannot be made ({words}), expected HOME or ROS_LOG_DIR to name one that can"
    if of_file is None:
        return f"the ROS arguments cannot be read ({words})"
    name, problem = of_file.groups()
    return f"params file {name}: {problem}, expected a YAML file as config/fusion.yaml is"


def descriptor(constraint: Option, default: Any) -> ParameterDescriptor:
    """What ``ros2 param describe`` shows."""
    described = ParameterDescriptor(description=constraint.text)
    if constraint.choices is not None:
        described.additional_constraints = f"one of {', '.join(constraint.choices)}"
    if not constraint.live:
        described.additional_constraints += "; " if described.additional_constraints else ""
        described.additional_constraints += "read at configure"
    if constraint.low is not None and constraint.high is not None:
        if isinstance(default, int):
            whole = IntegerRange(from_value=int(constraint.low), to_value=int(constraint.high), step=1)
            described.integer_range = [whole]
        else:
            real = FloatingPointRange(from_value=float(constraint.low), to_value=float(constraint.high), step=0.0)
            described.floating_point_range = [real]
    return described
