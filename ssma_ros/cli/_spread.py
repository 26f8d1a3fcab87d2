# SPDX-License-Identifier: Apache-2.0
"""The arguments of commands whose jobs run side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_spread_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """``--processes`` and ``--ray``; ``what`` is done side by side."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--processes", type=int, default=1, metavar="N", help=f"{what} at once (%(default)s)")
    group.add_argument("--ray", default="", metavar="ADDRESS",
                       help=f"{what} on a Ray cluster: auto, ray://HOST:10001, HOST:6379, or local for one of this "
                            "machine's own; every machine must see the same files")
