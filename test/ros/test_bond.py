# SPDX-License-Identifier: Apache-2.0
"""The bond with nav2's lifecycle manager: only of a managed node, while it is active, where bondpy is installed."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from rclpy.lifecycle import TransitionCallbackReturn
from ros.in_process import node_in_process
from ros.stub_network import StubBackend

SUCCESS = TransitionCallbackReturn.SUCCESS


class Bond:
    """What bondpy 4.1 has: the topic, the manager's name of the node, and the node."""

    made: ClassVar[list[Bond]] = []

    def __init__(self, topic: str, id: str, node: Any) -> None:
        self.about = (topic, id)
        self.said: list[str] = []
        self.heartbeat_timeout = self.heartbeat_period = 0.0
        Bond.made.append(self)

    def start(self) -> None:
        assert (self.heartbeat_timeout, self.heartbeat_period) == (4.0, 0.5)
        self.said.append("start")

    def shutdown(self) -> None:
        self.said.append("shutdown")


@pytest.fixture
def bonds(monkeypatch: pytest.MonkeyPatch) -> list[Bond]:
    monkeypatch.setattr(Bond, "made", [])
    monkeypatch.setitem(sys.modules, "bondpy", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "bondpy.bondpy", SimpleNamespace(Bond=Bond))
    return Bond.made


def test_a_managed_node_has_a_bond_while_it_is_active(domain: int, bonds: list[Bond]) -> None:
    with node_in_process(domain, lambda _: StubBackend(), autostart=False) as node:
        assert node.trigger_configure() == SUCCESS
        assert Bond.made == []
        assert node.trigger_activate() == SUCCESS
        assert [(bond.about, bond.said) for bond in Bond.made] == [(("bond", "ssma_fusion"), ["start"])]
        assert node.trigger_deactivate() == SUCCESS
        assert Bond.made[0].said == ["start", "shutdown"]
        assert node.trigger_activate() == SUCCESS
    assert [bond.said for bond in Bond.made] == [["start", "shutdown"]] * 2  # closed while it was active


def test_a_node_that_starts_itself_has_no_manager_and_no_bond(domain: int, bonds: list[Bond]) -> None:
    with node_in_process(domain, lambda _: StubBackend()) as node:
        assert node.start()
    assert bonds == []


def test_without_bondpy_the_log_says_what_the_manager_needs(domain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bondpy.bondpy", None)
    with node_in_process(domain, lambda _: StubBackend(), autostart=False) as node:
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        assert any("bond_timeout: 0.0" in sentence for sentence in node.log.infos())
