# SPDX-License-Identifier: Apache-2.0
"""What a data set's files say is what a network gets: kinds of pictures that reach us from other tools and cameras."""

from __future__ import annotations

import argparse
import unicodedata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image
from recordings.small_recording import START_NS
from ros import messages

from ssma_ros.cli._data import DataForm
from ssma_ros.cli._frames import checked_frames, encoded_frames
from ssma_ros.contract import Contract, Stream
from ssma_ros.errors import SsmaError
from ssma_ros.frame import Frame
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.labels import load_label_set
from ssma_ros.messages.assemble import AssemblyOptions, assemble_frame
from ssma_ros.recordings import records
from ssma_ros.recordings.frames import RecordedFrames
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.topics import find_input_topics
from ssma_ros.recordings.typestore import CAMERA_INFO, IMAGE
from ssma_ros.recordings.writer import RecordingWriter
from ssma_ros.sensors import readings
from ssma_ros.training.datasets import open_dataset
from ssma_ros.training.datasets.cache import Sample, open_samples
from ssma_ros.training.fit.losses import class_weights

CROPS = load_label_set("crop_weed")
FOREST = load_label_set("synthetic_forest")
H, W = 48, 64
IDS = (np.arange(H * W).reshape(H, W) // 512 % 3).astype(np.uint8)
COLORS = np.array([c.color for c in CROPS.classes], np.uint8)


def write(path: Path, image: Any, mode: str | None = None, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image, mode)).save(path, **options)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        write(tmp_path / f"train/rgb/{name}.png", np.full((H, W, 3), 90, np.uint8))
        write(tmp_path / f"train/label/{name}.png", IDS)
    return tmp_path


def the_set(root: Path, labels: Any = CROPS, **options: Any) -> Any:
    return open_dataset("folder", root, "train", labels, options)


def palette_picture() -> Image.Image:
    picture = Image.fromarray(IDS, "P")
    picture.putpalette([1, 2, 3, 200, 100, 0, 9, 9, 9] + [0] * 759)
    return picture


