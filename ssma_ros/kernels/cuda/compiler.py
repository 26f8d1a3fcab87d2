# SPDX-License-Identifier: Apache-2.0
"""CUDA sources to machine code, once for each GPU architecture and version of the sources, kept on disk."""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import importlib.util
import logging
import os
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from ssma_ros.errors import SsmaError
from ssma_ros.files import write_atomically
from ssma_ros.kernels.shared import constants

logger = logging.getLogger(__name__)

SOURCES = ("fill", "hha", "images", "registration")
_HERE = Path(__file__).parent
#: The numbers that the kernels share with the processor's code, as macros of the same names.
DEFINITIONS = tuple(
    f"-D{name}={value}{'f' if isinstance(value, float) else ''}"
    for name, value in vars(constants).items()
    if name.isupper() and isinstance(value, (int, float))
)
# No --use_fast_math: the CPU version is to be met within 1e-4 m and one level.
_OPTIONS = ("--std=c++17", *DEFINITIONS)


def cubin(source: str, architecture: str, *, cache: Path | None = None) -> bytes:
    """Machine code of one source file.

    Args:
        source: of :data:`SOURCES`.
        architecture: ``sm_87`` (Orin), ``sm_90`` (H100, H200), …
        cache: folder; default ``$SSMA_CUDA_CACHE``, else ``ssma_ros/cuda`` in the user's cache folder.

    Raises:
        SsmaError: neither nvcc nor NVRTC is there, or the compiler refuses the architecture or the source.
    """
    folder = cache if cache is not None else cache_folder()
    if folder is None:
        _say_not_kept("there is no home folder")
        return compile_source(source, architecture)
    file = folder / f"{source}-{architecture}-{_digest(source)}.cubin"
    try:
        return file.read_bytes()
    except OSError:
        code = compile_source(source, architecture)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(file, code)
    except (OSError, SsmaError) as error:  # a read-only home or a full disk
        _say_not_kept(str(error))
    return code


@lru_cache(maxsize=1)  # one sentence says it for all sources
def _say_not_kept(reason: str) -> None:
    logger.warning(
        "compiled CUDA kernels cannot be kept (%s) and are compiled again at every start, expected SSMA_CUDA_CACHE to "
        "name a folder that can be written", reason,
    )


def cache_folder() -> Path | None:
    """Where compiled kernels are kept, None where nobody says and the user has no home."""
    chosen = os.environ.get("SSMA_CUDA_CACHE")
    if chosen:
        return Path(chosen)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ssma_ros" / "cuda"
    except RuntimeError:  # neither HOME nor an entry among the users: a container with a number for a user
        return None


def compile_source(source: str, architecture: str) -> bytes:
    """Machine code of one source file, compiled now: by nvcc where there is one, else by NVRTC.

    Raises:
        SsmaError: as :func:`cubin`.
    """
    nvcc = find_nvcc()
    if nvcc is not None:
        return compile_with_nvcc(nvcc, source, architecture)
    library = find_nvrtc()
    if library is not None:
        return compile_with_nvrtc(library, source, architecture)
    raise SsmaError(
        "CUDA kernels: found neither nvcc (PATH, CUDA_HOME, /usr/local/cuda) nor libnvrtc, expected one of them; "
        "install the CUDA toolkit or `pip install nvidia-cuda-nvrtc`"
    )


def find_nvcc() -> str | None:
    """The CUDA compiler: on PATH, under ``$CUDA_HOME``, or where JetPack and the toolkit put it."""
    for home in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH")):
        if home and (Path(home) / "bin" / "nvcc").is_file():
            return str(Path(home) / "bin" / "nvcc")
    default = Path("/usr/local/cuda/bin/nvcc")
    return shutil.which("nvcc") or (str(default) if default.is_file() else None)


def find_nvrtc() -> str | None:
    """The runtime compiler's library: the system's, or that of the ``nvidia-cuda-nvrtc`` wheels."""
    found = ctypes.util.find_library("nvrtc")
    if found:
        return found
    spec = importlib.util.find_spec("nvidia")
    for root in (spec.submodule_search_locations or []) if spec else []:
        libraries = sorted(Path(root).glob("*/lib/libnvrtc.so.*"))
        if libraries:
            return str(libraries[0])
    return None


def compile_with_nvcc(nvcc: str, source: str, architecture: str) -> bytes:
    """Compile by running ``nvcc``.

    Raises:
        SsmaError: it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "kernels.cubin"
        command = [nvcc, "--cubin", f"-arch={architecture}", *_OPTIONS, "-o", str(target), str(_HERE / f"{source}.cu")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SsmaError(f"CUDA kernels: nvcc refuses {source}.cu for {architecture}: {_first_line(done.stderr)}")
        return target.read_bytes()


def compile_with_nvrtc(library: str, source: str, architecture: str) -> bytes:
    """Compile in this process through the NVRTC library at ``library``.

    Raises:
        SsmaError: it fails.
    """
    nvrtc = ctypes.CDLL(library)
    headers = [p.name for p in sorted(_HERE.glob("*.cuh"))]
    texts = [(_HERE / name).read_bytes() for name in headers]
    program = ctypes.c_void_p()
    strings = ctypes.c_char_p * len(headers)
    nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), (_HERE / f"{source}.cu").read_bytes(), f"{source}.cu".encode(), len(headers),
        strings(*texts), strings(*(name.encode() for name in headers)),
    )
    try:
        options = [f"--gpu-architecture={architecture}".encode(), *(o.encode() for o in _OPTIONS)]
        status = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        if status != 0:
            log = _nvrtc_text(nvrtc, program, "nvrtcGetProgramLog") if status == 6 else f"status {status}"
            raise SsmaError(f"CUDA kernels: NVRTC refuses {source}.cu for {architecture}: {_first_line(log)}")
        size = ctypes.c_size_t()
        nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
        code = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetCUBIN(program, code)
        return code.raw
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _nvrtc_text(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, getter: str) -> str:
    size = ctypes.c_size_t()
    getattr(nvrtc, getter + "Size")(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, getter)(program, text)
    return text.value.decode(errors="replace")


def _digest(source: str) -> str:
    """Of everything the machine code depends on but the architecture."""
    content = hashlib.sha256(" ".join(_OPTIONS).encode())
    for file in [_HERE / f"{source}.cu", *sorted(_HERE.glob("*.cuh"))]:
        content.update(file.read_bytes())
    return content.hexdigest()[:16]


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")
