# SPDX-License-Identifier: Apache-2.0
"""What was found, for a tired person: what is wrong first, then what was seen, then what to paste."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ssma_ros.doctor.finding import SEVERITIES, Finding, by_severity
from ssma_ros.doctor.timing import rate_hz
from ssma_ros.messages.assemble import DEFAULT_TOPICS
from ssma_ros.sensors import DRIVER, SENSORS
from ssma_ros.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssma_ros.doctor.installation import Installation
    from ssma_ros.doctor.model import ModelSeen
    from ssma_ros.doctor.scene import InputSeen, Scene

_WIDTH = 110
_MARKS = {"error": "ERROR", "warning": "warning", "note": "note"}
_INDENT = 23
#: The launch file's argument for each topic before remapping.
LAUNCH_ARGUMENTS: Mapping[str, str] = {
    **{sensor.topic: sensor.name for sensor in SENSORS.values()},
    **{sensor.disparity: "disparity" for sensor in SENSORS.values() if sensor.disparity},
    DEFAULT_TOPICS["camera_info"]: "color_info",
    **{sensor.camera_info: f"{sensor.name}_info" for sensor in SENSORS.values() if sensor.name != DRIVER},
}


@dataclass
class Report:
    """Everything that one run of the doctor has seen and found.

    Attributes:
        findings: in any order.
        installation, model, scene: what was looked at; None where it was left out.
        where: the recording's name, or which graph.
        seconds: for how long it was watched.
    """

    findings: list[Finding] = field(default_factory=list)
    installation: Installation | None = None
    model: ModelSeen | None = None
    scene: Scene | None = None
    where: str = ""
    seconds: float = 0.0

    @property
    def status(self) -> int:
        """Exit status: 1 with an error among the findings, else 0."""
        return int(any(found.severity == "error" for found in self.findings))

    def parameters(self) -> dict[str, Any]:
        """Those of all findings; the worst finding's value counts."""
        merged: dict[str, Any] = {}
        for found in by_severity(self.findings):
            for name, value in found.parameters.items():
                merged.setdefault(name, value)
        return merged

    def remaps(self) -> dict[str, str]:
        """Those of all findings."""
        return {name: to for found in self.findings for name, to in found.remaps.items()}

    def text(self) -> str:
        """The report."""
        found = by_severity(self.findings)
        counts = [f"{n} {severity}{'s' * (n > 1)}" for severity in SEVERITIES
                  if (n := sum(f.severity == severity for f in found))]
        lines = [f"ssma doctor {__version__}: {', '.join(counts) or 'nothing is wrong'}", ""]
        for finding in found:
            lines += [*_finding_lines(finding), ""]
        lines += _seen_lines(self)
        paste = _paste_lines(self.parameters(), self.remaps())
        return "\n".join([*lines, *([""] if paste else []), *paste])

    def document(self) -> dict[str, Any]:
        """The same, JSON-ready."""
        return {
            "format": "ssma-doctor",
            "version": 1,
            "ssma_ros": __version__,
            "status": self.status,
            "findings": [asdict(found) for found in by_severity(self.findings)],
            "parameters": self.parameters(),
            "remaps": self.remaps(),
            "installation": None if self.installation is None else asdict(self.installation),
            "model": None if self.model is None else _model_document(self.model),
            "where": self.where,
            "seconds": self.seconds,
            "inputs": [] if self.scene is None else [_input_document(seen) for seen in self.scene.inputs.values()],
            "topics": [] if self.scene is None else [asdict(topic) for topic in self.scene.topics],
            "nodes": [] if self.scene is None else list(self.scene.nodes),
        }


def _finding_lines(found: Finding) -> list[str]:
    head = f"{_MARKS[found.severity]:<8} {found.about:<13} "
    seen = textwrap.wrap(f"{head:<{_INDENT}}{found.seen}", _WIDTH, subsequent_indent=" " * _INDENT,
                         break_on_hyphens=False, break_long_words=False)
    extra = [*_yaml_lines(found.parameters), *(f"{name}:={to}" for name, to in found.remaps.items()), *found.shell]
    words = f"-> {found.todo}"
    if len(extra) == 1 and len(words) + len(extra[0]) + 2 <= _WIDTH - _INDENT:
        words, extra = f"{words}: {extra[0]}", []
    todo = textwrap.wrap(words, _WIDTH - _INDENT, subsequent_indent="   ", break_on_hyphens=False,
                         break_long_words=False)
    return [*seen, *(" " * _INDENT + line for line in todo), *(" " * (_INDENT + 3) + line for line in extra)]


