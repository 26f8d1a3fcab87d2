# SPDX-License-Identifier: Apache-2.0
"""``ssma selftest --gpu``: one command for a new GPU machine, offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError, expected_one_of

if TYPE_CHECKING:
    import argparse

    from ssma_ros.selftest.steps import Step

NAME = "selftest"
HELP = "run everything that this package does on a GPU, compare it with the processor, and time it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--gpu", action="store_true",
                      help="run the steps on this machine's GPU, each in a process of its own; the exit status is 0 "
                           "where all that could be run passed, 1 where a step failed, 3 where no step could be run")
    what.add_argument("--page-of", type=Path, metavar="JSON", help="only make the page of an earlier run's results")
    parser.add_argument("--json", type=Path, default=Path("selftest.json"), metavar="FILE",
                        help="results, written after each step (%(default)s)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the page there (default: print it)")
    parser.add_argument("--minutes", type=float, default=30.0,
                        help="to take in all; steps stand in order of their value (%(default)g)")
    parser.add_argument("--steps", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--list", action="store_true", help="only print the steps")
    parser.add_argument("--size", default="768x384", metavar="WxH", help="of the images (%(default)s)")
    parser.add_argument("--models", type=Path, default=Path("selftest_models"), metavar="DIR",
                        help="where graphs and engines are kept for the next run (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="to time each network (%(default)g)")
    parser.add_argument("--rounds", type=int, default=200, help="to time each kernel (%(default)s)")
    parser.add_argument("--note", default="", help="a sentence about the machine's state, kept with the results")


def run(args: argparse.Namespace) -> int:
    """Run the steps, write JSON and page."""
    from ssma_ros.cli._size import parse_size
    from ssma_ros.files import check_file_writable, check_writable, write_json
    from ssma_ros.selftest.findings import Settings
    from ssma_ros.selftest.page import document, exit_status, summary
    from ssma_ros.selftest.run import run_steps

    if args.page_of is not None:
        return _page_of(args)
    steps = _steps(args.steps)
    if args.list:
        print("\n".join(f"{step.name:55} {step.title}" for step in steps))
        return 0
    width, height = parse_size(args.size, 16)
    if args.minutes <= 0 or args.seconds <= 0 or args.rounds < 1:
        raise SsmaError(f"minutes {args.minutes:g}, seconds {args.seconds:g}, rounds {args.rounds}: expected more than "
                        "0 minutes and seconds, and at least 1 round")
    for path in (args.json, args.markdown):
        if path is not None:
            check_file_writable(path)
    check_writable(args.models, "models")
    settings = Settings(width, height, str(args.models.absolute()), args.seconds, args.rounds)
    results, found = [], document([], args.note, args.size)
    for result in run_steps(steps, settings, args.minutes):
        results.append(result)
        found = document(results, args.note, args.size)
        write_json(args.json, found)
        news = result.words not in ("", *(earlier.words for earlier in results[:-1]))
        print(f"{result.step}: {result.state}{f' ({result.words})' if news else ''}", flush=True)
    _show(args, found)
    print(f"{summary(results)}; results: {args.json}")
    return exit_status(results)


def _page_of(args: argparse.Namespace) -> int:
    from ssma_ros.files import check_file_writable

    if args.markdown is not None:
        check_file_writable(args.markdown)
    try:
        found = json.loads(args.page_of.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SsmaError(f"results {args.page_of}: cannot be read ({error})") from None
    _show(args, found)
    return 0


def _show(args: argparse.Namespace, found: dict) -> None:
    from ssma_ros.files import write_atomically
    from ssma_ros.selftest.page import page

    if args.markdown is not None:
        write_atomically(args.markdown, page(found).encode())
    else:
        print(page(found))


def _steps(names: list[str] | None) -> tuple[Step, ...]:
    from ssma_ros.selftest.steps import STEPS

    known = [step.name for step in STEPS]
    for name in names or ():
        if name not in known:
            raise SsmaError(f"steps: got '{name}', {expected_one_of(name, known)}")
    return tuple(step for step in STEPS if not names or step.name in names)
