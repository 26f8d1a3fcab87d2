# SPDX-License-Identifier: Apache-2.0
"""docs/components.md must not drift from the code."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ros.stub_network import StubBackend, stub_contract

from ssma_ros.messages.assemble import DEFAULT_TOPICS
from ssma_ros.messages.catalogue import OutputCatalog
from ssma_ros.messages.layouts import LAYOUTS
from ssma_ros.sensors import SENSORS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "components.md").read_text(encoding="utf-8")


def documented(section: str) -> dict[str, str]:
    """First column → row of the table in a section."""
    body = TEXT.split(f"## {section}")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \|(.*)$", body, flags=re.MULTILINE)
    return dict(rows)


def test_every_input_is_documented_with_its_encodings() -> None:
    rows = documented("What it subscribes to")
    assert set(rows) == set(DEFAULT_TOPICS.values())
    for sensor in SENSORS.values():
        row = rows[sensor.topic].replace("bayer_{rggb,bggr,gbrg,grbg}{8,16}", " ".join(
            f"bayer_{pattern}{bits}" for pattern in ("rggb", "bggr", "gbrg", "grbg") for bits in (8, 16)))
        assert {e for e in LAYOUTS[sensor.pixels] if e not in row} == set(), sensor.name


def test_every_output_is_documented_with_its_type() -> None:
    rows = documented("What it publishes")
    contract = stub_contract()
    patterns = {
        **{f"confidence/{name}": "confidence/<class>" for name in contract.labels.names},
        **{f"modality_weights/{name}": "modality_weights/<stream>" for name in contract.modalities},
        **dict.fromkeys(contract.modalities, "<stream>"),
    }
    seen = {"~/label_info", "/diagnostics"}
    for output in OutputCatalog(contract).outputs:
        row = "~/" + patterns.get(output.topic, output.topic)
        assert output.type.rpartition("/")[2] in rows[row], row
        seen.add(row)
    assert seen == set(rows)


def words(text: str) -> set[str]:
    """Everything in backticks."""
    return set(re.findall(r"`([^`]+)`", text))


def rows(section: str, first: str) -> list[list[str]]:
    """Cells of the rows of that table in a section whose first column is headed ``first``."""
    body = TEXT.split(f"## {section}")[1].split("\n## ")[0]
    table = body.split(f"| {first} |")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def test_services_and_transitions_are_those_of_the_node(domain: int) -> None:
    pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")
    from ros.in_process import node_in_process

    table = rows("Services and the life cycle", "service")
    documented_types = {name: row[1] for row in table for name in words(row[0])}
    with node_in_process(domain, lambda _: StubBackend()) as node:
        offered = dict(node.get_service_names_and_types_by_node("ssma_fusion", "/"))
        graph = node._state_machine.transition_graph
    for name, kinds in offered.items():
        package, _, kind = kinds[0].split("/")
        assert documented_types["~" + name.removeprefix("/ssma_fusion")].startswith(package), name
        assert kind in documented_types["~" + name.removeprefix("/ssma_fusion")] or package == "rcl_interfaces", name
    newer = {"~/get_type_description"}
    assert set(documented_types) - newer <= {"~" + name.removeprefix("/ssma_fusion") for name in offered}

    transitions = {row[0].strip("`"): row[1].split(" → ") for row in rows("Services and the life cycle", "transition")}
    assert set(transitions) == {t[1] for t in graph if not t[1].startswith("transition_")}
    for label, (begin, end) in transitions.items():
        started = [t for t in graph if t[1] == label]
        assert begin == "any" or {t[3] for t in started} == {begin}
        assert {t[5] for t in graph if t[1] == "transition_success" and t[2] == started[0][4]} >= {end}


def diagnostics(node: Any) -> dict[str, list[str]]:
    """Entry → keys of its values in a report made now."""
    sent: list[Any] = []
    node._reporter._publisher.publish = sent.append
    node._reporter._last_ns = 0
    node._report()
    return {status.name.partition(": ")[2]: [v.key for v in status.values] for status in sent[-1].status}


def test_every_entry_and_value_of_the_diagnostics_is_documented(domain: int) -> None:
    pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")
    from ros.in_process import node_in_process

    known = {entry: words(row[3]) for row in rows("Diagnostics", "entry") for entry in words(row[0])}
    generic = {"life cycle": r"\w+ \(ms\)", "synchronization": r"degraded, \w+: .*", "inference": r"\w+ p50/p95 \(ms\)"}
    with node_in_process(domain, lambda _: StubBackend(memory_bytes=1)) as node:
        assert set(diagnostics(node)) == {"life cycle"}
        node.trigger_configure()
        node.trigger_activate()
        session = node._session
        assert session is not None
        session.worker.counters.degraded.update(Counter({"nir: silent": 1}))
        session.processor.progress.stages.add({"waiting": 1.0})
        session.inputs.inputs["depth"].problem = "another QoS"
        said = diagnostics(node)
    assert set(said) | {"depth_camera_info", "nir_camera_info", "thermal_camera_info", "registration"} == set(known)
    for entry, keys in said.items():
        for key in keys:
            assert key in known[entry] or re.fullmatch(generic.get(entry, "-"), key), f"{entry}: {key}"
    for entry in ("depth", "camera_info"):
        assert set(said[entry]) | {"QoS"} == known[entry]
    assert {key for key in known["inference"] if "<" not in key} >= set(said["inference"]) - {"waiting p50/p95 (ms)"}


def test_what_backends_say_of_themselves_is_documented() -> None:
    (row,) = [row for row in rows("Diagnostics", "entry") if "`inference`" in row[0]]
    folder = Path(__file__).resolve().parents[2] / "ssma_ros" / "inference"
    for path in folder.glob("*_backend.py"):
        source = path.read_text(encoding="utf-8")
        keys = set(re.findall(r'^ {16}(?:\*\*\(\{)?"(\w+)": ', source, flags=re.MULTILINE))
        keys |= set(re.findall(r'_identity\["(\w+)"\]', source))
        assert keys, path.name
        assert keys <= words(row[3]), path.name


def test_kinds_of_reasons_are_documented() -> None:
    source = (Path(__file__).resolve().parents[2] / "ssma_ros" / "synchronization.py").read_text(encoding="utf-8")
    kinds = set(re.findall(r'return "([\w ]+)", \(?$|return "([\w ]+)", f"', source, flags=re.MULTILINE))
    found = {first or second for first, second in kinds}
    assert len(found) == 6
    body = TEXT.split("## Diagnostics")[1].split("\n## ")[0]
    assert found <= words(body)
