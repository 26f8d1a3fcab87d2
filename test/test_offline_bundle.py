# SPDX-License-Identifier: Apache-2.0
"""The archive for a machine without a network: what lies where in it, and what its script sets up."""

from __future__ import annotations

import lzma
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture
def bundle(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import offline_bundle

    monkeypatch.setattr(offline_bundle, "_FILTERS", [
        {"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 1}
    ])
    return offline_bundle


def test_the_archive_is_ready_to_use(bundle, tmp_path):
    downloads, archive = tmp_path / "downloads", tmp_path / "ssma_offline.tar.xz"
    for name in ("wheels", "headers", "sources"):
        (downloads / name).mkdir(parents=True)
    provider = {f"onnxruntime_ep_nv_tensorrt_rtx/{name}": "library" for name in bundle.LINKS.values()}
    with zipfile.ZipFile(downloads / "wheels" / "provider-1.whl", "w") as packed:
        for name, text in provider.items():
            packed.writestr(name, text)
        packed.writestr("tensorrt_bindings/__init__.py", "__version__ = '11.4'\nclass Builder: pass\n")
        packed.writestr("pycuda/__init__.py", "")  # built already: the script has nothing to build
    with zipfile.ZipFile(downloads / "headers" / "curand-1.whl", "w") as packed:
        packed.writestr("nvidia/cu13/include/curand.h", "// header")
        packed.writestr("nvidia/cu13/lib/libcurand.so.10", "large")
    (downloads / "sources" / "pycuda-1.tar.gz").write_text("source")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    bundle.arrange(downloads, tmp_path / "ssma_offline", version)
    there, found = tmp_path / "there", []
    for of_tensorrt in (False, True):
        bundle.compress(tmp_path / "ssma_offline", archive, of_tensorrt)
        with tarfile.open(archive) as packed:
            found.append(set(packed.getnames()))
            packed.extractall(there)
    assert "ssma_offline/install.sh" in found[0]
    assert "ssma_offline/site/tensorrt/__init__.py" in found[1]
    assert not found[0] & found[1]
    names = {str(p.relative_to(there / "ssma_offline")) for p in there.rglob("*") if not p.is_dir()}
    assert {"include/curand.h", "sources/pycuda-1.tar.gz", "site/tensorrt/__init__.py", "install.sh"} <= names
    assert not any("libcurand" in name for name in names)
    for name in bundle.LINKS:
        assert (there / "ssma_offline" / "lib" / name).read_text() == "library"
    program = "import tensorrt, os; print(tensorrt.__version__, tensorrt.Builder, os.environ['LD_LIBRARY_PATH'])"
    script = f"set -e; python3() {{ '{sys.executable}' \"$@\"; }}; . ssma_offline/install.sh; python3 -c \"{program}\""
    done = subprocess.run(["bash", "-c", script], cwd=there, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("11.4 <class 'tensorrt_bindings.Builder'>"), done.stdout
    assert f"{there}/ssma_offline/lib" in done.stdout
    assert done.stderr == ""


def test_another_python_is_told(bundle, tmp_path):
    script = tmp_path / "install.sh"
    script.write_text(bundle.INSTALL % {"major": 2, "minor": 7})
    (tmp_path / "site" / "pycuda").mkdir(parents=True)
    done = subprocess.run(["bash", "-c", f". {script}"], capture_output=True, text=True, check=True)
    assert "was packed for Python 2.7, expected that one" in done.stdout
