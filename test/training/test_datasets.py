# SPDX-License-Identifier: Apache-2.0
"""Every layout on a tiny generated copy: what comes out, and which file an error names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ssma_ros.errors import SsmaError
from ssma_ros.labels import LabelSet, load_label_set
from ssma_ros.training.datasets import DATASETS, open_dataset

W, H = 32, 16


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def color(value: int = 90, width: int = W, height: int = H) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def gray(value: int, dtype: type = np.uint8, width: int = W, height: int = H) -> np.ndarray:
    return np.full((height, width), value, dtype)


def make_cityscapes(root: Path) -> dict[str, Any]:
    for i in range(2):
        name = f"ulm_{i:06d}_000019"
        write(root / f"leftImg8bit/train/ulm/{name}_leftImg8bit.png", color())
        write(root / f"gtFine/train/ulm/{name}_gtFine_labelIds.png", gray(7))
        write(root / f"disparity/train/ulm/{name}_disparity.png", gray(256 * 10 + 1, np.uint16))
        camera = {"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 100.0, "fy": 100.0, "u0": 15.5, "v0": 7.5}}
        path = root / f"camera/train/ulm/{name}_camera.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(camera))
    return {"labels": "cityscapes11", "class": 3, "depth": 0.2 * 100 / 10, "fx": 100.0,
            "missing": "disparity/train/ulm/ulm_000001_000019_disparity.png"}


def make_synthia_rand(root: Path) -> dict[str, Any]:
    for i in range(2):
        write(root / f"RGB/{i:07d}.png", color())
        label = np.zeros((H, W, 3), np.uint16)
        label[..., 2] = 3  # the first channel as R, G, B
        label[..., 1] = 999  # instances
        write(root / f"GT/LABELS/{i:07d}.png", label)
        write(root / f"Depth/Depth/{i:07d}.png", np.repeat(gray(450, np.uint16)[..., None], 3, axis=2))
    return {"labels": "synthia12", "class": 3, "depth": 4.5, "fx": 532.740352, "missing": "GT/LABELS/0000001.png"}


def make_synthia_sequences(root: Path) -> dict[str, Any]:
    base = root / "SYNTHIA-SEQS-01-SUMMER"
    for i in range(2):
        for kind in ("RGB", "GT/LABELS", "Depth"):
            picture = {"RGB": color(), "GT/LABELS": gray(1, np.uint16), "Depth": gray(450, np.uint16)}[kind]
            write(base / kind / "Stereo_Left/Omni_F" / f"{i:06d}.png", picture)
    (base / "CameraParams").mkdir()
    (base / "CameraParams/intrinsics.txt").write_text("500.0\n\n16\n\n8\n\n0.8\n")
    return {"labels": "synthia12", "class": 1, "depth": 4.5, "fx": 500.0,
            "options": {"sequences": {"train": ["SYNTHIA-SEQS-01-SUMMER"]}},
            "missing": "SYNTHIA-SEQS-01-SUMMER/Depth/Stereo_Left/Omni_F/000001.png"}


def make_sunrgbd(root: Path) -> dict[str, Any]:
    millimetres = 3001
    stored = (millimetres << 3 | millimetres >> 13) & 0xFFFF
    lines = []
    for i in range(2):
        paths = (f"kv1/{i}/image/{i}.jpg", f"kv1/{i}/depth_bfx/{i}.png", f"label37/{i}.png")
        for path, picture in zip(paths, (color(), gray(stored, np.uint16), gray(5)), strict=True):
            write(root / path, picture)
        (root / f"kv1/{i}/intrinsics.txt").write_text("520.5 0 16.5 0 520.5 8.5 0 0 1\n")
        lines.append(" ".join(paths))
    (root / "train.txt").write_text("\n".join(lines) + "\n")
    return {"labels": "sunrgbd37", "class": 5, "depth": 3.001, "fx": 520.5, "missing": "kv1/1/depth_bfx/1.png"}


def make_scannet(root: Path) -> dict[str, Any]:
    (root / "scannetv2_train.txt").parent.mkdir(parents=True, exist_ok=True)
    (root / "scannetv2_train.txt").write_text("scene0000_00\n")
    base = root / "scannet_frames_25k/scene0000_00"
    for i in (0, 100):
        write(base / f"color/{i:06d}.jpg", color())
        write(base / f"depth/{i:06d}.png", gray(2500, np.uint16, W // 2, H // 2))
        write(base / f"label/{i:06d}.png", gray(39))
    base.joinpath("intrinsics_color.txt").write_text("577 0 16 0\n0 578 8 0\n0 0 1 0\n0 0 0 1\n")
    return {"labels": "scannet20", "class": 20, "depth": 2.5, "fx": 577.0,
            "missing": "scannet_frames_25k/scene0000_00/depth/000100.png"}


def make_freiburg_forest(root: Path) -> dict[str, Any]:
    for i in range(2):
        key = f"b1-0951{i}"
        write(root / f"train/rgb/{key}_Clipped.jpg", color())
        label = np.zeros((H, W, 3), np.uint8)
        label[...] = (0, 60, 0)  # a tree, B, G, R
        write(root / f"train/GT_color/{key}_mask.png", label)
        write(root / f"train/nir_gray/{key}_Clipped.png", gray(200, width=W - 2))
        write(root / f"train/depth_gray/{key}_Clipped.png", gray(50))
    return {"labels": "freiburg_forest", "class": 3, "depth": 5.0, "fx": 400.0,
            "options": {"depth_scale": 0.1, "focal": 400.0}, "missing": "train/nir_gray/b1-09511_Clipped.png",
            "says": "no nir image for train/rgb/b1-09511_Clipped.jpg"}


def make_folder(root: Path) -> dict[str, Any]:
    for i in range(2):
        for kind, picture in (("rgb", color()), ("depth", gray(4000, np.uint16)), ("nir", gray(9000, np.uint16)),
                              ("label", gray(4))):
            write(root / "train" / kind / f"{i}.png", picture)
    camera = {"fx": 30.0, "fy": 30.0, "cx": 15.5, "cy": 7.5, "width": W, "height": H}
    (root / "camera.json").write_text(json.dumps(camera))
    return {"labels": "synthetic_forest", "class": 4, "depth": 4.0, "fx": 30.0, "missing": "train/nir/1.png"}


MAKERS = {
    "folder": make_folder, "freiburg_forest": make_freiburg_forest, "cityscapes": make_cityscapes,
    "synthia_rand": make_synthia_rand, "synthia_sequences": make_synthia_sequences, "sunrgbd": make_sunrgbd,
    "scannet": make_scannet,
}


def test_every_layout_is_tested() -> None:
    assert set(MAKERS) == set(DATASETS)


@pytest.mark.parametrize("kind", MAKERS)
def test_layout(kind: str, tmp_path: Path) -> None:
    facts = MAKERS[kind](tmp_path)
    dataset = open_dataset(kind, tmp_path, "train", load_label_set(facts["labels"]), facts.get("options"))
    assert len(dataset) == 2
    assert dataset.name(0) != dataset.name(1)
    frame, label = dataset.frame(1), dataset.label(1)
    assert frame.size == (W, H)
    assert frame.color is not None
    assert abs(int(frame.color.mean()) - 90) <= 2  # JPEG
    assert frame.depth is not None
    np.testing.assert_allclose(frame.depth, facts["depth"], rtol=1e-6)
    assert frame.intrinsics is not None
    assert frame.intrinsics.fx == facts["fx"]
    assert (frame.intrinsics.width, frame.intrinsics.height) == (W, H)
    np.testing.assert_array_equal(label, np.full((H, W), facts["class"]))


@pytest.mark.parametrize("kind", MAKERS)
def test_missing_file_is_named(kind: str, tmp_path: Path) -> None:
    facts = MAKERS[kind](tmp_path)
    (tmp_path / facts["missing"]).unlink()
    with pytest.raises(SsmaError) as caught:
        open_dataset(kind, tmp_path, "train", load_label_set(facts["labels"]), facts.get("options"))
    assert facts.get("says", facts["missing"]) in str(caught.value)


@pytest.mark.parametrize("kind", MAKERS)
def test_empty_root_is_refused(kind: str, tmp_path: Path) -> None:
    options = {"sequences": {"train": ["none"]}} if kind == "synthia_sequences" else None
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SsmaError):
            open_dataset(kind, root, "train", load_label_set("synthetic_forest"), options)


@pytest.mark.parametrize("kind", MAKERS)
def test_digest_follows_the_contents(kind: str, tmp_path: Path) -> None:
    facts = MAKERS[kind](tmp_path)

    def digest() -> str:
        labels = load_label_set(facts["labels"])
        return open_dataset(kind, tmp_path, "train", labels, facts.get("options")).digest()

    before = digest()
    assert digest() == before
    dataset = open_dataset(kind, tmp_path, "train", load_label_set(facts["labels"]), facts.get("options"))
    write(dataset.files(0)[0], color(17))
    assert digest() != before


@pytest.fixture
def forest() -> LabelSet:
    return load_label_set("synthetic_forest")


def test_sixteen_bit_near_infrared_keeps_its_scale(tmp_path: Path, forest: LabelSet) -> None:
    make_folder(tmp_path)
    frame = open_dataset("folder", tmp_path, "train", forest).frame(0)
    assert frame.nir is not None
    assert frame.nir.dtype == np.uint16
    assert frame.nir_full_scale == 65535.0


def test_sensors_without_a_folder_are_absent(tmp_path: Path, forest: LabelSet) -> None:
    write(tmp_path / "val/nir/a.png", gray(3))
    write(tmp_path / "val/label/a.png", gray(255))
    frame = open_dataset("folder", tmp_path, "val", forest).frame(0)
    assert frame.color is None
    assert frame.depth is None
    assert frame.size == (W, H)


def test_folders_by_other_names_and_no_camera(tmp_path: Path) -> None:
    """A camera of one band as colour, and depth that is not in metres."""
    write(tmp_path / "val/red/a.png", gray(70))
    write(tmp_path / "val/depth/a.png", gray(54000, np.uint16))
    write(tmp_path / "val/label/a.png", gray(1))
    labels = load_label_set("pothole")
    options = {"folders": {"color": "red"}, "camera": False}
    frame = open_dataset("folder", tmp_path, "val", labels, options).frame(0)
    assert frame.color is not None
    np.testing.assert_array_equal(frame.color, color(70))
    assert frame.depth is not None
    np.testing.assert_allclose(frame.depth, 54.0, rtol=1e-6)
    assert frame.intrinsics is None
    with pytest.raises(SsmaError, match=r"camera\.json is missing"):
        open_dataset("folder", tmp_path, "val", labels, {"folders": {"color": "red"}})
    with pytest.raises(SsmaError, match=r"no folder val/infrared, expected it in .*val, which holds .*label"):
        open_dataset("folder", tmp_path, "val", labels, {"folders": {"nir": "infrared"}, "camera": False})
    with pytest.raises(SsmaError, match="folders name sensor 'radar', expected one of color, depth, nir"):
        open_dataset("folder", tmp_path, "val", labels, {"folders": {"radar": "radar"}})


def test_limit_takes_the_first_by_name(tmp_path: Path, forest: LabelSet) -> None:
    make_folder(tmp_path)
    dataset = open_dataset("folder", tmp_path, "train", forest, {"limit": {"train": 1}})
    assert [dataset.name(i) for i in range(len(dataset))] == ["0"]


def test_unknown_label_id_is_named_with_count_and_file(tmp_path: Path, forest: LabelSet) -> None:
    make_folder(tmp_path)
    label = gray(2)
    label[0, :3] = 77
    write(tmp_path / "train/label/0.png", label)
    with pytest.raises(SsmaError, match=r"label/0\.png: 3 pixels have id 77"):
        open_dataset("folder", tmp_path, "train", forest).label(0)


def test_settings_that_are_in_no_file_are_part_of_the_digest(tmp_path: Path) -> None:
    make_freiburg_forest(tmp_path)

    def digest(**options: Any) -> str:
        return open_dataset("freiburg_forest", tmp_path, "train", load_label_set("freiburg_forest"), options).digest()

    assert digest() == digest(depth_scale=0.2, focal=None)
    chosen: list[dict[str, Any]] = [{}, {"depth_scale": 0.1}, {"focal": 400.0}, {"focal": 400.0, "center": [1, 2]}]
    assert len({digest(**options) for options in chosen}) == len(chosen)


def test_unknown_label_colour_is_named(tmp_path: Path) -> None:
    make_freiburg_forest(tmp_path)
    write(tmp_path / "train/GT_color/b1-09510_mask.png", color(77))
    dataset = open_dataset("freiburg_forest", tmp_path, "train", load_label_set("freiburg_forest"))
    with pytest.raises(SsmaError, match=r"512 pixels have a colour that is no class.*\(77, 77, 77\)"):
        dataset.label(0)


@pytest.mark.parametrize(
    ("path", "picture", "message"),
    [
        ("train/depth/0.png", gray(1), "depth/0.png: has shape .* and type uint8, expected one channel of uint16 or"),
        ("train/depth/0.png", gray(1, np.uint16, 8, 8), r"depth/0.png: is 8x8, expected 32x16"),
        ("train/nir/0.png", color() + np.uint8([0, 1, 2]), "nir/0.png: has 3 channels that differ"),
        ("train/rgb/0.png", color(width=64), r"rgb/0.png: is 64x16, expected 32x16|depth/0.png: is 32x16"),
    ],
)
def test_image_of_the_wrong_kind_is_named(
    tmp_path: Path, forest: LabelSet, path: str, picture: np.ndarray, message: str
) -> None:
    make_folder(tmp_path)
    write(tmp_path / path, picture)
    with pytest.raises(SsmaError, match=message):
        open_dataset("folder", tmp_path, "train", forest).frame(0)


def test_unreadable_image_and_camera_are_named(tmp_path: Path, forest: LabelSet) -> None:
    make_folder(tmp_path)
    (tmp_path / "train/rgb/0.png").write_bytes(b"not a picture")
    with pytest.raises(SsmaError, match=r"rgb/0\.png: cannot be read as an image"):
        open_dataset("folder", tmp_path, "train", forest).frame(0)
    (tmp_path / "camera.json").write_text('{"fx": 3}')
    with pytest.raises(SsmaError, match=r"camera\.json: has no fy, expected a finite number"):
        open_dataset("folder", tmp_path, "train", forest)


def test_unknown_kind_and_option(tmp_path: Path, forest: LabelSet) -> None:
    with pytest.raises(SsmaError, match="data set kind is 'kitti', expected one of folder"):
        open_dataset("kitti", tmp_path, "train", forest)
    with pytest.raises(SsmaError, match=r"options .* do not fit"):
        open_dataset("cityscapes", tmp_path, "train", forest, {"speed": 3})
    with pytest.raises(SsmaError, match=r"option 'depth_scal' is unknown, expected .*depth_scale"):
        open_dataset("folder", tmp_path, "train", forest, {"depth_scal": 3})
