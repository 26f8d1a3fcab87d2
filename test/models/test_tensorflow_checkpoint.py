# SPDX-License-Identifier: Apache-2.0
"""The checkpoint reader: expected contents in both name styles, and every kind of damage."""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import golden_files
import google_crc32c
import numpy as np
import pytest

from ssma_ros.errors import SsmaError
from ssma_ros.models.tensorflow.checkpoint import read_checkpoint, unmask

if TYPE_CHECKING:
    from models.conftest import Writer

VARIABLES = {
    "a/weights": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "b": np.array(7, dtype=np.int64),
    "c": np.zeros((0, 3), dtype=np.float32),
    **{f"many/{i:03d}": np.full(i, i, dtype=np.float32) for i in range(200)},
}


def test_the_checksum_is_the_one_that_tensorflow_stores() -> None:
    # The check value of CRC-32C (RFC 3720 appendix B.4 uses the same polynomial).
    assert google_crc32c.value(b"123456789") == 0xE3069283


def test_a_missing_package_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    with pytest.raises(SsmaError, match=r"need package google-crc32c, which is not installed, try .*\[export\]"):
        read_checkpoint(tmp_path / "model.ckpt")


def test_unmask_inverts_the_stored_form() -> None:
    for crc in (0, 1, 0xDEADBEEF, 0xFFFFFFFF):
        masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
        assert unmask(masked) == crc


@pytest.mark.parametrize(("prefix", "suffix"), [("plain.ckpt", ""), ("colon0.ckpt", ":0")])
def test_golden_checkpoints(tmp_path: Path, prefix: str, suffix: str) -> None:
    # Both checkpoints have the same data, which is stored once.
    folder = tmp_path / "ckpt_tiny"
    shutil.copytree(golden_files.HERE / "ckpt_tiny", folder)
    data = ".data-00000-of-00001"
    if not (folder / f"{prefix}{data}").exists():
        shutil.copyfile(folder / f"plain.ckpt{data}", folder / f"{prefix}{data}")
    expected = np.load(folder / "expected.npz")
    tensors = read_checkpoint(folder / prefix)
    assert set(tensors) == {name + suffix for name in expected.files}
    for name in expected.files:
        value = tensors[name + suffix]
        assert value.dtype == expected[name].dtype
        np.testing.assert_array_equal(value, expected[name])


def _assert_read(path: Path) -> None:
    tensors = read_checkpoint(path)
    assert set(tensors) == set(VARIABLES)
    for name, expected in VARIABLES.items():
        np.testing.assert_array_equal(tensors[name], expected)
        assert tensors[name].shape == expected.shape


def test_every_way_to_name_it(tmp_path: Path, checkpoint_writer: Writer) -> None:
    prefix = checkpoint_writer(tmp_path / "model.ckpt-10", VARIABLES)
    archive = tmp_path / "model.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for part in tmp_path.glob("model.ckpt-10.*"):
            file.write(part, f"inner/{part.name}")
    _assert_read(prefix)
    _assert_read(tmp_path / "model.ckpt-10.index")
    _assert_read(tmp_path / "model.ckpt-10.data-00000-of-00001")
    _assert_read(tmp_path)
    _assert_read(archive)


