# SPDX-License-Identifier: Apache-2.0
"""Which topic each input of the node is, where nobody has said it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssma_ros.doctor.scene import InputSeen
from ssma_ros.errors import SsmaError
from ssma_ros.recordings.topics import NONE, ROLES, SENSOR_OF_ROLE, find_input_topics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssma_ros.doctor.scene import Scene
    from ssma_ros.doctor.setup import Setup
    from ssma_ros.recordings.reader import Topic
    from ssma_ros.ros.input_topics import InputTopic


def new_input(topic: InputTopic, setup: Setup) -> InputSeen:
    """An input of which nothing has been seen yet."""
    reliability, durability = setup.qos(topic)
    wanted = f"{setup.names.resolved(topic.name)}{topic.suffix}"
    return InputSeen(topic.sensor, topic.name, wanted, topic.kind, reliability, durability)


def choose(scene: Scene, mapping: Mapping[str, str], where: str) -> None:
    """Settle for each input the topic that is looked at: the one the node would read where it is published, else one
    that the user names or that types and names give away; the reason where several could be it."""
    published = {topic.name: topic for topic in scene.topics}
    settled = dict(mapping)
    roles = [role for role in ROLES if SENSOR_OF_ROLE.get(role, role) in scene.inputs]
    for role in roles:
        seen = scene.inputs[SENSOR_OF_ROLE.get(role, role)]
        there = published.get(seen.wanted)
        if role not in settled and there is not None:
            seen.topic, seen.kind = there.name, _kind(scene, seen, there)
            if there.type in ROLES[role]:
                settled[role] = there.name
    other = {role: NONE for role in ROLES if role not in roles}
    # Nothing of our own is an input.
    topics = [t for t in scene.topics if not t.name.startswith(f"{scene.setup.names.full}/")]
    for role, found in _found(scene, topics, {**other, **settled}, where).items():
        seen = scene.inputs[SENSOR_OF_ROLE.get(role, role)]
        if not seen.topic:
            seen.topic, seen.kind = found.name, found.type


def _kind(scene: Scene, seen: InputSeen, there: Topic) -> str:
    """Of a topic that carries several types the one that the node would read."""
    kinds = {topic.type for topic in scene.topics if topic.name == seen.wanted}
    return seen.wanted_kind if seen.wanted_kind in kinds else there.type


def _found(scene: Scene, topics: list[Topic], mapping: Mapping[str, str], where: str) -> dict[str, Topic]:
    """Topics by role. Where not all can be told at once, each by itself, and why not."""
    try:
        return dict(find_input_topics(topics, where, mapping).roles)
    except SsmaError:
        pass
    found: dict[str, Topic] = {}
    for role in (role for role in ROLES if mapping.get(role) != NONE):
        alone = {**{other: NONE for other in ROLES if other not in (role, "camera_info")}}
        alone |= {role: mapping[role]} if role in mapping else {}
        try:
            found |= find_input_topics(topics, where, alone).roles
        except SsmaError as error:
            name = SENSOR_OF_ROLE.get(role, role)
            if "topics could be" in str(error) and name in scene.inputs:
                scene.ambiguous[name] = str(error).removeprefix(f"recording {where}: ")
    return found
