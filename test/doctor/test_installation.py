# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of a machine, on made-up machines and on this one."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssma_ros.doctor import installation
from ssma_ros.doctor.finding import Finding
from ssma_ros.doctor.installation import PACKAGES, ROS_PACKAGES, Installation, examine, observe_installation
from ssma_ros.doctor.middleware import VARIABLES, Middleware, observe_middleware, read_segment
from ssma_ros.share import share_path

PROFILE = str(share_path("config", "fastdds.xml"))
SEGMENT = 128 * 1024 * 1024
WELL = Installation(
    python="3.12.3", machine="x86_64", packages=dict.fromkeys(PACKAGES, "1.0"), ros="jazzy",
    ros_packages=tuple(ROS_PACKAGES), middleware=Middleware("rmw_fastrtps_cpp", PROFILE, SEGMENT, 8 * SEGMENT),
    gpu="Orin", has_gpu=True, cuda_compiler="/usr/local/cuda/bin/nvcc", kernels="/k", kernels_kept=80,
)


def machine(without: tuple[str, ...] = (), **changes: Any) -> Installation:
    packages = {name: "" if name in without else version for name, version in WELL.packages.items()}
    return dataclasses.replace(WELL, packages=packages, **changes)


def test_a_machine_where_all_is_well() -> None:
    assert examine(WELL) == []


@pytest.mark.parametrize(
    ("seen", "check", "severity", "words"),
    [
        (machine(("openvino", "onnxruntime", "tensorrt", "torch"), has_gpu=False), installation.backend, "error",
         "no network can run"),
        (machine(("openvino",), has_gpu=False), installation.backend, "note", "openvino is not installed"),
        (machine(("tensorrt", "pycuda")), installation.gpu, "warning", "tensorrt and pycuda not installed"),
        (machine(cuda_compiler=""), installation.gpu, "warning", "neither nvcc nor NVRTC"),
        (machine(cuda_problem="there is no home folder"), installation.gpu, "warning", "there is no home folder"),
        (machine(("numba",)), installation.kernels, "warning", "several times slower"),
        (machine(kernels=""), installation.kernels, "warning", "cannot be kept"),
        (machine(kernels_kept=0), installation.kernels, "note", "takes up to a minute longer"),
        (machine(("rclpy",)), installation.ros, "warning", "rclpy is not installed"),
        (machine(log_problem="folder /root/.ros/log: cannot be made"), installation.ros, "error", "no node can start"),
        (machine(ros_packages=("tf2_ros",)), installation.ros, "note", "bond_timeout: 0.0"),
        (machine(middleware=Middleware(shared_memory=8 * SEGMENT)), installation.profile, "warning",
         "less than one camera image"),
        (machine(middleware=Middleware("rmw_fastrtps_cpp", PROFILE, SEGMENT, SEGMENT // 2)), installation.profile,
         "error", "/dev/shm has 67 MB, the profile asks for 134"),
        (machine(middleware=Middleware(profile="/nowhere.xml", problem="/nowhere.xml cannot be read")),
         installation.profile, "error", "goes unused in silence"),
        (machine(middleware=Middleware("rmw_cyclonedds_cpp", segment=None)), installation.profile, "note",
         "cannot be told here"),
    ],
)
def test_what_is_missing_is_told(
    seen: Installation, check: Callable[..., Any], severity: str, words: str
) -> None:
    (finding,) = [found for found in examine(seen) if found.check == check.__name__]
    assert (finding.severity, finding.part) == (severity, "installation")
    assert words in finding.seen


def test_every_check_is_tried_here() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    assert [check for check in installation.CHECKS if f"installation.{check.__name__}," not in here] == []


def test_this_machine_is_looked_at() -> None:
    seen = observe_installation()
    assert seen.packages["numpy"]
    assert seen.packages["rosbags"]
    assert seen.python.startswith("3.")
    assert seen.gpu
    assert all(isinstance(found, Finding) for found in examine(seen))


# --- the middleware


@pytest.mark.parametrize("variable", VARIABLES)
def test_the_profile_that_ships_is_read(variable: str) -> None:
    seen = observe_middleware({variable: PROFILE})
    assert (seen.rmw, seen.profile, seen.segment, seen.problem) == ("rmw_fastrtps_cpp", PROFILE, SEGMENT, "")


def test_profiles_that_are_none(tmp_path: Path) -> None:
    assert "cannot be read" in read_segment(tmp_path / "no.xml")[1]
    broken, other = tmp_path / "broken.xml", tmp_path / "other.xml"
    broken.write_text("<dds>")
    other.write_text("<dds><profiles/></dds>")
    assert "no XML" in read_segment(broken)[1]
    assert read_segment(other) == (None, "")


def test_other_middlewares_are_left_to_themselves() -> None:
    seen = observe_middleware({"RMW_IMPLEMENTATION": "rmw_zenoh_cpp", VARIABLES[0]: PROFILE})
    assert (seen.rmw, seen.profile, seen.segment) == ("rmw_zenoh_cpp", "", None)


# --- a home that cannot be written


def test_where_the_log_goes(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    why = installation._log_problem
    assert why({"HOME": str(tmp_path)}) == ""
    assert "neither ROS_LOG_DIR, ROS_HOME nor HOME is set" in why({})
    assert "is a file, expected a folder" in why({"HOME": str(tmp_path / "file")})
    assert "is a file, expected a folder" in why({"HOME": str(tmp_path), "ROS_LOG_DIR": str(tmp_path / "file" / "log")})
    assert why({"HOME": str(tmp_path / "file"), "ROS_HOME": str(tmp_path)}) == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "nothing may be written" in installation._log_problem({"HOME": str(tmp_path)})
