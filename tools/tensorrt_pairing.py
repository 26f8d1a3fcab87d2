# SPDX-License-Identifier: Apache-2.0
"""Set up a folder for test_tensorrt_real_builder.py: ``python tools/tensorrt_pairing.py FOLDER``.

Downloads two wheels (150 MB), unpacks them into FOLDER/site and links TensorRT-RTX's libraries in FOLDER/lib under
the names that TensorRT's bindings ask for. The plugin library, which nothing here uses, is an empty stand-in made
with the C compiler. Installs nothing.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

WHEELS = ("tensorrt-cu13-bindings==11.4.0.106", "onnxruntime-ep-nv-tensorrt-rtx-cu13==0.5.0")
LINKS = {"libnvinfer.so.11": "libtensorrt_rtx.so.1.7.1", "libnvonnxparser.so.11": "libtensorrt_onnxparser_rtx.so.1.7.1"}


def unpack(wheels: Path, site: Path) -> None:
    """Unpack every wheel of a folder into another."""
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)


def main(folder: Path) -> None:
    """Download, unpack, link."""
    wheels, site, lib = folder / "wheels", folder / "site", folder / "lib"
    lib.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(wheels), *WHEELS], check=True)
    unpack(wheels, site)
    libraries = (site / "onnxruntime_ep_nv_tensorrt_rtx").resolve()
    for name, target in LINKS.items():
        link = lib / name
        link.unlink(missing_ok=True)
        link.symlink_to(libraries / target)
    plugin = lib / "libnvinfer_plugin.so.11"
    command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{plugin.name}", "-x", "c", "-", "-o", str(plugin)]
    source = "int initLibNvInferPlugins(void* logger, const char* name) { (void)logger; (void)name; return 1; }"
    subprocess.run(command, input=source, text=True, check=True)
    print(f"export SSMA_TENSORRT_PAIRING={folder.resolve()}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/tensorrt_pairing.py FOLDER")
    main(Path(sys.argv[1]))
