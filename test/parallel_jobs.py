# SPDX-License-Identifier: Apache-2.0
"""Jobs that other processes import by name."""

from __future__ import annotations

import os

from ssma_ros.errors import SsmaError


def square(number: int) -> int:
    if number < 0:
        raise SsmaError(f"number is {number}, expected 0 or more")
    return number * number


def die(_: int) -> int:
    os._exit(1)
