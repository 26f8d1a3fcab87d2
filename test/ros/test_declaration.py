# SPDX-License-Identifier: Apache-2.0
"""Parameters on a node: live ones take effect at once, others are refused with the reason, files in our words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from ros.in_process import LoggedNode, node_in_process
from ros.stub_network import StubBackend

from ssma_ros.errors import SsmaError
from ssma_ros.messages.assemble import AssemblyOptions
from ssma_ros.options import part
from ssma_ros.ros.declaration import unreadable_arguments
from ssma_ros.ros.fusion_node import FusionNode
from ssma_ros.ros.parameters import FusionParameters, constraints, defaults
from ssma_ros.sensors import readings

SUCCESS = TransitionCallbackReturn.SUCCESS
LIVE = sorted(name for name, constraint in constraints().items() if constraint.live)
FIXED = sorted(name for name, constraint in constraints().items() if not constraint.live)


def another(name: str) -> Any:
    """A value that the parameter may have and has not by default."""
    constraint, default = constraints()[name], defaults()[name]
    if isinstance(default, bool):
        return not default
    if constraint.choices is not None:
        found = next(choice for choice in constraint.choices if choice != default)
        return [found] if isinstance(default, tuple) else found
    if constraint.low is not None and constraint.high is not None:
        return type(default)(constraint.high if constraint.high != default else constraint.low)
    if name.endswith("_extrinsics"):
        return [0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    if constraint.element is float:
        return [0.5, 7.0]
    return ["grass"] if isinstance(default, tuple) else "something else"


def wrong(name: str) -> list[Any]:
    """Values of the right type that it may not have."""
    constraint, default = constraints()[name], defaults()[name]
    if constraint.choices is not None:
        return [["magic"] if isinstance(default, tuple) else "magic"]
    if constraint.low is not None and constraint.high is not None:
        return [type(default)(constraint.low - 1), type(default)(constraint.high + 1)]
    if constraint.element is float:
        return [[float("nan")]]
    return [["lava"]] if isinstance(default, tuple) else []


def change(node: LoggedNode, name: str, value: Any) -> tuple[bool, str]:
    (result,) = node.set_parameters([Parameter(name, value=value)])
    return result.successful, result.reason


def derived(node: LoggedNode) -> tuple[Any, ...]:
    """Everything that the session computes frames with and that follows from parameters."""
    session = node._session
    assert session is not None
    catalog = session.publishers._catalog
    return (
        # Made anew for every frame.
        part(AssemblyOptions, session.parameters, readings=readings(vars(session.parameters))),
        session.segmenter.options,
        session.worker._synchronizer.options,
        catalog.options,
        {output.topic for output in catalog.outputs},
    )


@pytest.fixture
def node(domain: int) -> Any:
    with node_in_process(domain, lambda _: StubBackend()) as node:
        yield node


def test_every_live_parameter_takes_effect_while_the_node_is_active(node: LoggedNode) -> None:
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    assert LIVE
    for name in LIVE:
        before = derived(node)
        assert change(node, name, another(name)) == (True, ""), name
        value = another(name)
        assert getattr(node.parameters, name) == (tuple(value) if isinstance(value, list) else value)
        assert derived(node) != before, f"{name} is live and changes nothing"


def test_every_other_parameter_is_refused_with_the_reason_until_cleanup(node: LoggedNode) -> None:
    assert node.trigger_configure() == SUCCESS
    for state in ("inactive", "active"):
        if state == "active":
            assert node.trigger_activate() == SUCCESS
        for name in FIXED:
            reason = f"parameter {name} is read at configure, expected the node to be cleaned up first"
            assert change(node, name, another(name)) == (False, reason)
            assert getattr(node.parameters, name) == defaults()[name]
    assert node.trigger_deactivate() == SUCCESS
    assert node.trigger_cleanup() == SUCCESS
    for name in FIXED:
        assert change(node, name, another(name)) == (True, ""), name


def test_a_dump_of_the_node_can_be_loaded_into_it_at_any_time(node: LoggedNode) -> None:
    """``ros2 param load`` sets what ``ros2 param dump`` has, one by one; rclpy's own read-only one is not ours."""
    for transition in (lambda: SUCCESS, node.trigger_configure, node.trigger_activate):
        assert transition() == SUCCESS
        for name in constraints():
            assert change(node, name, node.get_parameter(name).value) == (True, ""), name