def test_the_current_folder(tmp_path: Path, checkpoint_writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint_writer(tmp_path / "model.ckpt-10", VARIABLES)
    monkeypatch.chdir(tmp_path)
    _assert_read(Path("."))
    with pytest.raises(SsmaError, match=r"checkpoint /: no \.index file in it"):
        read_checkpoint("/")


def test_damage_anywhere_is_found(tmp_path: Path, checkpoint_writer: Writer) -> None:
    variables = {"a": np.arange(300, dtype=np.float32), "b/c": np.ones((2, 2), np.float32)}
    prefix = checkpoint_writer(tmp_path / "m", variables)
    rng = np.random.default_rng(0)
    for suffix in (".index", ".data-00000-of-00001"):
        path = tmp_path / f"m{suffix}"
        good = path.read_bytes()
        # The footer's padding and the metaindex block carry nothing that is read.
        for position in rng.integers(0, len(good), 60) if suffix != ".index" else range(len(good) - 48 - 60):
            path.write_bytes(good[:position] + bytes([good[position] ^ 0x40]) + good[position + 1 :])
            with pytest.raises(SsmaError, match="TensorFlow checkpoint"):
                read_checkpoint(prefix)
        for length in (0, 1, 47, len(good) // 2, len(good) - 1):
            path.write_bytes(good[:length])
            with pytest.raises(SsmaError, match="TensorFlow checkpoint"):
                read_checkpoint(prefix)
        path.write_bytes(good)
    assert set(read_checkpoint(prefix)) == {"a", "b/c"}


def test_random_bytes_never_crash(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    magic = bytes.fromhex("57fb808b247547db")
    for size in (8, 48, 60, 500):
        for _ in range(50):
            (tmp_path / "m.index").write_bytes(rng.bytes(size) + magic)
            with pytest.raises(SsmaError):
                read_checkpoint(tmp_path / "m")


def test_data_file_missing(tmp_path: Path, checkpoint_writer: Writer) -> None:
    prefix = checkpoint_writer(tmp_path / "m", {"a": np.ones(3, np.float32)})
    (tmp_path / "m.data-00000-of-00001").unlink()
    with pytest.raises(SsmaError, match=r"m\.data-00000-of-00001 is missing"):
        read_checkpoint(prefix)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match="no such file"):
        read_checkpoint(tmp_path / "model.ckpt")


def test_foreign_file(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(SsmaError, match="is not one, expected a prefix"):
        read_checkpoint(path)


def test_zip_without_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data.pkl", b"x")
    with pytest.raises(SsmaError, match=r"no \.index file in it"):
        read_checkpoint(path)


def test_truncated_zip(tmp_path: Path, checkpoint_writer: Writer) -> None:
    checkpoint_writer(tmp_path / "m", VARIABLES)
    shutil.make_archive(str(tmp_path / "whole"), "zip", tmp_path, ".")
    whole = (tmp_path / "whole.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SsmaError, match="is not one"):
        read_checkpoint(tmp_path / "cut.zip")


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_zip_member(tmp_path: Path, checkpoint_writer: Writer, compression: int) -> None:
    prefix = checkpoint_writer(tmp_path / "m", {"a": np.arange(3000, dtype=np.float32)})
    archive = tmp_path / "m.zip"
    with zipfile.ZipFile(archive, "w", compression) as file:
        for part in sorted(tmp_path.glob("m.*[!p]")):
            file.write(part, part.name)
    assert set(read_checkpoint(archive)) == {"a"}
    prefix.with_name("m.index").unlink()
    good = archive.read_bytes()
    for position in np.random.default_rng(3).integers(60, len(good) - 300, 80):
        bad = bytearray(good)
        bad[position : position + 4] = bytes(b ^ 0xFF for b in bad[position : position + 4])
        archive.write_bytes(bad)
        with pytest.raises(SsmaError, match=r"TensorFlow checkpoint .*m\.zip"):
            read_checkpoint(archive)


def test_zip_made_on_a_mac(tmp_path: Path, checkpoint_writer: Writer) -> None:
    checkpoint_writer(tmp_path / "m", VARIABLES)
    archive = tmp_path / "m.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for part in sorted(tmp_path.glob("m.*[!p]")):
            file.write(part, f"model/{part.name}")
            file.writestr(f"__MACOSX/model/._{part.name}", b"\0\5\26\7")
    _assert_read(archive)


def test_two_checkpoints_in_a_folder(tmp_path: Path, checkpoint_writer: Writer) -> None:
    for name in ("a", "b"):
        checkpoint_writer(tmp_path / name, {"x": np.ones(1, np.float32)})
    with pytest.raises(SsmaError, match=r"2 checkpoints \(a, b\) in it, expected exactly one"):
        read_checkpoint(tmp_path)
