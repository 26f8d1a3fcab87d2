# SPDX-License-Identifier: Apache-2.0
"""The page of configuration keys is what the reader of configurations takes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from ssma_ros.options import options_of
from ssma_ros.training.fit.config import AugmentationConfig, DataConfig, MoreData, StageConfig, TrainConfig
from ssma_ros.training.fit.config_table import to_markdown

PAGE = Path(__file__).resolve().parents[2] / "docs" / "training_configuration.md"


def test_page_is_written_from_the_dataclasses() -> None:
    told = "run: python -m ssma_ros.training.fit.config_table > docs/training_configuration.md"
    assert PAGE.read_text(encoding="utf-8") == to_markdown(), told


@pytest.mark.parametrize("kind", [TrainConfig, DataConfig, MoreData, StageConfig, AugmentationConfig])
def test_every_key_is_described(kind: type) -> None:
    declared = options_of(kind)
    for item in fields(kind):
        assert declared[item.name].text.endswith("."), item.name
        assert f"| `{item.name}` |" in to_markdown()
