# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import builtins
import os
import subprocess
import sys

import numpy as np
import pytest

from ssma_ros.encodings.depth_completion import fill_fast
from ssma_ros.encodings.warm_up import warm_up
from ssma_ros.kernels import backend


def test_importing_preprocessing_does_not_import_numba():
    code = (
        "import sys; import ssma_ros.encodings.depth_completion, ssma_ros.encodings.hha;"
        " sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_numba_it_runs_plain_and_says_so(monkeypatch, caplog):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("ssma_ros.kernels.numba"):
            raise ImportError("no module named numba")
        return real(name, *args, **kwargs)

    backend.compiled_modules.cache_clear()
    monkeypatch.setattr(builtins, "__import__", refuse)
    try:
        with caplog.at_level("WARNING"):
            assert backend.compiled_modules() is None
            assert abs(fill_fast(np.full((9, 9), 2.0, np.float32))[4, 4] - 2.0) < 1e-4
        assert "no module named numba" in caplog.text
    finally:
        backend.compiled_modules.cache_clear()


def test_nothing_compiles_after_the_warm_up():
    pytest.importorskip("numba")
    from numba.core import event

    from ssma_ros.encodings.depth_completion import fill_multiscale
    from ssma_ros.encodings.hha import encode_hha
    from ssma_ros.frame import Intrinsics

    assert warm_up(64, 48) > 0
    depth = np.full((48, 64), 4.0, np.float32)
    depth[::5] = np.nan
    depth.setflags(write=False)
    with event.install_recorder("numba:compile") as recorder:
        for extrapolate in (False, True):
            fill_fast(depth, extrapolate=extrapolate, blur="gaussian")
            fill_multiscale(depth[:, ::-1], extrapolate=extrapolate)
        encode_hha(depth, Intrinsics(60.0, 60.0, 31.0, 23.0, 64, 48), missing=depth > 1e9)
    assert not recorder.buffer


def test_whoever_waits_for_the_compiler_is_told_first_and_once(tmp_path):
    """In processes of their own: one that compiles, with a cache of its own, and one that finds it there."""
    pytest.importorskip("numba")
    code = (
        "from ssma_ros.kernels.numba import jit\n"
        "import numba; numba.njit(lambda x: x + 1)(1)  # somebody else's\n"
        "print('called', flush=True)\n"
        "jit.mirrored(3, 2); jit.mirrored(3.0, 2); print('done')"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    said = [
        subprocess.run(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=True,
        ).stdout.splitlines()
        for _ in range(2)
    ]
    sentence = "compiling preprocessing kernels for the first time, which takes up to a minute"
    assert said == [["called", sentence, "done"], ["called", "done"]]


@pytest.mark.parametrize("anywhere", [True, False])
def test_a_machine_that_keeps_no_compiled_code_is_told_once(tmp_path, anywhere):
    """No folder that can be written, as in a container of a user without a home."""
    pytest.importorskip("numba")
    code = (
        "import numba.core.caching as caching\n"
        "implementation = getattr(caching, 'CacheImpl', None) or caching._CacheImpl  # newer and older numba\n"
        f"if not {anywhere}: implementation._locator_classes = []\n"
        "from ssma_ros.kernels.backend import compiled_modules\n"
        "compiled_modules(); compiled_modules()"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=True,
    ).stdout
    assert said.count("compiled again at every start") == (0 if anywhere else 1)
    assert ("expected NUMBA_CACHE_DIR to name a folder that can be written" in said) != anywhere


def test_machine_code_of_older_sources_is_thrown_away(monkeypatch, tmp_path):
    pytest.importorskip("numba")
    from types import SimpleNamespace

    from ssma_ros.kernels.numba import cache

    kernel = SimpleNamespace(stats=SimpleNamespace(cache_path=tmp_path))
    monkeypatch.setattr(cache, "fill", SimpleNamespace(fast=kernel))
    old, own = tmp_path / "fill.fast-1.py311.nbi", tmp_path / "notes.txt"
    for file in (old, own):
        file.write_text("x")
    cache.discard_stale()
    assert not old.exists()
    assert own.exists()
    old.write_text("made from the present sources")
    cache.discard_stale()
    assert old.exists()
    monkeypatch.setattr(cache, "source_digest", lambda: "changed")
    cache.discard_stale()
    assert not old.exists()


def test_changed_constants_are_other_machine_code(tmp_path, monkeypatch):
    pytest.importorskip("numba")
    from ssma_ros.kernels.numba import cache

    before = cache.source_digest()
    changed = tmp_path / "constants.py"
    changed.write_text("EMPTY_BELOW = 0.2")
    monkeypatch.setattr(cache.constants, "__file__", str(changed))
    assert cache.source_digest() != before
