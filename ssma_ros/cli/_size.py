# SPDX-License-Identifier: Apache-2.0
"""Sizes of images on a command line."""

from __future__ import annotations

from ssma_ros.errors import SsmaError


def parse_size(text: str, multiple: int = 1, name: str = "sizes") -> tuple[int, int]:
    """Width and height of ``WxH``, pixels.

    Args:
        text: as given.
        multiple: of which both must be.
        name: of the option, for the message.

    Raises:
        SsmaError: it is not of that form.
    """
    width, _, height = text.partition("x")
    if not all(side.isdigit() and int(side) > 0 and int(side) % multiple == 0 for side in (width, height)):
        words = "" if multiple == 1 else f", multiples of {multiple}"
        raise SsmaError(f"{name}: got '{text}', expected WIDTHxHEIGHT{words}, for example 768x384")
    return int(width), int(height)