def _yaml_lines(parameters: Mapping[str, Any]) -> list[str]:
    return [f"{name}: {_yaml(value)}" for name, value in parameters.items()]


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_yaml(item) for item in value)}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _paste_lines(parameters: Mapping[str, Any], remaps: Mapping[str, str]) -> list[str]:
    lines = []
    if parameters:
        lines += ["into the node's parameter file:", "", "/**:", "  ros__parameters:",
                  *(f"    {line}" for line in _yaml_lines(parameters))]
    if remaps:
        lines += [""] if lines else []
        if all(name in LAUNCH_ARGUMENTS for name in remaps):
            arguments = " ".join(f"{LAUNCH_ARGUMENTS[name]}:={to}" for name, to in remaps.items())
            lines += ["onto the launch line:", "", f"ros2 launch ssma_ros fusion.launch.py {arguments}"]
        else:
            lines += ["as arguments of ssma node or ros2 run … --ros-args:", "",
                      " ".join(f"-r {name}:={to}" for name, to in remaps.items())]
    return lines


def _seen_lines(report: Report) -> list[str]:
    lines = []
    if report.scene is not None:
        lines.append(f"inputs, {report.where}, {report.seconds:g} s:")
        lines += _table([_input_cells(seen) for seen in report.scene.inputs.values()])
    if report.model is not None and report.model.contract is not None:
        lines += ["network:", *_model_lines(report.model)]
    if report.installation is not None:
        lines += ["machine:", *_installation_lines(report.installation)]
    return lines


def _input_cells(seen: InputSeen) -> tuple[str, ...]:
    size = f"{seen.size[0]}x{seen.size[1]}" if all(seen.size) else ""
    rate = f"{rate_hz(seen.arrived_ns):.1f} Hz" if seen.count > 1 else f"{seen.count} message{'s' * (seen.count != 1)}"
    qos = ", ".join(sorted({f"{o.reliability} {o.durability}" for o in seen.offers if not o.node.startswith("(")}))
    topic = seen.topic or f"{seen.wanted} (nobody)"
    return seen.sensor, topic, " ".join(filter(None, (seen.encoding, size))), rate if seen.topic else "", \
        seen.frame_id, qos


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(len(rows[0]) if rows else 0)]
    return ["  " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _facts(rows: list[tuple[str, str]]) -> list[str]:
    """A name and what is to be said of it, a line or more each."""
    width = max(len(name) for name, _ in rows) + 4
    return [line for name, words in rows for line in textwrap.wrap(
        f"  {name}".ljust(width) + words, _WIDTH, subsequent_indent=" " * width, break_on_hyphens=False,
        break_long_words=False,
    )]  # fmt: skip


def _model_lines(seen: ModelSeen) -> list[str]:
    assert seen.contract is not None
    told = {**seen.identity, "version": seen.identity.get("version", "").partition("-")[0]}
    identity = " ".join(told[k] for k in ("backend", "version", "precision") if told.get(k))
    device = f" on {told['device']}" if told.get("device") else ""
    streams = ", ".join(f"{s.name} ({s.encoding} of {' and '.join(s.sensors)})" for s in seen.contract.streams)
    stages = ", ".join(f"{name} {ms:.1f}" for name, ms in seen.stages_ms.items() if name != "total" and ms >= 0.05)
    shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in seen.shares.items())
    return _facts([
        ("file", seen.file),
        ("runs on", f"{identity}{device}; preprocessing on the {seen.preprocessing.upper()}"),
        ("takes", f"{seen.contract.width}x{seen.contract.height}: {streams}"),
        ("start", f"loaded in {seen.load_s:.1f} s, warmed up in {seen.warm_up_s:.1f} s"),
        ("a frame", f"{seen.stages_ms['total']:.1f} ms of {seen.frame_of}: {stages}"),
        *(("blank", f"{stream}: {reason}") for stream, reason in seen.missing.items()),
        ("says", shares),
    ])


def _installation_lines(seen: Installation) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in seen.packages.items() if version)
    without = ", ".join(name for name, version in seen.packages.items() if not version)
    shared = "" if seen.middleware.segment is None else f"{seen.middleware.segment / 1e6:.1f} MB of shared memory"
    profile = f"profile {seen.middleware.profile}" if seen.middleware.profile else "no profile"
    kernels = f"{seen.kernels_kept} compiled in {seen.kernels}" if seen.kernels else "not kept"
    return _facts([
        ("Python", f"{seen.python} on {seen.machine}"),
        ("packages", versions),
        *([("without", without)] if without else []),
        ("ROS 2", seen.ros or "ROS_DISTRO is not set"),
        ("middleware", ", ".join(filter(None, (seen.middleware.rmw, profile, shared)))),
        ("GPU", seen.gpu.removeprefix("GPU: ")),
        ("kernels", kernels),
    ])


def _model_document(seen: ModelSeen) -> dict[str, Any]:
    plain = {name: value for name, value in vars(seen).items() if name not in ("parameters", "contract")}
    contract = None if seen.contract is None else seen.contract.digest()
    return {**plain, "identity": dict(seen.identity), "contract": contract}


def _input_document(seen: InputSeen) -> dict[str, Any]:
    plain = {name: value for name, value in vars(seen).items()
             if name not in ("last", "arrived_ns", "stamps_ns", "refusals", "offers", "settings")}
    return {**plain, "settings": dict(seen.settings), "offers": [asdict(offer) for offer in seen.offers],
            "messages": seen.count, "rate_hz": rate_hz(seen.arrived_ns), "refusals": [str(r) for r in seen.refusals]}
