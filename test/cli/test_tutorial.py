# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/tutorial.md, run as they stand there on a small data set."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import yaml

from ssma_ros.cli.main import build_parser, main

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "tutorial.md"
_BLOCK = re.compile(r"(<!-- run -->\n)?```bash\n(.*?)```", re.DOTALL)
_SIZE = (160, 96)


def blocks(page: Path = PAGE) -> list[tuple[bool, str]]:
    """Every bash block of the page: whether it is marked to be run, and its commands."""
    return [(bool(mark), commands) for mark, commands in _BLOCK.findall(page.read_text(encoding="utf-8"))]


def calls() -> list[list[str]]:
    """Every ``ssma`` command line of the page, without what the shell alone understands."""
    found = []
    for line in "\n".join(commands for _, commands in blocks()).splitlines():
        at = re.search(r"(?:^|; )(ssma [^;>}]*)", line)
        if at:
            found.append(shlex.split(at.group(1))[1:])
    return found


def write_scene(root: Path, split: str, count: int) -> None:
    """Sky over a path through grass, with an obstacle: colour, depth of a level ground in millimetres, labels."""
    rng = np.random.default_rng(len(split))
    width, height = _SIZE
    rows = np.arange(height)[:, None].repeat(width, 1)
    for folder in ("rgb", "depth", "label"):
        (root / split / folder).mkdir(parents=True)
    palette = np.array([(120, 120, 120), (40, 160, 40), (30, 80, 30), (230, 180, 120), (30, 60, 200)], np.uint8)
    for index in range(count):
        horizon, left = (int(v) for v in rng.integers((30, 20), (45, 100)))
        label = np.where(rows < horizon, 3, 1).astype(np.uint8)
        label[horizon + 10 :, 60:110] = 0
        label[horizon - 10 : horizon + 15, left : left + 20] = 4
        label[horizon - 20 : horizon, :20] = 2
        depth = np.where(rows > horizon, 1200.0 * 130 / np.maximum(rows - horizon, 4), 0)
        depth[label == 4] = 4000
        noise = rng.integers(0, 25, (height, width, 3)).astype(np.uint8)
        pictures = {"rgb": cv2.add(palette[label], noise), "depth": depth.astype(np.uint16), "label": label}
        for folder, picture in pictures.items():
            assert cv2.imwrite(str(root / split / folder / f"{index:04d}.png"), picture)


@pytest.fixture
def field(tmp_path: Path) -> Path:
    """An empty folder but for ``field_data``."""
    write_scene(tmp_path / "field_data", "train", 6)
    write_scene(tmp_path / "field_data", "val", 2)
    camera = {"fx": 130.0, "fy": 130.0, "cx": 79.5, "cy": 47.5, "width": _SIZE[0], "height": _SIZE[1]}
    (tmp_path / "field_data" / "camera.json").write_text(json.dumps(camera))
    return tmp_path


