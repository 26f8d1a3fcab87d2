# SPDX-License-Identifier: Apache-2.0
"""What is wrong with labels is found, all of it at once; what looks odd is shown."""

from __future__ import annotations

import json
import zlib

import cv2
import numpy as np
import pytest
from annotation.painted_set import HEIGHT, LABELS, WIDTH

from ssma_ros.annotation.samples import write_mask
from ssma_ros.cli.main import main
from ssma_ros.labels.beside import keep_label_set

SKY, TRAIL, GRASS = (LABELS.names.index(name) for name in ("sky", "trail", "grass"))


def landscape(index):
    """Sky above, grass below with a trail in it, a little different each time."""
    mask = np.full((HEIGHT, WIDTH), GRASS, np.uint8)
    mask[: 9 + index % 3] = SKY
    mask[12:, 10 + index % 4 : 26 + index % 4] = TRAIL
    return mask


@pytest.fixture
def root(tmp_path):
    """Twelve good masks in three sequences."""
    keep_label_set(LABELS, tmp_path)
    for index in range(12):
        split, sequence = ("val", "c") if index >= 8 else ("train", "ab"[index // 4])
        add(tmp_path, split, f"{sequence}_{index:06d}", landscape(index))
    return tmp_path


def add(root, split, name, mask, picture=None):
    for folder in ("rgb", "label"):
        (root / split / folder).mkdir(parents=True, exist_ok=True)
    if picture is None:
        rng = np.random.default_rng(zlib.crc32(f"{split}/{name}".encode()))
        picture = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    cv2.imwrite(str(root / split / "rgb" / f"{name}.png"), picture)
    if mask is not None:
        write_mask(root / split / "label" / f"{name}.png", mask, LABELS)


def checked(root, *arguments):
    status = main(["labels", "check", str(root), "--quiet", "-o", str(root / "report"), *arguments])
    return status, json.loads((root / "report" / "label_check.json").read_text())


def test_good_labels_are_counted(root, capsys):
    status, report = checked(root)
    assert status == 0
    assert (report["errors"], report["odd"]) == ([], [])
    train = report["splits"]["train"]
    assert (train["pictures"], train["labelled"]) == (8, 8)
    expected = sum(int((landscape(i) == TRAIL).sum()) for i in range(8))
    assert train["classes"]["trail"] == {"pixels": expected, "pictures": 8}
    assert [w for w in report["warnings"] if "no pixel is vegetation, obstacle" in w]
    assert "0 errors" in capsys.readouterr().out


def test_every_error_is_found_at_once(root, capsys):
    label = root / "train" / "label"
    unknown = landscape(0)
    unknown[0, :3] = 77
    cv2.imwrite(str(label / "a_000000.png"), unknown)
    cv2.imwrite(str(label / "a_000001.png"), landscape(1)[:-2])
    (label / "a_000002.png").write_bytes(b"no picture")
    (label / "b_000004.png").rename(label / "b_999999.png")
    same = cv2.imread(str(root / "train" / "rgb" / "b_000005.png"))
    add(root, "val", "c_000077", landscape(5), same)
    add(root, "val", "a_000078", landscape(6))
    status, report = checked(root)
    assert status == 1
    errors = "\n".join(report["errors"])
    assert len(report["errors"]) == 5
    for sentence in ("3 pixels have id 77", "is 40x22, expected 40x24", "cannot be read as an image",
                     "b_999999: has no picture", "is the same as"):
        assert sentence in errors
    warnings = "\n".join(report["warnings"])
    assert "sequence a: is in train and val" in warnings
    assert "split train: 4 of 8 pictures have no label" in warnings
    assert capsys.readouterr().out.count("error: ") == 5


def test_odd_masks_are_found_and_drawn(root):
    upside_down = landscape(3)[::-1].copy()
    add(root, "train", "b_000020", upside_down)
    specks = landscape(3)
    specks[1:9:2, 1:39:3] = GRASS
    add(root, "train", "b_000021", specks)
    add(root, "train", "b_000022", np.full((HEIGHT, WIDTH), 255, np.uint8))
    status, report = checked(root)
    assert status == 0
    reasons = {odd["name"]: odd["reason"] for odd in report["odd"]}
    assert reasons.keys() == {"b_000020", "b_000021", "b_000022"}
    assert "lie where they do in no other picture" in reasons["b_000020"]
    assert "specks" in reasons["b_000021"]
    assert "0.0 % of its pixels are labelled" in reasons["b_000022"]
    pictures = sorted((root / "report").glob("odd_*.png"))
    assert len(pictures) == 3
    assert cv2.imread(str(pictures[0])).shape == (HEIGHT + 24, 2 * WIDTH, 3)


def test_names_that_all_begin_alike_tell_of_no_sequences(tmp_path):
    keep_label_set(LABELS, tmp_path)
    for index in range(4):
        add(tmp_path, ("train", "val")[index % 2], f"img_{index}", landscape(index))
    assert not [w for w in checked(tmp_path)[1]["warnings"] if "sequence" in w]
