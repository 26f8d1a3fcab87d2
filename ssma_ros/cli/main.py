# SPDX-License-Identifier: Apache-2.0
"""Entry point of ``ssma``: finds the command's module, runs it, turns user errors into one sentence."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import pkgutil
import select
import signal
import sys
from typing import TYPE_CHECKING, Any

from ssma_ros import cli
from ssma_ros.errors import SsmaError
from ssma_ros.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Modules of this package that are no command.
_PLUMBING = ("main",)
#: Commands with parts: what one does, what its parts are. A module ``<command>_<part>`` is ``ssma <command> <part>``.
_GROUPS = {
    "benchmark": ("measure a part of the system on this machine", "what to measure"),
    "labels": ("exchange, check and make labels of a data set", "what to do"),
}
#: A disk that is full, over its quota or read-only, and a file that is larger than allowed.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
#: Packages that not every installation has, and the extra that brings each.
_EXTRAS = {
    "torch": "export",
    "safetensors": "export",
    "onnx": "export",
    "onnxscript": "export",
    "onnx_ir": "export",
    "mujoco": "synthetic",
    "yaml": "train",
    "PIL": "demo",
    "ray": "ray",
    "pycocotools": "labels",
    "label_studio_converter": "labels",
}


def _command_modules() -> list[str]:
    """Names of the command modules in this folder.

    Each exposes NAME, HELP, ``add_arguments(parser)`` and ``run(args) -> int`` and imports nothing heavy
    before ``run``. Those of the commands in :data:`_GROUPS` are parts of them.
    """
    names = (module.name for module in pkgutil.iter_modules(cli.__path__))
    return sorted(name for name in names if name not in _PLUMBING and not name.startswith("_"))


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="ssma", description="Multimodal semantic segmentation with SSMA fusion networks."
    )
    parser.add_argument("--version", action="version", version=f"ssma_ros {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=_CommandParser
    )
    names = _command_modules()
    grouped = {name: group for name in names for group in _GROUPS if name.startswith(f"{group}_")}
    for name in names:
        if name not in grouped:
            _add(commands, name)
    for group, (text, title) in _GROUPS.items():
        parts = commands.add_parser(group, help=text).add_subparsers(title=title, metavar="PART", required=True)
        for name in names:
            if grouped.get(name) == group:
                _add(parts, name)
    return parser


def _add(commands: argparse._SubParsersAction[_CommandParser], name: str) -> None:
    module = importlib.import_module(f"ssma_ros.cli.{name}")
    parser = commands.add_parser(module.NAME, help=module.HELP, description=module.HELP)
    parser.declare = module.add_arguments
    parser.set_defaults(run=module.run)


class _CommandParser(argparse.ArgumentParser):
    """Declares its arguments when it is used: they are made from options, whose modules are too slow to import for a
    command that was not asked for."""

    declare: Callable[[argparse.ArgumentParser], None] | None = None

    def parse_known_args(self, *arguments: Any, **named: Any) -> Any:
        """As of the base class."""
        declare, self.declare = self.declare, None
        if declare is not None:
            declare(self)
        return super().parse_known_args(*arguments, **named)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``ssma``; the exit status is 0, 1 (an error the user can mend), 2 (usage), 130 (interrupted) or 141 (who read
    the output, ``| head`` for example, has gone)."""
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()  # here, where a reader that has gone can still be handled
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        # Python flushes once more at exit, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _nobody_reads() -> bool:
    """Whether it is standard output whose reader has gone, and not another pipe that broke."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return bool(poll.poll(0))  # errors are always reported


def _run(arguments: Sequence[str] | None) -> int:
    try:
        args = build_parser().parse_args(arguments)
        status: int = args.run(args)
    except SsmaError as error:
        print(f"ssma: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        extra = _EXTRAS[package]
        print(f"ssma: package {package} is not installed, try 'pip install ssma_ros[{extra}]'", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in _DISK:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(f"ssma: the disk cannot be written: {error.strerror}{where}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ssma: interrupted", file=sys.stderr)
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
