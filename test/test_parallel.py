# SPDX-License-Identifier: Apache-2.0
"""Jobs side by side: here, in processes, on a Ray of this machine's own."""

from __future__ import annotations

import os
import sys

import pytest
from parallel_jobs import die, square

from ssma_ros.errors import SsmaError
from ssma_ros.parallel import LOCAL, spread


@pytest.fixture(scope="module")
def local_ray():
    """One start for all tests of this file."""
    ray = pytest.importorskip("ray", reason="pip install ssma_ros[ray]")
    import ssma_ros

    folders = [os.path.dirname(os.path.dirname(ssma_ros.__file__)), os.path.dirname(__file__)]
    path = os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")])
    ray.init(address=LOCAL, num_cpus=2, include_dashboard=False, log_to_driver=False,
             runtime_env={"env_vars": {"PYTHONPATH": path}})
    yield
    ray.shutdown()


@pytest.mark.parametrize("how", [{"processes": 1}, {"processes": 2}], ids=str)
def test_every_job_is_done_once(how):
    assert dict(spread(square, [3, 1, 2], **how)) == {0: 9, 1: 1, 2: 4}
    assert dict(spread(square, [], **how)) == {}
    with pytest.raises(SsmaError, match="number is -1"):
        dict(spread(square, [1, -1, 2], **how))


@pytest.mark.slow
def test_ray_does_the_same(local_ray):
    assert dict(spread(square, [3, 1, 2], ray=LOCAL)) == {0: 9, 1: 1, 2: 4}
    with pytest.raises(SsmaError, match="number is -1"):
        dict(spread(square, [1, -1, 2], ray=LOCAL))
    with pytest.raises(SsmaError, match="a process of the Ray cluster died"):
        dict(spread(die, [1], ray=LOCAL))


def test_a_process_that_dies_is_one_sentence():
    with pytest.raises(SsmaError, match="one of 2 processes died"):
        dict(spread(die, [1, 2], processes=2))


def test_what_cannot_be_is_refused_by_the_call():
    with pytest.raises(SsmaError, match="processes is 0, expected at least 1"):
        spread(square, [1], processes=0)


def test_without_ray_its_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModuleNotFoundError):
        spread(square, [1], ray=LOCAL)
