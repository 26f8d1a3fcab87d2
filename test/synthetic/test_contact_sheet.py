# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import pytest

from ssma_ros.cli import synthesize
from ssma_ros.errors import SsmaError
from ssma_ros.synthetic.contact_sheet import write_contact_sheet


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    synthesize.add_arguments(parser)
    return synthesize.run(parser.parse_args(arguments))


def test_one_row_a_condition(renderer, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    sheet = tmp_path / "sheet.png"
    assert run("--contact-sheet", str(sheet), "--seed", "21", "--conditions", "soft_rain") == 0
    assert cv2.imread(str(sheet)).shape == (192, 4 * 384, 3)
    assert "1 condition in" in capsys.readouterr().out


def test_a_place_that_cannot_be_written_is_named_before_rendering(tmp_path: Path):
    with pytest.raises(SsmaError, match="does not exist, expected an existing folder for sheet"):
        write_contact_sheet(tmp_path / "missing" / "sheet.png", 0, ("clear",))