def of_few_bits(bits: int) -> bytes:
    """A grey PNG of 1, 2 or 4 bits, whose values are the ids."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    each = 8 // bits
    values = (IDS % (1 << bits)).reshape(H, W // each, each)
    packed = sum(values[..., i].astype(np.uint16) << (8 - bits * (i + 1)) for i in range(each)).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">IIBBBBB", W, H, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("suffix", "picture"),
    [
        (".png", palette_picture()),
        (".png", Image.fromarray(COLORS[IDS])),
        (".png", Image.fromarray(np.dstack([COLORS[IDS], np.full((H, W), 255, np.uint8)]))),
        (".png", Image.fromarray(IDS.astype(np.uint16))),
        (".png", Image.fromarray(np.dstack([IDS] * 3))),
        (".tif", Image.fromarray(IDS)),
        (".TIFF", Image.fromarray(IDS.astype(np.uint16))),
        (".PNG", Image.fromarray(IDS)),
        (".bmp", Image.fromarray(IDS)),
    ],
    ids=["palette", "painted", "rgba", "16 bits", "ids in three channels", "tif", "TIFF", "PNG", "bmp"],
)
def test_labels_of_every_kind_are_their_ids(root: Path, suffix: str, picture: Image.Image) -> None:
    for path in (root / "train/label").iterdir():
        path.unlink()
        picture.save(path.with_suffix(suffix))
    dataset = the_set(root)
    assert len(dataset) == 2
    np.testing.assert_array_equal(dataset.label(0), IDS)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_labels_of_few_bits_are_not_stretched(root: Path, bits: int) -> None:
    (root / "train/label/a.png").write_bytes(of_few_bits(bits))
    np.testing.assert_array_equal(the_set(root).label(0), IDS.astype(int) % (1 << bits))


def tiff(bits: int, zero_is_white: bool) -> bytes:
    """A grey TIFF whose stored values are the ids, whatever its photometric tag says of showing them."""
    import struct

    each = max(1, 8 // bits)
    values = (IDS.astype(np.uint16) % (1 << bits)).reshape(H, W // each, each)
    data = sum(values[..., i].astype(np.uint16) << (8 - bits * (i + 1)) for i in range(each)).astype(np.uint8).tobytes()
    tags = [(256, 4, W), (257, 4, H), (258, 3, bits), (259, 3, 1), (262, 3, int(not zero_is_white)), (273, 4, 8),
            (277, 3, 1), (278, 4, H), (279, 4, len(data))]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory


@pytest.mark.parametrize("zero_is_white", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_tiff_labels_are_neither_stretched_nor_inverted(root: Path, bits: int, zero_is_white: bool) -> None:
    (root / "train/label/a.png").unlink()
    (root / "train/label/a.tif").write_bytes(tiff(bits, zero_is_white))
    np.testing.assert_array_equal(the_set(root).label(0), IDS.astype(int) % (1 << bits))


@pytest.mark.parametrize("channels", [3, 4])
def test_label_channels_of_sixteen_bits_are_refused(root: Path, channels: int) -> None:
    """Their upper halves, which a decoder keeps, are 0: every pixel would be ignored."""
    cv2.imwrite(str(root / "train/label/a.png"), np.dstack([IDS.astype(np.uint16)] * channels))
    with pytest.raises(SsmaError, match="several channels of 16 bits, expected channels of 8 bits"):
        the_set(root).label(0)


@pytest.mark.parametrize(("mode", "channels"), [("LA", 1), ("RGBA", 3)])
def test_transparent_pixels_of_ids_are_refused(root: Path, mode: str, channels: int) -> None:
    alpha = np.full((H, W), 255, np.uint8)
    write(root / "train/label/a.png", Image.fromarray(np.dstack([IDS] * channels + [alpha]), mode))
    np.testing.assert_array_equal(the_set(root).label(0), IDS)
    alpha[0] = 0
    write(root / "train/label/a.png", Image.fromarray(np.dstack([IDS] * channels + [alpha]), mode))
    with pytest.raises(SsmaError, match="some pixels are transparent, which is no id"):
        the_set(root).label(0)


@pytest.mark.parametrize(
    ("suffix", "picture", "words"),
    [
        (".png", np.full((H, W, 3), (1, 2, 3), np.uint8), r"colours \(R, G, B\) \(1, 2, 3\) are of no class"),
        (".jpg", IDS, "is a JPEG, which changes ids and colours"),
        (".png", IDS + np.uint8(60), "pixels have id 60"),
    ],
)
def test_labels_that_tell_no_ids_are_refused(root: Path, suffix: str, picture: Any, words: str) -> None:
    (root / "train/label/a.png").unlink()
    write(root / f"train/label/a{suffix}", picture)
    with pytest.raises(SsmaError, match=words):
        the_set(root).label(0)


def test_transparent_and_black_pixels_of_painted_labels_are_ignored(root: Path) -> None:
    picture = np.dstack([COLORS[IDS], np.full((H, W), 255, np.uint8)])
    picture[:4, :, 3] = 0
    picture[4:8, :, :3] = 0
    write(root / "train/label/a.png", picture)
    found = the_set(root).label(0)
    assert (found[:8] == CROPS.ignore_id).all()
    np.testing.assert_array_equal(found[8:], IDS[8:])


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_an_exif_orientation_turns_nothing(root: Path, orientation: int) -> None:
    """Labels, depth and near infrared beside a photograph are on its stored grid."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    (root / "train/rgb/a.png").unlink()
    rgb = np.zeros((H, W, 3), np.uint8)
    rgb[:10, :10] = 255
    write(root / "train/rgb/a.jpg", rgb, exif=exif, quality=95)
    frame = the_set(root).frame(0)
    assert frame.color.shape == (H, W, 3)
    assert frame.color[:8, :8].min() > 200
    assert frame.color[20:].max() < 60


def test_sixteen_bit_colour_is_scaled_by_what_is_said_and_not_cut(root: Path) -> None:
    cv2.imwrite(str(root / "train/rgb/a.png"), np.full((H, W, 3), 2048, np.uint16))
    assert the_set(root).frame(0).color.max() == 8
    assert the_set(root, color_full_scale=4095.0).frame(0).color.max() == 128


