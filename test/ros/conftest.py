# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the live tests."""

from __future__ import annotations

import itertools
import os

import pytest

_numbers = itertools.count()


@pytest.fixture
def domain() -> int:
    """A ROS domain of this test's own; other runs on the same machine have others."""
    return 1 + (os.getpid() * 7 + next(_numbers)) % 100


@pytest.fixture(scope="module")
def module_domain() -> int:
    """A ROS domain for all tests of one file."""
    return 1 + (os.getpid() * 7 + next(_numbers)) % 100
