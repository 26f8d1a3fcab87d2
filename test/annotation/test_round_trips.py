# SPDX-License-Identifier: Apache-2.0
"""Labels out and in: equal to the pixel in every format, and read by the formats' own libraries."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from annotation.painted_set import HEIGHT, LABELS, MASKS, WIDTH, nested, speckled, write_painted_set, write_pictures
from PIL import Image, ImageDraw

from ssma_ros.annotation.labelme import shapes_of
from ssma_ros.annotation.samples import list_samples
from ssma_ros.annotation.table import FORMATS
from ssma_ros.cli.main import main
from ssma_ros.training.datasets.folder import FolderDataset

NEEDS = {"coco": "pycocotools", "label-studio": "label_studio_converter"}
RAW = replace(LABELS, raw_ids={10: 0, 20: 1, 30: 2, 40: 3, 50: 4, 60: 4, 0: 255})


@pytest.fixture(params=sorted(FORMATS))
def form(request):
    if request.param in NEEDS:
        pytest.importorskip(NEEDS[request.param], reason="pip install ssma_ros[labels]")
    return request.param


def ssma(*arguments):
    return main(["labels", *map(str, arguments)])


def masks_of(root, labels=LABELS):
    return {sample.name: sample.read_mask("label", labels) for sample in list_samples(root)}


def assert_same_masks(found, expected):
    assert found.keys() == expected.keys()
    for name, mask in expected.items():
        np.testing.assert_array_equal(found[name], mask, err_msg=name)


@pytest.mark.parametrize("labels", [LABELS, RAW], ids=["ids", "raw ids"])
@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_out_and_in_is_equal(tmp_path, form, labels, suffix, capsys):
    source = write_painted_set(tmp_path / "source", labels)
    target = write_pictures(tmp_path / "target", labels)
    out = tmp_path / f"out{suffix}"
    assert ssma("export", source, "-o", out, "--format", form, "--quiet") == 0
    assert ssma("import", out, "-o", target, "--format", form) == 0
    expected = dict(MASKS)
    if form == "label-studio":
        del expected["b.x_000001"]  # a picture without a label is a task to do
        write_empty = target / "train" / "label" / "b.x_000001.png"
        assert not write_empty.exists()
    found = {s.name: s.read_mask("label", labels) for s in list_samples(target) if "label" in s.masks}
    assert_same_masks(found, expected)
    dataset = FolderDataset(target, "train", labels, camera=False)
    np.testing.assert_array_equal(dataset.label(0), MASKS["a_000000"])


def test_a_palette_shows_the_colours_of_the_classes(tmp_path):
    root = write_painted_set(tmp_path / "set", RAW)
    with Image.open(root / "train" / "label" / "a_000000.png") as picture:
        assert picture.mode == "P"
        shown = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(shown, np.array(LABELS.palette(), np.uint8)[MASKS["a_000000"]])


@pytest.mark.parametrize("mask", [nested(), *(speckled(seed) for seed in range(8))])
def test_labelme_draws_the_mask(mask):
    """By labelme's own rule: shapes in order, PIL's polygon with its outline."""
    drawn = Image.new("L", (WIDTH, HEIGHT), 255)
    values = {**{name: i for i, name in enumerate(LABELS.names)}, "__ignore__": 255}
    for shape in shapes_of(mask, LABELS):
        assert shape["shape_type"] == "polygon"
        points = [tuple(point) for point in shape["points"]]
        assert len(points) > 2
        ImageDraw.Draw(drawn).polygon(points, outline=values[shape["label"]], fill=values[shape["label"]])
    np.testing.assert_array_equal(np.asarray(drawn), mask)


def test_pycocotools_reads_what_is_written(tmp_path):
    coco = pytest.importorskip("pycocotools.coco", reason="pip install ssma_ros[labels]")
    source = write_painted_set(tmp_path / "source")
    assert ssma("export", source, "-o", tmp_path / "out", "--format", "coco", "--quiet") == 0
    api = coco.COCO(str(tmp_path / "out" / "annotations" / "instances_default.json"))
    for image in api.loadImgs(api.getImgIds()):
        found = np.full((image["height"], image["width"]), 255, np.uint8)
        for annotation in api.loadAnns(api.getAnnIds(imgIds=[image["id"]])):
            region = api.annToMask(annotation).astype(bool)
            assert annotation["area"] == region.sum()
            found[region] = LABELS.names.index(api.loadCats([annotation["category_id"]])[0]["name"])
        np.testing.assert_array_equal(found, MASKS[image["file_name"].removesuffix(".png")])


def test_polygons_of_coco_are_those_of_pycocotools(tmp_path):
    coco = pytest.importorskip("pycocotools.coco", reason="pip install ssma_ros[labels]")
    target = write_pictures(tmp_path / "target")
    polygons = [[2.5, 1.25, 30.0, 3.75, 20.5, 20.0], [1.0, 20.0, 6.0, 20.0, 6.0, 23.0, 1.0, 23.0]]
    document = {
        "images": [{"id": 7, "file_name": "somewhere/a_000000.png", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 3, "name": "Trail"}, {"id": 9, "name": "unused"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "segmentation": polygons}],
    }
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(document))
    assert ssma("import", path, "-o", target, "--format", "coco", "--map", "Trail=trail") == 0
    api = coco.COCO(str(path))
    expected = np.where(api.annToMask(api.loadAnns([1])[0]), 0, 255)
    (sample,) = [s for s in list_samples(target) if "label" in s.masks]
    np.testing.assert_array_equal(sample.read_mask("label", LABELS), expected)


def test_the_smaller_instance_is_on_top(tmp_path):
    pytest.importorskip("pycocotools", reason="pip install ssma_ros[labels]")
    target = write_pictures(tmp_path / "target")
    large, small = [0, 0, 40, 0, 40, 24, 0, 24], [10, 10, 20, 10, 20, 20, 10, 20]
    document = {
        "images": [{"id": 0, "file_name": "a_000000.png", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 1, "name": "trail"}, {"id": 2, "name": "grass"}],
        "annotations": [{"id": 1, "image_id": 0, "category_id": 2, "segmentation": [small]},
                        {"id": 2, "image_id": 0, "category_id": 1, "segmentation": [large]}],
    }  # fmt: skip
    (tmp_path / "coco.json").write_text(json.dumps(document))
    assert ssma("import", tmp_path / "coco.json", "-o", target, "--format", "coco") == 0
    mask = masks_of_labelled(target)["a_000000"]
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[10:20, 10:20] = 1
    np.testing.assert_array_equal(mask, expected)


def masks_of_labelled(root):
    return {s.name: s.read_mask("label", LABELS) for s in list_samples(root) if "label" in s.masks}


def test_cvat_tells_classes_by_its_own_colours(tmp_path):
    """As CVAT exports: colours of its own, a background that is not black, pictures in sub-folders."""
    target = write_pictures(tmp_path / "target")
    folder = tmp_path / "task"
    (folder / "SegmentationClass" / "day").mkdir(parents=True)
    (folder / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,128,0::\ntrail:10,10,128::\n"
                                         "obstacle:1,2,3::\n")
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:] = (0, 128, 0)
    image[:, :9] = (128, 10, 10)  # blue, green, red
    image[3:5] = 0
    cv2.imwrite(str(folder / "SegmentationClass" / "day" / "a_000001.png"), image)
    assert ssma("import", folder, "-o", target, "--format", "cvat") == 0
    expected = np.full((HEIGHT, WIDTH), 255, np.uint8)
    expected[:, :9] = 0
    expected[3:5] = 255
    np.testing.assert_array_equal(masks_of_labelled(target)["a_000001"], expected)


def test_label_studio_exports_of_people_are_read(tmp_path):
    """An uploaded picture, a cancelled annotation, two others of which the later counts, a polygon in percent."""
    brush = pytest.importorskip("label_studio_converter.brush", reason="pip install ssma_ros[labels]")
    target = write_pictures(tmp_path / "target")
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    painted = np.zeros((HEIGHT, WIDTH), np.uint8)
    painted[4:9, 3:30] = 255
    rle = {"type": "brushlabels", **size,
           "value": {"format": "rle", "rle": list(map(int, brush.mask2rle(painted))), "brushlabels": ["grass"]}}
    polygon = {"type": "polygonlabels", **size,
               "value": {"points": [[0, 0], [100, 0], [100, 100], [0, 100]], "polygonlabels": ["sky"]}}
    tasks = [
        {"data": {"image": "/data/upload/3/0a1b2c3d-a_000001.png"}, "annotations": [
            {"was_cancelled": True, "result": [polygon], "updated_at": "2026-03-03"},
            {"was_cancelled": False, "result": [polygon], "updated_at": "2026-01-01"},
            {"was_cancelled": False, "result": [polygon, rle], "updated_at": "2026-02-02"}]},
        {"data": {"image": "/data/local-files/?d=day/b_000000.png"}, "annotations": []},
    ]
    (tmp_path / "project.json").write_text(json.dumps(tasks))
    assert ssma("import", tmp_path / "project.json", "-o", target, "--format", "label-studio") == 0
    found = masks_of_labelled(target)
    assert found.keys() == {"a_000001"}
    np.testing.assert_array_equal(found["a_000001"], np.where(painted > 0, 1, 3))


def test_pre_labels_go_out_as_predictions_and_people_come_first(tmp_path):
    pytest.importorskip("label_studio_converter", reason="pip install ssma_ros[labels]")
    root = write_painted_set(tmp_path / "set", folder="prelabel")
    (root / "train" / "label").mkdir()
    (root / "train" / "prelabel" / "b_000000.png").rename(root / "train" / "label" / "b_000000.png")
    assert ssma("export", root, "-o", tmp_path / "out", "--format", "label-studio", "--quiet") == 0
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
    kinds = {task["data"]["image"].partition("=")[2]: sorted(key for key in task if task[key] and key != "data")
             for task in tasks}
    assert kinds == {"a_000000.png": ["predictions"], "a_000001.png": ["predictions"],
                     "b_000000.png": ["annotations"], "b.x_000001.png": []}
    config = (tmp_path / "out" / "label_config.xml").read_text()
    assert all(f'value="{name}"' in config for name in LABELS.names)


def test_labelme_finds_the_picture(tmp_path):
    root = write_painted_set(tmp_path / "set")
    assert ssma("export", root, "-o", tmp_path / "deep" / "out", "--format", "labelme", "--quiet") == 0
    out = tmp_path / "deep" / "out"
    document = json.loads((out / "a_000000.json").read_text())
    assert (out / document["imagePath"]).resolve() == (root / "train" / "rgb" / "a_000000.png").resolve()
    assert ssma("export", root, "-o", tmp_path / "with", "--format", "labelme", "--with-pictures", "--quiet") == 0
    document = json.loads((tmp_path / "with" / "a_000000.json").read_text())
    assert (tmp_path / "with" / document["imagePath"]).read_bytes() == (root / "train/rgb/a_000000.png").read_bytes()


def test_labelme_shapes_of_people(tmp_path):
    target = write_pictures(tmp_path / "target")
    shapes = [{"label": "sky", "shape_type": "rectangle", "points": [[39, 23], [0, 0]]},
              {"label": "obstacle", "shape_type": "circle", "points": [[20, 12], [20, 16]]},
              {"label": "__ignore__", "shape_type": "polygon", "points": [[0, 0], [3, 0], [3, 3], [0, 3]]}]
    document = {"shapes": shapes, "imagePath": "..\\rgb\\a_000000.png", "imageWidth": WIDTH, "imageHeight": HEIGHT}
    folder = tmp_path / "painted"
    folder.mkdir()
    (folder / "other_name.json").write_text(json.dumps(document))
    assert ssma("import", folder, "-o", target, "--format", "labelme") == 0
    mask = masks_of_labelled(target)["a_000000"]
    assert (mask[:4, :4] == 255).all()
    assert mask[12, 20] == mask[16, 20] == mask[12, 16] == 4
    assert mask[17, 20] == mask[23, 39] == 3


REFUSED = [
    ({"shapes": [{"label": "sky", "shape_type": "line", "points": [[0, 0], [3, 3]]}]}, "which covers no pixels"),
    ({"shapes": [{"label": "skyy", "points": [[0, 0], [3, 0], [3, 3]]}]}, "('sky' may be meant); --map 'skyy=CLASS'"),
    ({"shapes": [{"label": "sky", "points": [[0, 0], [3, 0]]}]}, "a polygon of 2 points, expected at least 3"),
    ({"shapes": [{"label": "sky", "shape_type": "mask", "points": [[0, 0], [3, 3]], "mask": "no"}]}, "cannot be read"),
    ({"shapes": [], "imageWidth": 41}, "is 41x24, expected 40x24"),
    ({"shapes": [], "imagePath": "c_000000.png"}, "are of a picture 'c_000000', which the data set does not have"),
    ({"shapes": {}}, "has no list 'shapes'"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_what_does_not_fit_is_refused_and_nothing_is_written(tmp_path, capsys, changes, message):
    target = write_pictures(tmp_path / "target")
    folder = tmp_path / "painted"
    folder.mkdir()
    good = {"shapes": [], "imagePath": "a_000000.png", "imageWidth": WIDTH, "imageHeight": HEIGHT}
    (folder / "0.json").write_text(json.dumps({**good, "imagePath": "b_000000.png"}))
    (folder / "1.json").write_text(json.dumps({**good, **changes}))
    assert ssma("import", folder, "-o", target, "--format", "labelme") == 1
    assert message in capsys.readouterr().err
    assert not (target / "train" / "label").exists()


def test_masks_of_people_are_not_replaced_unasked(tmp_path, capsys):
    root = write_painted_set(tmp_path / "set")
    other = tmp_path / "other"
    other.mkdir()
    cv2.imwrite(str(other / "a_000000.png"), np.zeros((HEIGHT, WIDTH), np.uint8))
    assert ssma("import", other, "-o", root, "--format", "ids") == 1
    assert "would replace 1 other masks" in capsys.readouterr().err
    assert_same_masks(masks_of(root), MASKS)
    assert ssma("import", other, "-o", root, "--format", "ids", "--overwrite") == 0
    assert not masks_of(root)["a_000000"].any()
    assert ssma("import", other, "-o", root, "--format", "ids") == 0
    assert "0 masks written" in capsys.readouterr().out


def test_a_missing_library_is_one_sentence(tmp_path, capsys, monkeypatch):
    import sys

    root = write_painted_set(tmp_path / "set")
    for form, module in NEEDS.items():
        monkeypatch.setitem(sys.modules, module, None)
        assert ssma("export", root, "-o", tmp_path / "out", "--format", form, "--quiet") == 1
        assert f"package {module} is not installed, try 'pip install ssma_ros[labels]'" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