def run_page(folder: Path, page: Path = PAGE, first: str = "") -> str:
    """Run the marked blocks as one script; what it printed.

    Args:
        folder: to run them in.
        page: to take them from.
        first: instead of its blocks that are not marked, before what is trained.
    """
    (folder / "bin").mkdir()
    program = folder / "bin" / "ssma"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ssma_ros.cli.main "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "SSMA_ROS": str(PROJECT),
        "RECORDING": str(PROJECT / "demo" / "forest_drive"),
        "PYTHONPATH": f"{PROJECT}:{os.environ.get('PYTHONPATH', '')}",
    }
    steps = [commands for marked, commands in blocks(page) if marked]
    training = next(i for i, step in enumerate(steps) if step.startswith("ssma train") or "\nssma train" in step)
    script = "set -euo pipefail\n" + "".join([*steps[:training], first, *steps[training:]])
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(900)
def test_the_walk(field: Path) -> None:
    for package in ("torch", "safetensors", "onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    printed = run_page(field)
    streams = yaml.safe_load((field / "field.yaml").read_text())["contract"]["streams"]
    assert [s["name"] for s in streams] == ["rgb", "hha"]
    contract = json.loads((field / "network" / "model.contract.json").read_text())
    assert [s["mean"] for s in contract["streams"]] == [s["mean"] for s in streams], "as measured"
    assert [c["name"] for c in contract["labels"]["classes"]][:2] == ["path", "grass"], "as the file beside says"
    assert contract["temperature"] != 1.0, "as calibrated"
    assert [r["case"] for r in json.loads((field / "reports/dry/report.json").read_text())["results"]] == [
        "all sensors", "no depth", "no color"
    ]
    assert "passed:    at least 99.990 % expected" in printed
    assert "55 frames segmented, 55 with every sensor" in printed
    assert (field / "played" / "metadata.yaml").is_file()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_afternoon(tmp_path: Path) -> None:
    """From the demo drive to a network of its own, smaller and shorter than the page says."""
    page = PROJECT / "docs" / "afternoon.md"
    (given,) = [commands for marked, commands in blocks(page) if not marked and commands.startswith("ssma init")]
    small = given.strip().replace("--hours 0.5", "--hours 0.02 --size 192x96 --start scratch") + "\n"
    assert small != given
    printed = run_page(tmp_path, page, small)
    assert "0 errors" in printed
    assert "55 frames segmented, 55 with every sensor" in printed
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert {result["case"] for result in report["results"]} >= {"all sensors", "no depth", "no nir"}
    contract = json.loads((tmp_path / "meadow_network" / "model.contract.json").read_text())
    assert [c["name"] for c in contract["labels"]["classes"]] == ["trail", "grass", "vegetation", "sky", "obstacle"]


def test_every_command_of_the_page_is_one() -> None:
    """Those that are not run (they take hours, ROS or a GPU) are read by the command line's own parser."""
    found = calls()
    assert {arguments[0] for arguments in found} >= {"statistics", "train", "evaluate", "export", "verify", "play"}
    for arguments in found:
        build_parser().parse_args(arguments)


def test_every_step_of_the_walk_is_run() -> None:
    assert len(blocks()) == PAGE.read_text(encoding="utf-8").count("```bash")
    run = "".join(commands for marked, commands in blocks() if marked)
    for command in ("statistics", "train", "evaluate", "export", "verify", "inspect", "play"):
        assert f"ssma {command} " in run


def refusals(folder: Path) -> dict[str, list[str]]:
    """What the page's last table begins to say → the command that is brought to say it; made one after the other."""
    data, config = str(folder / "field_data"), str(folder / "minimal.yaml")
    measure = ["statistics", data, "--config", config, "--quiet"]
    shutil.copy(PROJECT / "config" / "training" / "minimal.yaml", folder)
    shutil.copy(PROJECT / "config" / "training" / "minimal_labels.json", folder)
    for name in ("begun/checkpoint.pt", "only_weights/weights.safetensors"):
        (folder / name).parent.mkdir()
        (folder / name).touch()
    return {
        "`data set field_data: camera.json": measure,
        "`stream 'hha'": measure,
        "`label image": measure,
        "`depth_scale": [*measure, "--options", "{depth_scale: 1000}"],
        "`checkpoint": ["train", config, "--data", data, "-o", str(folder / "begun"), "--quiet"],
        "`model …": ["export", str(folder / "begun"), "-o", str(folder / "x.onnx")],
        "`model folder": ["play", str(PROJECT / "demo" / "forest_drive"), "-o", str(folder / "y"),
                          "--model", str(folder / "only_weights")],
    }


def spoil(start: str, data: Path) -> Callable[[], object]:
    """Bring about what one row is of; returns what mends it."""
    depth, label, camera = data / "train" / "depth", data / "train" / "label" / "0000.png", data / "camera.json"
    if "camera.json" in start:
        camera.rename(data / "calibration.json")
        return lambda: (data / "calibration.json").rename(camera)
    if "stream" in start:
        depth.rename(data / "train" / "tiefe")
        return lambda: (data / "train" / "tiefe").rename(depth)
    if "label image" in start:
        before = label.read_bytes()
        ids = cv2.imread(str(label), cv2.IMREAD_UNCHANGED)
        ids[:2] = 9
        cv2.imwrite(str(label), ids)
        return lambda: label.write_bytes(before)
    return lambda: None


def test_what_the_page_says_of_refusals_is_what_commands_say(
    field: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("torch", "safetensors", "onnx", "tensorboard"):
        pytest.importorskip(package)
    from ssma_ros.training.fit.checkpoint import Checkpoint, Progress, save_checkpoint

    rows = re.findall(r"^\| (`[^|]*`) \|", PAGE.read_text(encoding="utf-8").split("## When a command refuses")[1], re.M)
    wanted = refusals(field)
    assert [next(start for start in wanted if row.startswith(start)) for row in rows] == list(wanted)
    save_checkpoint(Checkpoint(Progress(), "another run", {}, {}, {}, {}), field / "begun")
    monkeypatch.chdir(field)
    for row, (start, arguments) in zip(rows, wanted.items(), strict=True):
        mend = spoil(start, field / "field_data")
        assert main(arguments) == 1
        told = capsys.readouterr().err
        pattern = ".*".join(re.escape(part) for part in re.split(r"…|\d+|field_data", row.strip("`")))
        assert re.search(pattern, told), f"{row}: {told}"
        mend()
