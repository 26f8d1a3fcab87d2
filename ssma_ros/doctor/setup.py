# SPDX-License-Identifier: Apache-2.0
"""The node's parameters, names and network, as the node would be given them, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssma_ros.contract import contract_path_for, load_contract
from ssma_ros.doctor.finding import Finding
from ssma_ros.doctor.names import Names
from ssma_ros.documents import load_yaml, parse_yaml
from ssma_ros.errors import SsmaError
from ssma_ros.inference import find_model
from ssma_ros.inference.loading import ModelOptions
from ssma_ros.ros.input_topics import input_topics, needed_sensors
from ssma_ros.ros.parameters import FusionParameters, defaults, unknown_names, why_invalid
from ssma_ros.ros.params_files import files_for_others, parameters_for
from ssma_ros.sensors import DRIVER, SENSORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ssma_ros.contract import Contract
    from ssma_ros.ros.input_topics import InputTopic

PREFIX = "qos_overrides."


@dataclass(frozen=True)
class Setup:
    """What the node would be started with.

    Attributes:
        parameters: valid ones; what is wrong is left at its default and in ``findings``.
        names: of the node and its topics.
        overrides: ``qos_overrides…`` and ``use_sim_time``, which are rclpy's.
        contract: of the network, None where it cannot be read (the model's part says why).
        findings: what is wrong with all that.
    """

    parameters: FusionParameters = field(default_factory=FusionParameters)
    names: Names = field(default_factory=Names)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    contract: Contract | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def sensors(self) -> tuple[str, ...]:
        """Image inputs that the node subscribes to; without a contract all that are published by name."""
        if self.contract is not None:
            return needed_sensors(self.contract, self.parameters)
        return tuple(s for s in SENSORS if getattr(self.parameters, f"{s}_source", "image") != "none")

    @property
    def topics(self) -> tuple[InputTopic, ...]:
        """What the node subscribes to."""
        return input_topics(self.parameters, self.sensors)

    @property
    def needs_camera(self) -> bool:
        """Whether a stream is blank without intrinsics."""
        from ssma_ros.encodings.table import ENCODINGS

        streams = () if self.contract is None else self.contract.streams
        return any(ENCODINGS[stream.encoding].needs_camera for stream in streams)

    def required(self, sensor: str) -> bool:
        """Whether nothing comes out without it."""
        return sensor == DRIVER and self.parameters.driver == "color"

    def qos(self, topic: InputTopic) -> tuple[str, str]:
        """Reliability and durability that the node asks for on a topic, overrides applied."""
        start = f"{PREFIX}{self.names.resolved(topic.name)}{topic.suffix}.subscription."
        reliability = self.overrides.get(f"{start}reliability", getattr(self.parameters, topic.reliability))
        return str(reliability), str(self.overrides.get(f"{start}durability", "volatile"))


def read_setup(
    params_files: Sequence[str], assignments: Sequence[str], names: Names, model: str | None = None,
    camera: Mapping[str, Any] | None = None,
) -> Setup:
    """Read what the node would be given, the last one of a name counts.

    Args:
        params_files: ROS parameter files, read as rcl does: by the node's name.
        assignments: ``NAME:=VALUE``.
        names: of the node.
        model: wins over the parameter of that name, or None.
        camera: parameters of a camera's preset, over which all others win.

    Raises:
        SsmaError: a file is missing or no YAML, or an assignment has no ``:=``.
    """
    values: dict[str, Any] = dict(camera or {})
    findings: list[Finding] = []
    for file in params_files:
        content = load_yaml(Path(file), "parameter file")
        values |= parameters_for(content, names.full)
        findings += [_of_others(sentence, names) for sentence in files_for_others(["--params-file", file], names.full)]
    for assignment in assignments:
        name, separator, text = assignment.partition(":=")
        if not separator:
            raise SsmaError(f"argument '{assignment}', expected NAME:=VALUE")
        values[name] = parse_yaml(text, f"parameter {name}")
    if model is not None:
        values["model"] = model
    return make_setup(values, names, findings)


def make_setup(values: Mapping[str, Any], names: Names, findings: Iterable[Finding] = ()) -> Setup:
    """A setup of raw parameter values; what is wrong with them is found."""
    found = [*findings, *(_unknown(sentence) for sentence in unknown_names(values))]
    good = {}
    for name, value in values.items():
        if name in defaults():
            problem = None if value is None else why_invalid(name, value)
            if problem is None:
                good[name] = value
            else:
                found.append(Finding("error", name, f"{problem}; the node does not start with it", "correct its value",
                                     {name: defaults()[name]}))
    try:
        parameters = FusionParameters.from_values(good)
    except SsmaError as error:  # each may be, together they may not
        found.append(Finding("error", "parameters", f"{error}; the node does not start with it", "correct it"))
        parameters = FusionParameters(model=good.get("model", ModelOptions().model))
    overrides = {name: value for name, value in values.items() if name.startswith(PREFIX) or name == "use_sim_time"}
    setup = Setup(parameters, names, overrides, _contract(parameters))
    return Setup(parameters, names, overrides, setup.contract, (*found, *_unused_overrides(setup)))


def _of_others(sentence: str, names: Names) -> Finding:
    return Finding("error", "parameter file", sentence.removesuffix(f", expected the key {names.full} or /**"),
                   f"write {names.full} or /** as the key over ros__parameters")


def _unknown(sentence: str) -> Finding:
    seen, _, expected = sentence.partition(", expected ")
    return Finding("warning", "parameters", seen, f"write {expected}")


def _unused_overrides(setup: Setup) -> list[Finding]:
    topics = [f"{setup.names.resolved(topic.name)}{topic.suffix}" for topic in setup.topics]
    return [
        Finding("warning", "parameters", f"parameter '{name}' fits no topic that the node subscribes to and is ignored",
                f"name one of {', '.join(topics)}")
        for name in setup.overrides
        if ".subscription." in name and not any(name.startswith(f"{PREFIX}{topic}.subscription.") for topic in topics)
    ]


def _contract(parameters: FusionParameters) -> Contract | None:
    """Of the network; where it cannot be read (the model's part says so) of the shipped one."""
    for model, backend, precision in (
        (parameters.model, parameters.backend, parameters.precision), (ModelOptions().model, "auto", "auto"),
    ):
        try:
            return load_contract(contract_path_for(find_model(model, backend=backend, precision=precision)))
        except SsmaError:
            continue
    return None
