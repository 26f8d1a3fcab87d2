# SPDX-License-Identifier: Apache-2.0
"""Three processes in a ROS 2 graph of their own: player, fusion node, recorder."""

from __future__ import annotations

import os
import random
import shutil
import socket
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ssma_ros.demo.processes import ProcessGroup
from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ssma_ros.demo.processes import Event

#: Seconds without a sign of life from any process before the demo gives up. Loading and compiling for the first
#: time takes a minute on two idle cores.
PATIENCE_S = 300.0
# Above this, DDS port numbers reach into Linux's ephemeral range.
_LAST_DOMAIN = 101


#: One segment of config/fastdds.xml for each of the three processes, and some room.
_SHARED_MEMORY_BYTES = 4 * 128 * 2**20


@dataclass(frozen=True)
class LivePlan:
    """What to run.

    Attributes:
        recording: to play.
        output: recording to make.
        topic_mapping: ``role:=/topic`` entries for the recording.
        publish: topic to publish each role on, the driving role first.
        record: topics to record, each ``/topic@type`` or ``/topic@type@period``.
        node_command: starts the fusion node, autostarted.
        node_name: its full name.
        mask_topic: where it publishes masks.
        rate: speed of playing.
        storage: of the output recording.
    """

    recording: Path
    output: Path
    topic_mapping: Sequence[str]
    publish: Mapping[str, str]
    record: Sequence[str]
    node_command: Sequence[str]
    node_name: str
    mask_topic: str
    rate: float = 1.0
    storage: str = "mcap"


@dataclass
class LiveResult:
    """What the processes counted and timed.

    Attributes:
        published: messages by role.
        publish_times: (stamp_ns, monotonic_ns) of each driving image.
        lateness_ms: how much later than due each of them was published.
        mask_times: (stamp_ns, monotonic_ns) of each mask's arrival.
        received: messages by recorded topic.
    """

    published: Mapping[str, int] = field(default_factory=dict)
    publish_times: Sequence[tuple[int, int]] = ()
    lateness_ms: Sequence[float] = ()
    mask_times: Sequence[tuple[int, int]] = ()
    received: Mapping[str, int] = field(default_factory=dict)


def run_live(
    plan: LivePlan, scratch: Path, *, dds_profile: Path | None = None, on_event: Callable[[str], None] | None = None
) -> LiveResult:
    """Play, segment and record.

    Args:
        plan: what to run.
        scratch: folder for log files.
        dds_profile: Fast DDS profile file, or None for the middleware's defaults.
        on_event: told ``frame`` for each image published and ``mask`` for each mask received.

    Raises:
        SsmaError: a process failed or fell silent; the message holds its last words.
    """

    def pass_on(event: Event) -> None:
        if on_event is not None and event.name in ("frame", "mask"):  # a child that ended as expected is no news
            on_event(event.name)

    with ProcessGroup(graph_environment(scratch, dds_profile), scratch) as group:
        node = group.start("fusion node", plan.node_command, speaks_events=False)
        player = group.start("player", _player_command(plan))
        recorder = group.start("recorder", _recorder_command(plan))
        group.wait_for({player: "ready", recorder: "ready"}, PATIENCE_S)
        player.tell("go")
        played = group.wait_for({player: "done"}, PATIENCE_S, pass_on)["player"]
        player.expected_to_end = True
        if not played["times"]:
            raise SsmaError(f"recording {plan.recording}: no driving image in it to play")
        recorder.tell(f"finish {played['times'][-1][0]}")
        recorded = group.wait_for({recorder: "done"}, PATIENCE_S, pass_on)["recorder"]
        recorder.expected_to_end = True
        node.expected_to_end = True
        if not recorded["times"]:
            raise SsmaError(
                f"the fusion node published no mask for {len(played['times'])} images: {node.last_words()}"
            )
    return LiveResult(
        published=played["published"],
        publish_times=_pairs(played["times"]),
        lateness_ms=played["lateness_ms"],
        mask_times=_pairs(recorded["times"]),
        received=recorded["received"],
    )


def graph_environment(logs: Path, dds_profile: Path | None) -> dict[str, str]:
    """Environment of processes that shall meet each other and nobody else."""
    environment = dict(os.environ)
    environment.update(
        ROS_DOMAIN_ID=str(free_domain()),
        ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST",
        ROS_LOG_DIR=str(logs / "ros"),
        RCUTILS_COLORIZED_OUTPUT="0",
        PYTHONUNBUFFERED="1",
    )
    environment.pop("ROS_LOCALHOST_ONLY", None)  # the older switch would override the discovery range
    if dds_profile is not None:
        # Jazzy's Fast DDS reads the first name, later ones the second.
        environment.update(
            FASTRTPS_DEFAULT_PROFILES_FILE=str(dds_profile), FASTDDS_DEFAULT_PROFILES_FILE=str(dds_profile)
        )
    return environment


def shared_memory_note(folder: str = "/dev/shm") -> str | None:
    """A sentence for people whose shared memory is too small for the profile's segments, else None."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return None
    if free >= _SHARED_MEMORY_BYTES:
        return None
    return (
        f"{folder} has {free / 2**20:.0f} MB free, expected {_SHARED_MEMORY_BYTES / 2**20:.0f}: images will go by "
        "UDP and some may be lost (docker run --shm-size=1g)"
    )


def free_domain() -> int:
    """A random ROS domain that nobody on this machine uses."""
    candidates = list(range(1, _LAST_DOMAIN + 1))
    random.SystemRandom().shuffle(candidates)
    for domain in candidates:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                # The discovery multicast port of a domain; participants share it among themselves only.
                probe.bind(("", 7400 + 250 * domain))
            except OSError:
                continue
        return domain
    raise SsmaError(f"ROS_DOMAIN_ID: all of 1..{_LAST_DOMAIN} are in use on this machine")


def _player_command(plan: LivePlan) -> list[str]:
    command = [sys.executable, "-m", "ssma_ros.demo.player", str(plan.recording), "--rate", repr(plan.rate)]
    for entry in plan.topic_mapping:
        command += ["--topic", entry]
    for role, topic in plan.publish.items():
        command += ["--publish", f"{role}:={topic}"]
    return command


def _recorder_command(plan: LivePlan) -> list[str]:
    command = [sys.executable, "-m", "ssma_ros.demo.recorder", str(plan.output), "--storage", plan.storage]
    command += ["--node", plan.node_name, "--mask", plan.mask_topic]
    for entry in plan.record:
        command += ["--topic", entry]
    return command


def _pairs(rows: Sequence[Any]) -> list[tuple[int, int]]:
    return [(int(stamp), int(moment)) for stamp, moment in rows]
