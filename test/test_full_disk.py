# SPDX-License-Identifier: Apache-2.0
"""A disk that runs full in the middle of anything: one sentence, a status that is not 0, nothing half-written left.

Two kinds of full disk: a tiny file system (where the tests may mount one), and a limit on the size of files.
"""

from __future__ import annotations

import dataclasses
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssma_ros.contract import save_contract
from ssma_ros.errors import SsmaError
from ssma_ros.files import whole_file, write_atomically
from ssma_ros.folders import WholeFolder

pytest.importorskip("rosbags", reason="needs rosbags (make test installs it)")

from recordings.small_recording import HEIGHT, WIDTH, write_small_recording
from ros.stub_network import StubBackend, stub_contract
from small_disks import FULL, limited_files, tiny_file_system

from ssma_ros import inference
from ssma_ros.cli import main as command_line
from ssma_ros.recordings import records as messages
from ssma_ros.recordings.writer import RecordingWriter

PROJECT = Path(__file__).resolve().parents[1]

SmallDisk = Callable[[int], AbstractContextManager[Path]]


@pytest.fixture(params=["tiny file system", "limit"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> SmallDisk:
    """Gives a folder in which a file of more bytes than asked for does not fit."""
    kind = tiny_file_system if request.param == "tiny file system" else limited_files
    return lambda size: kind(tmp_path / "disk", size)


def entries(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_an_older_file_survives(small_disk: SmallDisk) -> None:
    with small_disk(65_536) as disk:
        write_atomically(disk / "a", b"old")
        with pytest.raises(SsmaError, match=rf"file {disk}/a: cannot be written \(({FULL})\)"):
            write_atomically(disk / "a", bytes(100_000))
        assert entries(disk) == ["a"]
        assert (disk / "a").read_bytes() == b"old"


def test_errors_of_the_writer_are_not_taken_for_the_disk(tmp_path: Path) -> None:
    def fail() -> None:
        with whole_file(tmp_path / "a"):
            raise ValueError("not the disk")

    with pytest.raises(ValueError, match="not the disk"):
        fail()
    assert entries(tmp_path) == []
    with pytest.raises(SsmaError, match="No such file or directory"):
        write_atomically(tmp_path / "nowhere" / "a", b"")


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_recording(small_disk: SmallDisk, storage: Any) -> None:
    rng = np.random.default_rng(0)

    def write(folder: Path) -> None:
        with RecordingWriter(folder / "drive", storage=storage) as writer:
            for index in range(100):
                noise = rng.integers(0, 256, (100, 100), np.uint8)  # does not compress
                message = messages.image(noise, "mono8", index, "camera")
                writer.write("/image", "sensor_msgs/msg/Image", message, index)

    with small_disk(400_000) as disk:
        with pytest.raises(SsmaError, match=rf"recording {disk}/drive: cannot be \w+ .*({FULL})"):
            write(disk)
        assert entries(disk) == []


def test_a_disk_that_is_full_before_the_recording_begins(tmp_path: Path) -> None:
    with tiny_file_system(tmp_path / "disk", 8192) as disk:
        (disk / "fill").write_bytes(bytes(8192))
        for storage in ("mcap", "sqlite3"):
            with (
                pytest.raises(SsmaError, match=rf"recording {disk}/drive: cannot be made|written .*({FULL})"),
                RecordingWriter(disk / "drive", storage=storage) as writer,
            ):
                writer.write("/x", "std_msgs/msg/String", messages.make("std_msgs/msg/String", data="x"), 0)
            assert entries(disk) == ["fill"]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_ssma_play(
    small_disk: SmallDisk, storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(inference, "load_backend", lambda *_, **__: StubBackend(stub_contract(WIDTH, HEIGHT)))
    drive = write_small_recording(tmp_path / "drive")
    with small_disk(40_000) as disk:
        arguments = ["play", str(drive), "-o", str(disk / "out"), "--model", "m", "--outputs", "*"]
        assert command_line.main([*arguments, "--storage", storage]) == 1
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert said.startswith(f"ssma: recording {disk}/out: cannot be ")
        assert entries(disk) == []


def test_a_contract_and_a_result_folder(small_disk: SmallDisk) -> None:
    with small_disk(4096) as disk:
        with pytest.raises(SsmaError, match=r"contract\.json: cannot be written"):
            save_contract(stub_contract(), _fill(disk, 4096) / "contract.json")
        assert entries(disk) == ["fill"]
        with pytest.raises(OSError, match=FULL), WholeFolder(disk / "out", what="result") as folder:
            (folder / "a").write_bytes(bytes(100_000))
        assert entries(disk) == ["fill"]


def _fill(disk: Path, size: int) -> Path:
    """Take up what room there is; where only files are limited, nothing is left of the limit either."""
    (disk / "fill").write_bytes(bytes(size))
    if resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    return disk


def test_a_training_checkpoint_leaves_the_one_before(small_disk: SmallDisk) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch (make test installs it)")
    from ssma_ros.training.fit.checkpoint import FILE_NAME, Checkpoint, Progress, load_checkpoint, save_checkpoint

    def state(size: int) -> dict[str, Any]:
        return {"weight": torch.ones(size)}

    with small_disk(300_000) as disk:
        save_checkpoint(Checkpoint(Progress(step=1), "run", state(1000), {}), disk)
        with pytest.raises(SsmaError, match=rf"{FILE_NAME}: cannot be written \(.*({FULL})"):
            save_checkpoint(Checkpoint(Progress(step=2), "run", state(100_000), {}), disk)
        assert entries(disk) == [FILE_NAME]
        kept = load_checkpoint(disk, "run")
        assert kept is not None
        assert kept.progress.step == 1


def test_weights(small_disk: SmallDisk) -> None:
    pytest.importorskip("torch", reason="needs PyTorch (make test installs it)")
    from ssma_ros.models import build_network
    from ssma_ros.models.weights import save_model

    description = {"name": "AdapNetPP", "backbone": "mobilenet_v2", "modalities": ["rgb"]}
    network = build_network(description, num_classes=5)
    contract = dataclasses.replace(stub_contract(), network=network.describe())
    with small_disk(100_000) as disk:
        with pytest.raises(SsmaError, match=r"weights.safetensors: cannot be written"):
            save_model(network, contract, disk / "model")
        assert entries(disk) == ["model"]


def test_an_exported_graph(small_disk: SmallDisk) -> None:
    pytest.importorskip("torch", reason="needs PyTorch (make test installs it)")
    ir = pytest.importorskip("onnx_ir", reason="needs onnx_ir (make test installs it)")
    from ssma_ros.inference.build.export import write_model

    weights = ir.Value(name="w", const_value=ir.tensor(np.ones(100_000, np.float32), name="w"))
    graph = ir.Graph([], [], nodes=[], initializers=[weights], opset_imports={"": 18}, name="g")
    with small_disk(100_000) as disk:
        with pytest.raises(SsmaError, match=rf"export {disk}/model.onnx: cannot be written \(({FULL})"):
            write_model(ir.Model(graph, ir_version=10), stub_contract(), disk / "model.onnx", "fp32")
        assert entries(disk) == []


class Noise:
    """Encoded samples without a data set."""

    digest = "0" * 64

    def __len__(self) -> int:
        return 64

    def name(self, index: int) -> str:
        return str(index)

    def __getitem__(self, index: int) -> Any:
        from ssma_ros.training.datasets.cache import Sample

        image = np.full((32, 64, 3), index, np.uint8)
        return Sample((image,), (True,), image[..., 0])


def test_a_cache_of_encoded_samples(small_disk: SmallDisk) -> None:
    """A mapped file on a full disk would end the process with SIGBUS."""
    pytest.importorskip("torch", reason="needs PyTorch (make test installs it)")
    from ssma_ros.training.datasets.cache import build_cache

    with small_disk(200_000) as disk:
        with pytest.raises(SsmaError, match=rf"cache {disk}/c/train: cannot be written \(({FULL})\)"):
            build_cache(Noise(), ("rgb",), disk / "c" / "train", progress=False)
        assert entries(disk) == ["c"]


def test_a_cache_of_cuda_kernels(small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel is used all the same, it is only not kept."""
    from ssma_ros.kernels.cuda import compiler

    monkeypatch.setattr(compiler, "compile_source", lambda *_: bytes(100_000))
    with small_disk(50_000) as disk:
        assert compiler.cubin("fill", "sm_87", cache=disk / "cuda") == bytes(100_000)
        assert entries(disk) == ["cuda"]


KERNEL = """
import warnings
import numpy as np
from ssma_ros.kernels.numba.jit import copy_row
source, copy = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    copy_row(source, copy)
assert (source == copy).all()
print(*(str(w.message) for w in said), sep="\\n")
"""


def test_a_cache_of_compiled_kernels(small_disk: SmallDisk) -> None:
    """The kernel is used all the same, and the user is told why every start takes long."""
    paths = os.pathsep.join([str(PROJECT), *filter(None, sys.path)])  # under ROS the packages come by PYTHONPATH
    with small_disk(2048) as disk:
        done = subprocess.run(
            [sys.executable, "-c", KERNEL], env={"NUMBA_CACHE_DIR": str(disk), "PYTHONPATH": paths},
            capture_output=True, text=True, check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "compiled kernels cannot be kept in" in done.stdout
        assert not [name for name in entries(disk) if name.endswith(".nbc")]  # an index without code is passed over


def test_a_command_that_foresaw_nothing(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> None:
    """Whatever a command writes: a full disk is one sentence, any other error of the system stays an error."""
    from ssma_ros.cli import inspect

    def fill(_args: Any) -> int:
        raise OSError(28, "No space left on device", str(tmp_path / "x"))

    monkeypatch.setattr(inspect, "run", fill)
    assert command_line.main(["inspect", "m"]) == 1
    assert capsys.readouterr().err == f"ssma: the disk cannot be written: No space left on device ({tmp_path}/x)\n"

    def wrong(_args: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(inspect, "run", wrong)
    with pytest.raises(PermissionError):
        command_line.main(["inspect", "m"])