@pytest.mark.parametrize("configured", [False, True])
def test_wrong_values_are_refused_by_name_at_any_time(node: LoggedNode, configured: bool) -> None:
    if configured:
        assert node.trigger_configure() == SUCCESS
    for name in LIVE if configured else constraints():
        for value in wrong(name):
            if value == ["lava"] and not configured:
                continue  # only the network knows its classes
            successful, reason = change(node, name, value)
            assert not successful, name
            assert name in reason
    assert node.parameters == FusionParameters()


def test_several_are_changed_together_or_not_at_all(node: LoggedNode) -> None:
    changes = [Parameter("sync_slop", value=0.2), Parameter("jpeg_quality", value=1000)]
    assert not node.set_parameters_atomically(changes).successful
    assert node.parameters.sync_slop == 0.05
    changes[1] = Parameter("jpeg_quality", value=70)
    assert node.set_parameters_atomically(changes).successful
    assert (node.parameters.sync_slop, node.parameters.jpeg_quality) == (0.2, 70)


def test_topics_of_classes_come_and_go_with_their_parameter(node: LoggedNode) -> None:
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS

    def offered() -> set[str]:
        topics = {name for name, _ in node.get_publisher_names_and_types_by_node("ssma_fusion", "/")}
        return {topic.rpartition("/")[2] for topic in topics if "/confidence/" in topic}

    assert offered() == {"trail", "grass", "vegetation", "sky", "obstacle"}
    assert change(node, "class_confidence_topics", ["grass", "sky"]) == (True, "")
    assert offered() == {"grass", "sky"}
    assert change(node, "class_confidence_topics", [""]) == (True, "")
    assert offered() == set()
    assert change(node, "class_confidence_topics", ["*"]) == (True, "")
    assert len(offered()) == 5


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("sync_slop:=1", r"parameter sync_slop is 1, expected a finite real number \(with a decimal point\)"),
        ("sync_slop:=99.0", "parameter sync_slop is 99.0, expected 0 to 10"),
        ("threads:=1.5", "parameter threads is 1.5, expected a whole number"),
        ("jpeg_quality:=0", "parameter jpeg_quality is 0, expected 1 to 100"),
        ("autostart:=perhaps", "parameter autostart is 'perhaps', expected true or false"),
        ("model:=7", "parameter model is 7, expected a string"),
        ("points_semantic_fields:=[1,2]", r"parameter points_semantic_fields is \[1, 2\], expected a list of strings"),
        ("backend:=magic", "parameter backend is 'magic', expected one of auto"),
    ],
)
def test_wrong_start_values_are_refused_in_our_words(domain: int, override: str, sentence: str) -> None:
    rclpy.init(args=["--ros-args", "-p", override], domain_id=domain)
    try:
        with pytest.raises(SsmaError, match=sentence):
            FusionNode(lambda _: StubBackend())
    finally:
        rclpy.try_shutdown()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "Error opening YAML file"),
        ("model: x\n", "Cannot have a value before ros__parameters at line 1"),
        ("/**:\n  ros__parameters:\n    model:\n", "No value at line 3"),
        ('/**:\n  ros__parameters:\n    a: [1, "b"]\n', "Sequence should be of same type"),
    ],
)
def test_a_parameter_file_that_cannot_be_read_is_named_with_what_is_wrong(
    tmp_path: Path, domain: int, text: str | None, problem: str
) -> None:
    path = tmp_path / "p.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RuntimeError) as caught:
        rclpy.init(args=["--ros-args", "--params-file", str(path)], domain_id=domain)
    words = unreadable_arguments(caught.value)
    assert words.startswith(f"params file {path}: {problem}")
    assert words.endswith(", expected a YAML file as config/fusion.yaml is")
    assert "/src/" not in words


def test_a_log_that_has_no_folder_is_told_with_what_to_set() -> None:
    """rcl makes it first of all; where HOME is unset or cannot be written, no node starts."""
    error = RuntimeError("failed to initialize logging: Failed to create log directory '/proc/none/.ros/log': 2")
    assert unreadable_arguments(error) == (
        "the folder of the log cannot be made (failed to initialize logging: Failed to create log directory "
        "'/proc/none/.ros/log': 2), expected HOME or ROS_LOG_DIR to name one that can"
    )


def test_other_arguments_that_cannot_be_read() -> None:
    error = RuntimeError("failed to initialize rcl: Couldn't parse remap rule: '-r x'. Error: no, at /a/b.c:12")
    assert unreadable_arguments(error) == (
        "the ROS arguments cannot be read (Couldn't parse remap rule: '-r x'. Error: no)"
    )
