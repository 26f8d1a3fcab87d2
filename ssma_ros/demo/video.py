# SPDX-License-Identifier: Apache-2.0
"""MP4 files that common players show: H.264 where an encoder is at hand, MPEG-4 part 2 otherwise."""

from __future__ import annotations

import contextlib
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray


class _Sink(Protocol):
    codec: str

    def write(self, picture: NDArray[np.uint8]) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class VideoWriter:
    """Writes RGB pictures as an MP4 file; a context manager. The file is removed if the block fails.

    The encoder is ffmpeg as a program of its own, run by imageio-ffmpeg, which keeps its licence (GPL with libx264)
    apart from ours; without it OpenCV writes MPEG-4 part 2.

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
        self._sink = _sink(self.path, self._size, rate)

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
def h264_at_hand() -> bool:
    """Whether imageio-ffmpeg is installed and finds an ffmpeg program: the one it brings, else the system's."""
    try:
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return False
    return True


def _sink(path: Path, size: tuple[int, int], rate: float) -> _Sink:
    if h264_at_hand():
        with contextlib.suppress(RuntimeError):  # an ffmpeg without any H.264 encoder
            return _FfmpegSink(path, size, rate)
    return _OpenCvSink(path, size, rate)


class _FfmpegSink:
    codec = "H.264 (ffmpeg)"

    def __init__(self, path: Path, size: tuple[int, int], rate: float) -> None:
        import imageio_ffmpeg

        self._path, self._written = path, 0
        # Quality 6 is libx264's rate factor 20; even numbers of pixels stay as many as they are.
        self._pictures = imageio_ffmpeg.write_frames(
            str(path), size, fps=rate, quality=6, macro_block_size=2, ffmpeg_log_level="error",
            output_params=["-movflags", "+faststart"],
        )
        self._pictures.send(None)

    def write(self, picture: NDArray[np.uint8]) -> None:
        try:
            self._pictures.send(np.ascontiguousarray(picture))
        except OSError:
            raise SsmaError(
                f"video {self._path}: ffmpeg takes no more after {self._written} pictures, and says above why"
            ) from None
        self._written += 1

    def close(self) -> None:
        import imageio_ffmpeg

        self._pictures.close()
        # Its writer does not look at how ffmpeg ended.
        try:
            found, _ = imageio_ffmpeg.count_frames_and_secs(str(self._path))
        except RuntimeError:
            found = 0
        _check_count(self._path, "ffmpeg", found, self._written)

    def abort(self) -> None:
        self._pictures.close()


class _OpenCvSink:
    def __init__(self, path: Path, size: tuple[int, int], rate: float) -> None:
        self.codec = "MPEG-4 part 2 (OpenCV; install imageio-ffmpeg for H.264)"
        self._path, self._written = path, 0
        self._writer: Any = cv2.VideoWriter(os.fspath(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, size)  # type: ignore[attr-defined]
        if not self._writer.isOpened():
            raise SsmaError(f"video {path}: OpenCV cannot write it, expected ffmpeg or an OpenCV with video support")

    def write(self, picture: NDArray[np.uint8]) -> None:
        self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        self._written += 1

    def close(self) -> None:
        self._writer.release()
        found = cv2.VideoCapture(os.fspath(self._path)).get(cv2.CAP_PROP_FRAME_COUNT)  # 0 of what it cannot open
        _check_count(self._path, "OpenCV", max(0, int(found)), self._written)

    def abort(self) -> None:
        self._writer.release()


def _check_count(path: Path, writer: str, found: int, expected: int) -> None:
    if found != expected:
        raise SsmaError(f"video {path}: {writer} wrote {found} of {expected} pictures, the disk may be full")
