# SPDX-License-Identifier: Apache-2.0
"""Presets of cameras: what their drivers call their topics, and how the node reads them.

A preset is one file of ``config/cameras``; its first comment says which version of the driver it was made from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ssma_ros.documents import load_yaml, read
from ssma_ros.errors import SsmaError, expected_one_of
from ssma_ros.sensors import DRIVER, SENSORS
from ssma_ros.share import share_path

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What a preset may name a topic for: images by sensor, camera infos, and the disparity image.
ROLES = (
    *SENSORS, "camera_info", *(f"{sensor}_camera_info" for sensor in SENSORS if sensor != DRIVER), "disparity",
)  # fmt: skip
_FOLDER = ("config", "cameras")


@dataclass(frozen=True)
class CameraPreset:
    """One camera, or a family with one driver.

    Attributes:
        title: the camera.
        driver: package and version that the preset was made from.
        start: command that starts the driver so that everything is there.
        note: what to know of it.
        frame: optical frame of its colour images.
        prefix: namespace and node of the driver's topics, as its launch file names them.
        topics: by role (:data:`ROLES`), below the prefix.
        parameters: of the fusion node, where they are not its defaults.

    Raises:
        ValueError: an unknown role, or no colour image.
    """

    title: str
    driver: str
    start: str
    note: str
    frame: str
    prefix: str
    topics: dict[str, str]
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for role in self.topics:
            if role not in ROLES:
                raise ValueError(f"topics: unknown role '{role}', {expected_one_of(role, ROLES)}")
        if DRIVER not in self.topics:
            raise ValueError(f"topics: has no {DRIVER}")

    def named(self, prefix: str | None = None) -> dict[str, str]:
        """Full topic names by role.

        Args:
            prefix: where the driver was started with other names, instead of :attr:`prefix`.
        """
        above = (self.prefix if prefix is None else prefix).strip("/")
        return {role: f"/{above}/{topic}" if above else f"/{topic}" for role, topic in self.topics.items()}


def preset_names() -> list[str]:
    """Every preset that is installed."""
    folder = share_path(*_FOLDER)
    return sorted(path.stem for path in folder.glob("*.yaml")) if folder is not None else []


def load_preset(name: str) -> CameraPreset:
    """A preset by name.

    Raises:
        SsmaError: there is none of that name.
    """
    known = preset_names()
    path = share_path(*_FOLDER, f"{name}.yaml")
    if path is None or name not in known:
        raise SsmaError(f"camera '{name}': no such preset, {expected_one_of(name, known)}")
    what = f"camera preset {name}"
    return read(CameraPreset, load_yaml(path, what), what)


def settings_of(name: str, prefix: str | None = None) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    """Topics by role and parameters of a preset; none where ``name`` is empty.

    Raises:
        SsmaError: there is no preset of that name, or a prefix without one.
    """
    if not name:
        if prefix:
            raise SsmaError(f"camera prefix {prefix}: no camera is named, expected one of {', '.join(preset_names())}")
        return {}, {}
    preset = load_preset(name)
    return preset.named(prefix or None), preset.parameters
