"""MP4 files that common players show: H.264 where an encoder is at hand, MPEG-4 part 2 otherwise."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

#: H.264 encoders of ffmpeg by preference, with their quality settings.
_H264 = {"libx264": ["-preset", "medium", "-crf", "20"], "libopenh264": ["-b:v", "6M"]}


class _Sink(Protocol):
    codec: str

    def write(self, picture: NDArray[np.uint8]) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class VideoWriter:
    """Writes RGB pictures as an MP4 file; a context manager. The file is removed if the block fails.

    The encoder is ffmpeg as a program of its own (the one imageio-ffmpeg brings, else the system's), which
    keeps its licence (GPL with libx264) apart from ours; without it OpenCV writes MPEG-4 part 2.

    Args:
        path: of the ``.mp4`` file.
        width, height: of every picture, even numbers of pixels.
        rate: pictures a second.
    """

    def __init__(self, path: str | Path, width: int, height: int, rate: float) -> None:
        if width % 2 or height % 2:
            raise ValueError(f"video size is {width}x{height}, expected even numbers (4:2:0 colour)")
        self.path = Path(path)
        self._size = (width, height)
        found = find_h264_encoder()
        self._sink: _Sink = (
            _FfmpegSink(self.path, self._size, rate, *found) if found else _OpenCvSink(self.path, self._size, rate)
        )

    @property
    def codec(self) -> str:
        """Codec and encoder in words."""
        return self._sink.codec

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._sink.close()
                return
        except BaseException:
            self.path.unlink(missing_ok=True)
            raise
        self._sink.abort()
        self.path.unlink(missing_ok=True)

    def write(self, picture: NDArray[np.uint8]) -> None:
        """Append an H×W×3 uint8 RGB picture.

        Raises:
            ValueError: it has another size.
            SsmaError: the encoder refuses it (disk full, for example).
        """
        width, height = self._size
        if picture.shape != (height, width, 3) or picture.dtype != np.uint8:
            raise ValueError(f"video picture is {picture.shape} {picture.dtype}, expected ({height}, {width}, 3) uint8")
        self._sink.write(picture)


@cache
def find_h264_encoder() -> tuple[str, str] | None:
    """(ffmpeg program, encoder name), or None where there is no H.264 encoder."""
    for program in _ffmpeg_programs():
        try:
            listing = subprocess.run(
                [program, "-hide_banner", "-encoders"], capture_output=True, text=True, timeout=30, check=True
            ).stdout.split()
        except (OSError, subprocess.SubprocessError):
            continue
        for encoder in _H264:
            if encoder in listing:
                return program, encoder
    return None


def _ffmpeg_programs() -> list[str]:
    programs = []
    try:
        import imageio_ffmpeg

        programs.append(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        pass
    system = shutil.which("ffmpeg")
    return [*programs, system] if system else programs


class _FfmpegSink:
    def __init__(self, path: Path, size: tuple[int, int], rate: float, program: str, encoder: str) -> None:
        self.codec = f"H.264 ({encoder})"
        self._path = path
        command = [
            program, "-hide_banner", "-loglevel", "error", "-y",
            "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", f"{rate:.6g}", "-i", "pipe:0",
            "-c:v", encoder, *_H264[encoder], "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path),
        ]  # fmt: skip
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        assert self._process.stdin is not None
        self._pipe: IO[bytes] = self._process.stdin

    def write(self, picture: NDArray[np.uint8]) -> None:
        try:
            self._pipe.write(np.ascontiguousarray(picture).data)
        except OSError:
            raise self._failed() from None

    def close(self) -> None:
        try:
            self._pipe.close()
        except OSError:
            raise self._failed() from None
        if self._process.wait() != 0:
            raise self._failed()
        self._errors().close()

    def abort(self) -> None:
        self._process.kill()
        self._process.wait()
        self._errors().close()
        with contextlib.suppress(OSError):  # what was buffered for the killed encoder is of no use
            self._pipe.close()

    def _errors(self) -> IO[bytes]:
        assert self._process.stderr is not None
        return self._process.stderr

    def _failed(self) -> SsmaError:
        status = self._process.wait()
        words = " ".join(self._errors().read().decode(errors="replace").split())[-300:]
        return SsmaError(f"video {self._path}: the encoder ended with status {status} ({words or 'no reason given'})")


class _OpenCvSink:
    def __init__(self, path: Path, size: tuple[int, int], rate: float) -> None:
        self.codec = "MPEG-4 part 2 (OpenCV; install imageio-ffmpeg or ffmpeg for H.264)"
        self._path = path
        self._writer: Any = cv2.VideoWriter(os.fspath(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, size)  # type: ignore[attr-defined]
        if not self._writer.isOpened():
            raise SsmaError(f"video {path}: OpenCV cannot write it, expected ffmpeg or an OpenCV with video support")

    def write(self, picture: NDArray[np.uint8]) -> None:
        self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        self._writer.release()
        if not self._path.is_file() or self._path.stat().st_size == 0:
            raise SsmaError(f"video {self._path}: OpenCV wrote nothing, the disk may be full")

    def abort(self) -> None:
        self._writer.release()
