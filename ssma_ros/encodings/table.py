# SPDX-License-Identifier: Apache-2.0
"""Every encoding there is, by name."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros import encodings
from ssma_ros.encodings.depth_completion import Completion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ssma_ros.encodings.base import Encoding


def _gathered() -> dict[str, Encoding]:
    found: dict[str, Encoding] = {}
    for module in pkgutil.iter_modules(encodings.__path__):
        if module.name == "table":
            continue
        for encoding in getattr(importlib.import_module(f"ssma_ros.encodings.{module.name}"), "ENCODINGS", ()):
            assert encoding.name not in found, f"two encodings are called {encoding.name}"
            found[encoding.name] = encoding
    return found


#: The encodings of every file beside this one.
ENCODINGS: Mapping[str, Encoding] = _gathered()


def parameters_of(encoding: str) -> tuple[str, ...]:
    """What a stream of this encoding may state: its own parameters, after those of depth completion where it is made
    from depth."""
    entry = ENCODINGS[encoding]
    completion = tuple(item.name for item in fields(Completion)) if "depth" in entry.sensors else ()
    return (*completion, *entry.parameters)


def as_rgb(encoding: str, picture: NDArray[Any]) -> NDArray[np.uint8]:
    """A stream's H×W×3 uint8 input as a person may look at it: R, G, B."""
    if ENCODINGS[encoding].order == "rgb":
        return np.asarray(picture, np.uint8)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_BGR2RGB), np.uint8)
