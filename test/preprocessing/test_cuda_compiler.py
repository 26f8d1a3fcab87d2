# SPDX-License-Identifier: Apache-2.0
"""The kernels must become machine code for the GPUs they are meant for, on a machine that has none."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from preprocessing import cuda_host
from ssma_ros.errors import SsmaError
from ssma_ros.kernels.cuda import compiler
from ssma_ros.kernels.cuda.device import SIGNATURES
from ssma_ros.kernels.shared import constants

#: Xavier, Orin, Hopper, Thor, Blackwell. A compiler may not know the oldest or the newest.
ARCHITECTURES = ("sm_72", "sm_87", "sm_90", "sm_110", "sm_120")


def nvcc_or_skip() -> str:
    return compiler.find_nvcc() or pytest.skip("no nvcc on this machine")


def nvrtc_or_skip() -> str:
    return compiler.find_nvrtc() or pytest.skip("no NVRTC library on this machine (pip install nvidia-cuda-nvrtc)")



@pytest.mark.parametrize("source", compiler.SOURCES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nvcc(source, architecture):
    nvcc = nvcc_or_skip()
    known = subprocess.run([nvcc, "--list-gpu-code"], capture_output=True, text=True, check=True).stdout.split()
    if architecture not in known:
        pytest.skip(f"this nvcc does not know {architecture}")
    code = compiler.compile_with_nvcc(nvcc, source, architecture)
    assert code.startswith(b"\x7fELF")
    for kernel in SIGNATURES[source]:
        assert f".text.{kernel}".encode() in code


@pytest.mark.parametrize("source", compiler.SOURCES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nvrtc(source, architecture):
    library = nvrtc_or_skip()
    try:
        code = compiler.compile_with_nvrtc(library, source, architecture)
    except SsmaError as error:
        if "status 5" in str(error) or "invalid value" in str(error):
            pytest.skip(f"this NVRTC does not know {architecture}")
        raise
    assert code.startswith(b"\x7fELF")
    for kernel in SIGNATURES[source]:
        assert f".text.{kernel}".encode() in code


def test_sources_do_not_compile_without_the_constants(tmp_path):
    if (made := cuda_host.build(tmp_path, definitions=())) is None:
        pytest.skip("no C++ compiler")
    assert made == {}
    assert "the constants are missing" in (tmp_path / "fill.log").read_text()


@pytest.mark.parametrize("name", [text[2:].partition("=")[0] for text in compiler.DEFINITIONS])
def test_no_constant_is_stated_twice(name):
    """Neither defined again in a CUDA source, nor again in a module of the kernels or the encodings."""
    package = compiler._HERE.parents[1]
    files = [*package.glob("kernels/**/*.py"), *package.glob("encodings/*.py"), *compiler._HERE.glob("*.cu*")]
    again = re.compile(rf"#define {name}\b|^_?{name}\s*=\s*(np\.float32\()?[-\d.]", re.MULTILINE)
    assert [f.name for f in files if again.search(f.read_text()) and f.name != "constants.py"] == []


def test_other_numbers_are_other_machine_code(monkeypatch):
    before = {source: compiler._digest(source) for source in compiler.SOURCES}
    changed = tuple(option.replace("EMPTY_BELOW=0.1f", "EMPTY_BELOW=0.2f") for option in compiler._OPTIONS)
    assert changed != compiler._OPTIONS
    monkeypatch.setattr(compiler, "_OPTIONS", changed)
    assert all(compiler._digest(source) != digest for source, digest in before.items())


def test_the_windows_and_bins_fit_what_the_kernels_make_of_them():
    """A coarse window is three by three fine ones of seven pixels; a block of threads sums the histogram in parts."""
    assert (constants.FINE_RADIUS, constants.COARSE_RADIUS) == (3, 10)
    assert constants.HEIGHT_BINS % constants.REDUCERS == 0
    assert constants.REDUCERS.bit_count() == 1


@pytest.mark.parametrize("source", compiler.SOURCES)
def test_signatures_are_those_of_the_kernels(source):
    text = (compiler._HERE / f"{source}.cu").read_text()
    found = {}
    for name, parameters in re.findall(r"__global__ void (\w+)\(([^)]*)\)", text):
        found[name] = "".join(
            "P" if "*" in parameter else {"int": "i", "float": "f"}[parameter.split()[0]]
            for parameter in parameters.split(",")
        )
    assert found == SIGNATURES[source]


def test_machine_code_is_made_once(tmp_path, monkeypatch):
    made = []

    def compile_source(source: str, architecture: str) -> bytes:
        made.append((source, architecture))
        return b"code"

    monkeypatch.setattr(compiler, "compile_source", compile_source)
    for _ in range(2):
        assert compiler.cubin("fill", "sm_87", cache=tmp_path) == b"code"
    compiler.cubin("fill", "sm_90", cache=tmp_path)
    assert made == [("fill", "sm_87"), ("fill", "sm_90")]
    monkeypatch.setattr(compiler, "_digest", lambda source: "changed")
    compiler.cubin("fill", "sm_87", cache=tmp_path)
    assert len(made) == 3
    assert not [file for file in tmp_path.iterdir() if file.suffix != ".cubin"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_read_only_cache_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(compiler, "compile_source", lambda source, architecture: b"code")
    tmp_path.chmod(0o500)
    assert compiler.cubin("fill", "sm_87", cache=tmp_path) == b"code"


@pytest.mark.parametrize("home", ["a file", "none"])
def test_a_cache_that_cannot_be_written_is_told_once(tmp_path, monkeypatch, caplog, home):
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    (tmp_path / "home").write_text("no folder")
    monkeypatch.setattr(compiler, "compile_source", lambda source, architecture: b"code")
    monkeypatch.setattr(Path, "home", no_home if home == "none" else lambda: tmp_path / "home")
    monkeypatch.delenv("SSMA_CUDA_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    compiler._say_not_kept.cache_clear()
    assert [compiler.cubin(source, "sm_87") for source in ("fill", "hha")] == [b"code"] * 2
    (record,) = caplog.records
    assert "compiled again at every start, expected SSMA_CUDA_CACHE to name a folder" in record.getMessage()


def test_refusals_are_sentences(monkeypatch):
    nvcc = nvcc_or_skip()
    with pytest.raises(SsmaError, match=r"nvcc refuses fill\.cu for sm_1: "):
        compiler.compile_with_nvcc(nvcc, "fill", "sm_1")
    monkeypatch.setattr(compiler, "find_nvcc", lambda: None)
    monkeypatch.setattr(compiler, "find_nvrtc", lambda: None)
    with pytest.raises(SsmaError, match=r"found neither nvcc .* nor libnvrtc, expected one of them"):
        compiler.compile_source("fill", "sm_87")
