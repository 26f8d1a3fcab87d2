# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the live tests."""

from __future__ import annotations

import itertools
import os

import pytest

_numbers = itertools.count()
#: 1 to 90; those above are for tests that name theirs.
_DOMAINS = 90


def next_domain() -> int:
    """A ROS domain that no other worker of this run has, and other runs on the same machine hardly."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    run = os.getppid() if workers > 1 else os.getpid()
    # Worker w has the domains 1 + w, 1 + w + workers, …
    return 1 + worker + workers * ((run * 7 + next(_numbers)) % (_DOMAINS // workers))


@pytest.fixture
def domain() -> int:
    """A ROS domain of this test's own."""
    return next_domain()


@pytest.fixture(scope="module")
def module_domain() -> int:
    """A ROS domain for all tests of one file."""
    return next_domain()