def test_names_of_other_systems(root: Path) -> None:
    for folder in ("rgb", "label"):
        (root / f"train/{folder}/a.png").rename(root / f"train/{folder}/Bäume.png")
        (root / f"train/{folder}/._b.png").write_bytes(b"\0\x05\x16\x07 Mac OS X")
    decomposed = unicodedata.normalize("NFD", "Bäume.png")
    (root / "train/label/Bäume.png").rename(root / "train/label" / decomposed)
    dataset = the_set(root)
    assert [dataset.name(i) for i in range(len(dataset))] == ["Bäume", "b"]
    write(root / "train/rgb/b.jpg", np.zeros((H, W, 3), np.uint8))
    with pytest.raises(SsmaError, match=r"b\.jpg and b\.png are one name"):
        the_set(root)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"limit": 4}, "limit is 4, expected a mapping"),
        ({"folders": "red"}, "folders is 'red', expected a mapping"),
        ({"folders": {"colour": "red"}}, "sensor 'colour', expected 'color'|expected one of"),
        ({"depth_scale": "abc"}, "depth_scale is 'abc', expected a number"),
        ({"nir_full_scale": -1}, "nir_full_scale is -1, expected a positive number"),
        ({"nir_fullscale": 4095}, "option 'nir_fullscale' is unknown, expected"),
        ({"gravity": [0, 0, 0]}, "gravity"),
    ],
)
def test_options_that_cannot_be_are_one_sentence(root: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(SsmaError, match=words):
        the_set(root, **options)


def test_one_camera_file_serves_images_of_several_sizes_of_one_shape(root: Path) -> None:
    (root / "camera.json").write_text(
        '{"fx": 100, "fy": 100, "cx": 31.5, "cy": 23.5, "width": 64, "height": 48, "gravity": [0, 0.6, 0.8]}'
    )
    for name, scale in (("a", 1), ("b", 2)):
        for folder, image in (("rgb", np.zeros((H * scale, W * scale, 3), np.uint8)),
                              ("depth", np.full((H * scale, W * scale), 2000, np.uint16)),
                              ("label", np.repeat(np.repeat(IDS, scale, 0), scale, 1))):
            write(root / f"train/{folder}/{name}.png", image)
    dataset = the_set(root)
    assert [dataset.frame(i).intrinsics.fx for i in range(2)] == [100.0, 200.0]
    assert dataset.frame(1).intrinsics.cx == pytest.approx(63.5)
    np.testing.assert_allclose(dataset.frame(0).gravity, [0.0, 0.6, 0.8])  # pitched by 53 degrees
    write(root / "train/rgb/a.png", np.zeros((64, 64, 3), np.uint8))
    write(root / "train/depth/a.png", np.zeros((64, 64), np.uint16))
    with pytest.raises(SsmaError, match=r"is of 64x48 pixels, .* has 64x64, which is another shape"):
        the_set(root).frame(0)


SETTINGS = {"depth_scale": 0.0001, "depth_invalid": [9000], "nir_full_scale": 4095.0}


def test_the_same_pixels_give_the_same_inputs_everywhere(root: Path) -> None:
    """Data set as training, evaluation, verification and calibration read it; messages through the assembly of node
    and player, live and recorded; a frame made by hand."""
    rng = np.random.default_rng(0)
    color = rng.integers(0, 256, (H, W, 3), np.uint8)
    depth = rng.integers(5000, 60000, (H, W)).astype(np.uint16)
    depth[::5] = 9000
    nir = rng.integers(0, 4096, (H, W)).astype(np.uint16)
    cv2.imwrite(str(root / "train/rgb/a.png"), color)
    for folder, image in (("depth", depth), ("nir", nir)):
        for name in ("a", "b"):
            write(root / f"train/{folder}/{name}.png", image)
    (root / "camera.json").write_text('{"fx": 60, "fy": 60, "cx": 31.5, "cy": 23.5, "width": 64, "height": 48}')
    streams = (Stream("rgb", "rgb"), Stream("hha", "hha"), Stream("evi", "evi2"), Stream("nir", "nir"))
    contract = Contract(W, H, streams, CROPS)
    sample = open_samples(the_set(root, **SETTINGS), contract)[0]
    moment = {
        "color": messages.image(color, "bgr8"), "depth": messages.image(depth, "16UC1"),
        "nir": messages.image(nir, "mono16"),
    }
    info = messages.camera_info(W, H, 60.0)
    robot = assemble_frame(moment, info, AssemblyOptions(readings=readings(SETTINGS)))
    metres = np.where(depth == 9000, 0, depth * np.float32(0.0001)).astype(np.float32)
    by_hand = Frame(
        color=color, depth=metres, nir=nir, nir_full_scale=4095.0, intrinsics=robot.intrinsics
    )
    with RecordingWriter(root / "drive") as writer:
        header = (START_NS, "camera")
        camera = records.camera_info(robot.intrinsics, *header)
        writer.write("/camera/camera_info", CAMERA_INFO, camera, START_NS)
        for topic, image, encoding in (("/camera/image_rect", color, "bgr8"), ("/depth/image_rect", depth, "16UC1"),
                                       ("/nir/image_rect", nir, "mono16")):
            writer.write(topic, IMAGE, records.image(image, encoding, *header), START_NS)
    with RecordingReader(root / "drive") as reader:
        frames = RecordedFrames(
            reader, find_input_topics(reader.topics, "drive"), assembly=AssemblyOptions(readings=readings(SETTINGS))
        )
        recorded = next(iter(frames.read())).frame
    made = [InputEncoder(contract).encode(frame).inputs for frame in (robot, by_hand, recorded)]
    made.append(encoded_frames(contract, root / "train", 2, DataForm(options=SETTINGS))[0].inputs)
    told = argparse.Namespace(kind=None, options=yaml.safe_dump(SETTINGS), model="unused")
    made.append(checked_frames(told, contract, root / "drive", 1)[0].inputs)
    for inputs in made:
        for name, image in zip(contract.modalities, sample.images, strict=True):
            np.testing.assert_array_equal(inputs[name], image, err_msg=name)


def test_a_full_scale_that_cannot_be_is_told_when_the_data_is_opened(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        write(root / f"train/nir/{name}.png", rng.integers(0, 4000, (H, W)).astype(np.uint16))
    contract = Contract(W, H, (Stream("nir", "nir"),), CROPS)
    open_samples(the_set(root), contract)
    assert "near infrared: no pixel above" in caplog.text
    assert "set nir_full_scale to 4095" in caplog.text
    caplog.clear()
    open_samples(the_set(root, nir_full_scale=4095.0), contract)
    assert not caplog.records


def test_void_pixels_weigh_nothing_in_balanced_weights() -> None:
    labels = load_label_set("freiburg_forest")
    found = []
    for value in (labels.void_class, labels.ignore_id):
        rng = np.random.default_rng(0)
        label = rng.choice([1, 2, 3, 4, 5], 4096, p=[0.3, 0.3, 0.3, 0.08, 0.02]).astype(np.uint8)
        label[rng.random(label.size) < 0.8] = value
        sample = Sample((np.zeros((64, 64, 3), np.uint8),), (True,), label.reshape(64, 64))
        weights = class_weights("balanced", [sample], labels)  # type: ignore[arg-type]
        found.append(weights[1:].numpy())
    np.testing.assert_allclose(found[0], found[1])


def test_lane_markings_of_the_sequences_are_lane_markings(tmp_path: Path) -> None:
    """SYNTHIA's sequences call them 12, which is motorcycle in RAND-CITYSCAPES."""
    base = tmp_path / "SEQ"
    ids = np.full((H, W), 3, np.uint16)
    ids[10:20], ids[20:22] = 12, 15
    for folder, image in (("RGB", np.zeros((H, W, 3), np.uint8)), ("GT/LABELS", np.dstack([ids * 0, ids * 0, ids]))):
        path = base / folder / "Stereo_Left/Omni_F/000000.png"
        path.parent.mkdir(parents=True)
        cv2.imwrite(str(path), image)
    (base / "CameraParams").mkdir()
    (base / "CameraParams/intrinsics.txt").write_text("532.740352\n640\n380\n0.8\n")
    labels = load_label_set("synthia12")
    found = open_dataset("synthia_sequences", tmp_path, "train", labels, {"sequences": {"train": ["SEQ"]}}).label(0)
    assert [labels.names[int(found[row, 0])] for row in (0, 15, 21)] == ["road", "lane_marking", "traffic_sign"]
