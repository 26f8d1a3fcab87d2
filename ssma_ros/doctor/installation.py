# SPDX-License-Identifier: Apache-2.0
"""What is installed on this machine, and what is missing or cannot work."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.doctor import middleware
from ssma_ros.doctor.finding import Finding, run_checks
from ssma_ros.doctor.middleware import Middleware, observe_middleware
from ssma_ros.errors import SsmaError
from ssma_ros.files import check_writable
from ssma_ros.inference.runtime.gpu import probe_gpu
from ssma_ros.kernels.cuda.compiler import cache_folder, find_nvcc, find_nvrtc

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Distributions by the module that they bring; the first one that is installed counts.
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "numpy": ("numpy",),
    "cv2": ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv"),
    "numba": ("numba",),
    "rosbags": ("rosbags",),
    "openvino": ("openvino",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "torch": ("torch",),
    "tensorrt": ("tensorrt",),
    "pycuda": ("pycuda",),
    "rclpy": ("rclpy",),
}
#: Packages of ROS without which the node goes without something, and without what.
ROS_PACKAGES: Mapping[str, str] = {
    "tf2_ros": "gravity_frame and register_depth are refused",
    "vision_msgs": "no ~/label_info",
    "bondpy": "nav2's lifecycle manager needs bond_timeout: 0.0",
}


@dataclass(frozen=True)
class Installation:
    """What was found.

    Attributes:
        python, machine: version and processor architecture.
        packages: version by module (:data:`PACKAGES`), empty where it is missing, a dash where nobody tells it.
        ros: name of the ROS distribution, or empty.
        ros_packages: those of :data:`ROS_PACKAGES` that are installed.
        middleware: of this shell.
        gpu: in words, or why there is none.
        has_gpu: whether there is one.
        cuda_compiler: path, or empty.
        kernels: folder of the compiled kernels, empty where none can be kept.
        kernels_kept: how many compiled functions lie there.
        log_problem: why rclpy cannot write its log, or empty.
        cuda_problem: why compiled CUDA kernels cannot be kept, or empty.
    """

    python: str = ""
    machine: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    ros: str = ""
    ros_packages: tuple[str, ...] = ()
    middleware: Middleware = field(default_factory=Middleware)
    gpu: str = ""
    has_gpu: bool = False
    cuda_compiler: str = ""
    kernels: str = ""
    kernels_kept: int = 0
    log_problem: str = ""
    cuda_problem: str = ""


def observe_installation() -> Installation:
    """Look at this machine; nothing is compiled and nothing is written."""
    try:
        found = probe_gpu()
        gpu, has_gpu = f"{found.name}, {found.memory_bytes / 1e9:.0f} GB, CUDA {found.driver_version}", True
    except SsmaError as error:
        gpu, has_gpu = str(error), False
    folder, kept = _kernels()
    cuda = cache_folder()
    return Installation(
        python=platform.python_version(),
        machine=platform.machine(),
        packages={module: _version(module, names) for module, names in PACKAGES.items()},
        ros=os.environ.get("ROS_DISTRO", ""),
        ros_packages=tuple(name for name in ROS_PACKAGES if importlib.util.find_spec(name) is not None),
        middleware=observe_middleware(),
        gpu=gpu,
        has_gpu=has_gpu,
        cuda_compiler=find_nvcc() or find_nvrtc() or "",
        kernels=folder,
        kernels_kept=kept,
        log_problem=_log_problem(os.environ),
        cuda_problem="there is no home folder" if cuda is None else _unwritable(cuda),
    )


def _version(module: str, distributions: tuple[str, ...]) -> str:
    if importlib.util.find_spec(module) is None:
        return ""
    for name in distributions:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "–"


def _kernels() -> tuple[str, int]:
    """Where numba keeps compiled kernels, and how many lie there."""
    if importlib.util.find_spec("numba") is None:
        return "", 0
    from ssma_ros.kernels.numba.cache import kept_in

    folder = kept_in()
    return ("", 0) if folder is None else (str(folder), len(list(folder.glob("*.nbi"))))


def _log_problem(environment: Mapping[str, str]) -> str:
    """Why rcl cannot make its folder of logs, as rcl_logging chooses it; nothing where it can."""
    chosen = environment.get("ROS_LOG_DIR")
    home = environment.get("ROS_HOME") or (f"{environment['HOME']}/.ros" if environment.get("HOME") else "")
    if not chosen and not home:
        return "neither ROS_LOG_DIR, ROS_HOME nor HOME is set"
    return _unwritable(Path(chosen or f"{home}/log"))


def _unwritable(folder: Path) -> str:
    try:
        check_writable(folder, "folder")
    except SsmaError as error:
        return str(error)
    return ""


def backend(seen: Installation) -> Iterator[Finding]:
    """Something must run the network."""
    packages = seen.packages
    if not any(packages.get(name) for name in ("openvino", "onnxruntime", "tensorrt", "torch")):
        yield Finding("error", "backend", "none of openvino, onnxruntime, tensorrt and torch is installed: no network "
                      "can run", "install one", shell=("pip install openvino    # or onnxruntime",))
    elif seen.machine in ("x86_64", "AMD64") and not packages.get("openvino") and not seen.has_gpu:
        yield Finding("note", "backend", "openvino is not installed, onnxruntime is slower here", "install it",
                      shell=("pip install openvino",))


def gpu(seen: Installation) -> Iterator[Finding]:
    """A GPU that cannot be used for want of a package."""
    if not seen.has_gpu:
        return
    missing = [name for name in ("tensorrt", "pycuda") if not seen.packages.get(name)]
    if missing:
        yield Finding("warning", "GPU", f"{seen.gpu}: {' and '.join(missing)} not installed, the network runs on the "
                      "processor", "install from JetPack, or", shell=(f"pip install {' '.join(missing)}",))
    elif not seen.cuda_compiler:
        yield Finding("warning", "GPU", "neither nvcc nor NVRTC: preprocessing stays on the processor", "install one",
                      shell=("pip install nvidia-cuda-nvrtc",))
    if seen.cuda_problem:
        yield Finding("warning", "GPU", f"compiled CUDA kernels cannot be kept: {seen.cuda_problem}; every start "
                      "compiles them", "name a folder that can be written",
                      shell=("export SSMA_CUDA_CACHE=/path/to/folder",))


def kernels(seen: Installation) -> Iterator[Finding]:
    """Preprocessing that is not compiled, or compiled at every start."""
    if not seen.packages.get("numba"):
        yield Finding("warning", "kernels", "numba is not installed: preprocessing is several times slower",
                      "install it", shell=("pip install numba",))
    elif not seen.kernels:
        yield Finding("warning", "kernels", "compiled kernels cannot be kept, neither in the package's folder nor "
                      "under HOME: every start compiles for up to a minute", "name a folder that can be written",
                      shell=("export NUMBA_CACHE_DIR=/path/to/folder",))
    elif not seen.kernels_kept:
        yield Finding("note", "kernels", "no kernel is compiled yet: the first start takes up to a minute longer",
                      "nothing, it happens once")


def ros(seen: Installation) -> Iterator[Finding]:
    """ROS 2 itself."""
    if not seen.packages.get("rclpy"):
        yield Finding("warning", "ROS 2", "rclpy is not installed: no node and no live graph here, recordings only",
                      "source ROS 2 in this shell, or", shell=("pip install 'ssma_ros[ros]'",))
        return
    if seen.log_problem:
        yield Finding("error", "ROS 2", f"no node can start, its log has no place: {seen.log_problem}",
                      "name a folder that can be written", shell=("export ROS_LOG_DIR=/path/to/folder",))
    missing = {name: without for name, without in ROS_PACKAGES.items() if name not in seen.ros_packages}
    if missing:
        words = "; ".join(f"{name}: {without}" for name, without in missing.items())
        yield Finding("note", "ROS 2", f"not installed: {words}", "apt install ros-$ROS_DISTRO-… where you need them")


def profile(seen: Installation) -> Iterator[Finding]:
    """The middleware's shared memory."""
    if seen.packages.get("rclpy"):
        yield from middleware.profile(seen.middleware)


CHECKS = (backend, gpu, kernels, ros, profile)


def examine(seen: Installation) -> list[Finding]:
    """Every finding about the installation."""
    return run_checks(CHECKS, seen, "installation")
