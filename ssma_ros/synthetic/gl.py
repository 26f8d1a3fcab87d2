# SPDX-License-Identifier: Apache-2.0
"""Choice of MuJoCo's OpenGL back end on machines without a display."""

from __future__ import annotations

import ctypes.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from types import ModuleType


def load_mujoco() -> ModuleType:
    """Imports mujoco with an off-screen back end chosen: ``egl`` beside an NVIDIA driver, else ``osmesa``.

    MuJoCo reads the environment variable ``MUJOCO_GL`` once, at its first import, so every module of this
    package gets mujoco from here. A value set by the user is kept.

    Raises:
        SsmaError: mujoco is not installed, or the back end's library is missing.
    """
    if "mujoco" not in sys.modules and not os.environ.get("MUJOCO_GL"):
        gpu = Path("/dev/nvidiactl").exists() and ctypes.util.find_library("EGL") is not None
        os.environ["MUJOCO_GL"] = "egl" if gpu else "osmesa"
    try:
        import mujoco
    except ModuleNotFoundError as error:
        raise SsmaError(
            "synthetic world: the package mujoco is not installed, expected `pip install mujoco`"
        ) from error
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        raise _missing_library(error) from error
    return mujoco


def create_context(width: int, height: int) -> Any:
    """A current off-screen OpenGL context of ``width`` × ``height`` pixels.

    Raises:
        SsmaError: the OpenGL library is missing or refuses.
    """
    mujoco = load_mujoco()
    try:
        context = mujoco.GLContext(width, height)
        context.make_current()
    except Exception as error:  # each back end has exceptions of its own for "no library" and "no device"
        raise _missing_library(error) from error
    return context


def require_opengl() -> None:
    """Refuse now what rendering would refuse once files are begun.

    Raises:
        SsmaError: mujoco is not installed, or the OpenGL library is missing or refuses.
    """
    create_context(16, 16).free()


def _missing_library(error: BaseException) -> SsmaError:
    backend = os.environ.get("MUJOCO_GL", "")
    package = {"osmesa": "libosmesa6", "egl": "libegl1"}.get(backend, "libosmesa6")
    reason = " ".join(str(error).split()) or type(error).__name__
    return SsmaError(
        f"synthetic world: no off-screen OpenGL through MUJOCO_GL={backend} ({reason[:120]}),"
        f" expected its library: `apt install {package}`, or set MUJOCO_GL to osmesa or egl"
    )
