# SPDX-License-Identifier: Apache-2.0
"""The whole suite in two runs of pytest: what computes, then what talks over a graph, each on several workers.

Live tests mostly wait for processes of their own, so two of them side by side leave each other time; beside tests that
compute they would not keep theirs.

``python test/run.py [--workers N] [pytest arguments]``; arguments are those of pytest, ``-m`` is narrowed for each run.
Ends with one line that adds both runs up, and with the exit status of the worse one.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
#: Every worker computes on one core: thread pools of two workers on two cores would hold each other up.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
NOTHING_SELECTED = 5


def run(title: str, marker: str, arguments: list[str], workers: int) -> tuple[int, Counter[str]]:
    """One run of pytest, shown as it goes; its status and the numbers of its closing line."""
    command = [sys.executable, "-m", "pytest", "-m", marker, *arguments]
    environment = dict(os.environ)
    if workers > 1:
        command += ["-n", str(workers), "--dist", "loadfile"]
        environment |= dict.fromkeys(ONE_THREAD, "1")
    print(f"== {title}", flush=True)
    counts: Counter[str] = Counter()
    with subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            found = re.findall(r"(\d+) (passed|failed|skipped|errors?|xfailed|deselected)", line)
            if found and re.search(r" in [\d.]+s", line):
                counts = Counter({kind.rstrip("s"): int(number) for number, kind in found})
    return process.returncode, counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2, help="of each run (%(default)s)")
    parser.add_argument("-m", dest="marker", default="", help="tests to take, as pytest's")
    args, others = parser.parse_known_args()
    # The closing line is read, so it must be there.
    others = ["-o", "addopts=--strict-markers --import-mode=importlib -p no:launch_testing -p no:launch_ros", *others]
    narrowed = f"({args.marker}) and " if args.marker else ""
    started = time.monotonic()
    total: Counter[str] = Counter()
    worst = 0
    for title, marker in (("tests that compute", "not live"), ("live tests", "live")):
        status, counts = run(title, narrowed + marker, others, args.workers)
        total += counts
        if status != NOTHING_SELECTED:
            worst = max(worst, status)
    minutes = (time.monotonic() - started) / 60
    failed = total["failed"] + total["error"]
    print(f"== {minutes:.1f} minutes in all")
    print(f"{total['passed']} passed, {failed} failed, {total['skipped']} skipped", flush=True)
    return worst if sum(total.values()) else NOTHING_SELECTED


if __name__ == "__main__":
    sys.exit(main())
