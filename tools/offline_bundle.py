# SPDX-License-Identifier: Apache-2.0
"""Pack what a GPU machine without a network lacks: ``python tools/offline_bundle.py ssma_offline.tar.xz``.

The machine has Python, PyTorch for its GPU and the CUDA toolkit; the archive brings pycuda (as source, which is built
there) and rosbags. A second one, ``ssma_offline-tensorrt.tar.xz``, brings ONNX Runtime's TensorRT-RTX provider and
TensorRT's bindings. Each is under 64 MiB, and both unpack into one folder. There:

    for part in ssma_offline*.tar.xz; do tar xf $part; done; . ssma_offline/install.sh; ssma selftest --gpu

The bindings over TensorRT-RTX's libraries are an unofficial pairing; where NVIDIA's TensorRT is installed, leave the
script's LD_LIBRARY_PATH out.
"""

from __future__ import annotations

import argparse
import lzma
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from tensorrt_pairing import LINKS, WHEELS, unpack

#: Beside them: rosbags with what it needs, and what pycuda needs.
PACKAGES = (*WHEELS, "rosbags>=0.11.7,<0.12", "apsw", "backports.zstd", "lz4", "ruamel.yaml", "pytools", "platformdirs",
            "siphash24", "mako", "markupsafe")
#: Built on the machine itself, against its CUDA toolkit.
SOURCES = ("pycuda>=2025.1",)
#: Headers that pycuda's build asks for and not every toolkit has.
HEADERS = "nvidia-curand"
#: As it is on most clusters; pip takes each of them.
_PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (39, 34, 31, 28, 27, 26, 24, 17, 12, 5)] + [
    "manylinux2014_x86_64", "manylinux1_x86_64",
]
#: ONNX Runtime's provider loads it for custom operators alone and goes on without; it is 70 MB that hardly compress.
LEFT_OUT = "onnxruntime_ep_nv_tensorrt_rtx/libtensorrt_plugins.so"
LIMIT_MIB = 64.0
#: Machine code compresses better once its jumps are absolute, and the libraries repeat themselves over 100 MB.
_FILTERS = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 256 << 20}]
_NAME = "ssma_offline"
#: What goes into the second archive has one of these in its path.
_OF_TENSORRT = ("tensorrt", "libnv")

INSTALL = """# Source this from a shell: . ssma_offline/install.sh
here=$(cd "$(dirname "${BASH_SOURCE:-$0}")" && pwd)
python3 -c 'import sys; sys.exit(sys.version_info[:2] != (%(major)s, %(minor)s))' ||
    echo "ssma_offline: was packed for Python %(major)s.%(minor)s, expected that one as python3"
[ -d "$here/site/pycuda" ] || CPATH="$here/include:$CPATH" python3 -m pip install --quiet --no-index --no-deps \\
    --no-build-isolation --target "$here/site" "$here"/sources/*.tar.gz ||
    echo "ssma_offline: pycuda was not built (see above); it needs nvcc and a C++ compiler"
export PYTHONPATH="$here/site${PYTHONPATH:+:$PYTHONPATH}"
export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
"""


def main() -> int:
    """Download, unpack, compress; 1 if the archive is larger than the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="to write, .tar.xz")
    parser.add_argument("--python", default="3.12", help="of the machine (%(default)s)")
    parser.add_argument("--downloads", type=Path, help="folder to keep what is downloaded in, for the next run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ssma_offline_") as name:
        folder = Path(name) / _NAME
        downloads = args.downloads or Path(name) / "downloads"
        download(downloads, args.python)
        arrange(downloads, folder, args.python)
        second = args.archive.with_name(args.archive.name.replace(".tar.xz", "-tensorrt.tar.xz"))
        sizes = {}
        for archive, of_tensorrt in ((args.archive, False), (second, True)):
            compress(folder, archive, of_tensorrt)
            sizes[archive] = archive.stat().st_size / 2**20
            print(f"{archive}: {sizes[archive]:.1f} MiB (limit: {LIMIT_MIB:g} MiB)")
    return int(max(sizes.values()) > LIMIT_MIB)


def download(folder: Path, python: str) -> None:
    """Wheels for that Python into ``folder/wheels``, sources and headers beside them; what is there stays."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    wheels = [*pip, "--only-binary=:all:", "--python-version", python, "--implementation", "cp"]
    for tag in (f"cp{python.replace('.', '')}", "abi3", "none"):
        wheels += ["--abi", tag]
    for platform in _PLATFORMS:
        wheels += ["--platform", platform]
    subprocess.run([*wheels, "-d", str(folder / "wheels"), *PACKAGES], check=True)
    subprocess.run([*wheels, "-d", str(folder / "headers"), HEADERS], check=True)
    sources = [*pip, "--no-binary=:all:", "--no-build-isolation", "-d", str(folder / "sources"), *SOURCES]
    subprocess.run(sources, check=True)


def arrange(downloads: Path, folder: Path, python: str) -> None:
    """The archive's folder: ``site`` to import from, ``lib`` with links, ``sources``, ``include``, the script."""
    site, lib, include = folder / "site", folder / "lib", folder / "include"
    lib.mkdir(parents=True)
    include.mkdir()
    unpack(downloads / "wheels", site)
    (site / LEFT_OUT).unlink(missing_ok=True)
    for name, target in LINKS.items():
        (lib / name).symlink_to(Path("..") / "site" / "onnxruntime_ep_nv_tensorrt_rtx" / target)
    (site / "tensorrt").mkdir()
    (site / "tensorrt" / "__init__.py").write_text(
        "from tensorrt_bindings import *\nfrom tensorrt_bindings import __version__\n"
    )
    shutil.copytree(downloads / "sources", folder / "sources")
    for wheel in (downloads / "headers").glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.namelist():
                if entry.endswith(".h"):
                    (include / Path(entry).name).write_bytes(archive.read(entry))
    major, minor = python.split(".")
    (folder / "install.sh").write_text(INSTALL % {"major": major, "minor": minor})


def compress(folder: Path, archive: Path, of_tensorrt: bool) -> None:
    """One archive, of what belongs to TensorRT or of the rest; libraries first, side by side."""
    files = [
        p for p in folder.rglob("*")
        if not p.is_dir() and of_tensorrt == any(word in str(p.relative_to(folder)) for word in _OF_TENSORRT)
    ]
    files.sort(key=lambda p: (".so" not in p.name, p.suffix, p))
    with lzma.open(archive, "wb", filters=_FILTERS) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        for file in files:
            tar.add(file, Path(_NAME) / file.relative_to(folder))


if __name__ == "__main__":
    sys.exit(main())
