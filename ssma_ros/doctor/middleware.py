# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 middleware of this shell, and whether it can carry camera images."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from ssma_ros.doctor.finding import Finding
from ssma_ros.share import share_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Fast DDS 2 and 3 call the same file differently.
VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
FAST_DDS = "rmw_fastrtps_cpp"
#: Of Fast DDS where nobody says otherwise, bytes.
_DEFAULT_SEGMENT = 512 * 1024
_MB = 1e6


@dataclass(frozen=True)
class Middleware:
    """What this shell's environment makes of the middleware.

    Attributes:
        rmw: its name.
        profile: file in force, or empty.
        segment: bytes of shared memory that a process of this shell has for all messages under way, None where the
            middleware is not Fast DDS or the file does not tell.
        shared_memory: bytes of ``/dev/shm``, None where there is none.
        problem: why the profile cannot be read, or empty.
    """

    rmw: str = FAST_DDS
    profile: str = ""
    segment: int | None = _DEFAULT_SEGMENT
    shared_memory: int | None = None
    problem: str = ""


def observe_middleware(environment: Mapping[str, str] | None = None) -> Middleware:
    """Look at the environment."""
    environment = os.environ if environment is None else environment
    rmw = environment.get("RMW_IMPLEMENTATION") or FAST_DDS
    shm = Path("/dev/shm")
    memory = shutil.disk_usage(shm).total if shm.is_dir() else None
    if "fastrtps" not in rmw:
        return Middleware(rmw, segment=None, shared_memory=memory)
    profile = next((environment[name] for name in VARIABLES if environment.get(name)), "")
    if not profile:
        return Middleware(rmw, shared_memory=memory)
    segment, problem = read_segment(Path(profile))
    return Middleware(rmw, profile, segment, memory, problem)


def read_segment(profile: Path) -> tuple[int | None, str]:
    """Bytes of the shared-memory segment that a Fast DDS profile asks for (None where it does not say), and why the
    file cannot be read, or nothing."""
    try:
        root = ElementTree.parse(profile).getroot()
    except OSError as error:
        return _DEFAULT_SEGMENT, f"{profile} cannot be read ({error.strerror})"
    except ElementTree.ParseError as error:
        return _DEFAULT_SEGMENT, f"{profile} is no XML ({error})"
    sizes = [(e.text or "").strip() for e in root.iter() if e.tag.rpartition("}")[2] == "segment_size"]
    return (int(sizes[0]) if sizes and sizes[0].isdigit() else None), ""


def profile_lines() -> tuple[str, ...]:
    """What gives a shell the profile that ships."""
    path = share_path("config", "fastdds.xml") or "$(ros2 pkg prefix --share ssma_ros)/config/fastdds.xml"
    return (f"export RMW_IMPLEMENTATION={FAST_DDS}", *(f"export {name}={path}" for name in VARIABLES))


def profile(middleware: Middleware) -> Iterator[Finding]:
    """A profile that is not in force, cannot be read, or has no memory to work in."""
    if middleware.problem:
        yield Finding("error", "middleware", f"Fast DDS profile: {middleware.problem}, and goes unused in silence",
                      "name a file that is there", shell=profile_lines())
    elif middleware.segment is not None and middleware.segment <= _DEFAULT_SEGMENT:
        yield Finding("warning", "middleware", f"{middleware.rmw} has {middleware.segment / _MB:.1f} MB of shared "
                      "memory here, less than one camera image: most images get lost between processes",
                      "give this shell, the node's and the camera driver's the profile", shell=profile_lines())
    elif middleware.segment and middleware.shared_memory and middleware.shared_memory < middleware.segment:
        yield Finding("error", "middleware", f"/dev/shm has {middleware.shared_memory / _MB:.0f} MB, the profile asks "
                      f"for {middleware.segment / _MB:.0f} a process", "start the container with --shm-size=1g or "
                      "--ipc=host")
    elif middleware.segment is None:
        yield Finding("note", "middleware", f"{middleware.rmw}: whether it carries large images cannot be told here",
                      "set its own limits for messages of several MB")
