# SPDX-License-Identifier: Apache-2.0
"""A live graph as the checks see it."""

from __future__ import annotations

import importlib.util
import time
from functools import partial
from typing import TYPE_CHECKING

from ssma_ros.doctor.choice import choose, new_input
from ssma_ros.doctor.frame import put_together
from ssma_ros.doctor.middleware import observe_middleware
from ssma_ros.doctor.names import Names
from ssma_ros.doctor.scene import Offer, Said, Scene
from ssma_ros.doctor.setup import make_setup
from ssma_ros.doctor.watch import Watch, spread_ns
from ssma_ros.messages.decode import serialized_stamp_ns
from ssma_ros.recordings.reader import Topic
from ssma_ros.recordings.transforms import TF_MESSAGE
from ssma_ros.sensors import DRIVER, readings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssma_ros.doctor.setup import Setup
    from ssma_ros.ros.graph_probe import GraphProbe

_TF = ("/tf", "/tf_static")
_DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"
#: Seconds that are given to find out who is there.
_DISCOVERY_S = 5.0
#: How often a graph is looked at where somebody new has come meanwhile.
_LOOKS = 3


def observe_graph(
    probe: GraphProbe, setup: Setup, seconds: float, mapping: Mapping[str, str] | None = None, *,
    ask_node: bool = False,
) -> Scene:
    """Watch a graph for a while.

    Args:
        probe: in the graph.
        setup: of the node, which need not be there.
        seconds: how long.
        mapping: roles settled by the user, see :func:`~ssma_ros.recordings.topics.parse_mapping`.
        ask_node: take the parameters and topics from the running node, where there is one.
    """
    for _ in range(_LOOKS):
        scene = _look(probe, setup, seconds, mapping or {}, ask_node)
        # A participant whose first greeting was lost is heard of seconds later: then all is looked at anew.
        if set(probe.nodes()) <= set(scene.nodes) and probe.topics().keys() <= {topic.name for topic in scene.topics}:
            break
        probe.forget()
    put_together(scene)
    return scene


def _look(probe: GraphProbe, setup: Setup, seconds: float, mapping: Mapping[str, str], ask_node: bool) -> Scene:
    said: dict[str, Said] = {}
    probe.listen("/diagnostics", _DIAGNOSTICS, partial(_note_said, probe, setup.names, said))
    probe.discover(_DISCOVERY_S)
    if ask_node and setup.names.full in probe.nodes():
        setup = _of_node(probe, setup, said)
    scene = Scene(setup, live=True, nodes=tuple(probe.nodes()), said=said, middleware=observe_middleware())
    scene.can_bond = importlib.util.find_spec("bondpy") is not None
    scene.topics = tuple(
        Topic(name, kind, len(probe.publishers(name))) for name, kinds in probe.topics().items() for kind in kinds
    )
    scene.inputs = {topic.sensor: new_input(topic, setup) for topic in setup.topics}
    choose(scene, mapping, "graph")
    known, spread = readings(vars(setup.parameters)), spread_ns(seconds)
    for name, seen in scene.inputs.items():
        if seen.topic:
            seen.offers = tuple(Offer(**vars(publisher)) for publisher in probe.publishers(seen.topic))
            watch = Watch(seen, known.get(name), spread)
            probe.listen(seen.topic, seen.kind, partial(_note, probe, watch), partial(setattr, seen, "lost"))
    listening = [
        probe.listen(topic, TF_MESSAGE, lambda data, _: scene.transforms.put_message(probe.decode(data, TF_MESSAGE)))
        for topic in _TF
    ]
    scene.listened_to_tf = all(listening)
    probe.spin(seconds)
    return scene


def _note(probe: GraphProbe, watch: Watch, data: bytes, arrived_ns: int) -> None:
    wanted = watch.wants(arrived_ns)
    watch.note(arrived_ns, serialized_stamp_ns(data))
    if wanted:
        watch.look(probe.decode(data, watch.seen.kind))


def _note_said(probe: GraphProbe, names: Names, said: dict[str, Said], data: bytes, _arrived_ns: int) -> None:
    start = f"{names.full.lstrip('/')}: "
    message = probe.decode(data, _DIAGNOSTICS)
    mine = [status for status in message.status if status.name.startswith(start)]
    if mine:  # an array is everything that the node has to say now
        said.clear()
    for status in mine:
        level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
        values = {item.key: item.value for item in status.values}
        said[status.name.removeprefix(start)] = Said(level, str(status.message), values)


def _of_node(probe: GraphProbe, setup: Setup, said: dict[str, Said]) -> Setup:
    """The setup of the running node: its parameters by its services, its topics by its diagnostics."""
    values = probe.parameters_of(setup.names.full)
    if not values:
        return setup
    running = make_setup(values, setup.names)
    # An active node names its topics in every report; the report before a change has none of them.
    end = time.monotonic() + 2.0 * running.parameters.diagnostics_period + 1.0
    while DRIVER not in said and time.monotonic() < end:
        probe.spin(0.05)
    remaps = [
        (topic.name, said[topic.sensor].values["topic"].removesuffix(topic.suffix))
        for topic in running.topics if "topic" in getattr(said.get(topic.sensor), "values", {})
    ]
    return make_setup(values, Names(setup.names.node, setup.names.namespace, (*setup.names.remaps, *remaps)))
