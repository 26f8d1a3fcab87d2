# SPDX-License-Identifier: Apache-2.0
"""What docs/contract.md says is what the code does."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

from ssma_ros.contract import parse_contract
from ssma_ros.encodings.depth_completion import Completion
from ssma_ros.encodings.table import ENCODINGS

PAGE = (Path(__file__).parents[2] / "docs" / "contract.md").read_text(encoding="utf-8")


def test_example_is_a_contract():
    example = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)
    contract = parse_contract(json.loads(example.group(1)), "docs/contract.md")
    assert contract.modalities == ("rgb", "hha", "evi")


def test_every_encoding_is_described():
    table = PAGE.split("## Encodings")[1].split("Parameters of")[0]
    first_cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("|")]
    assert set(re.findall(r"`(\w+)`", "".join(first_cells))) == set(ENCODINGS)


def test_every_depth_parameter_is_described():
    names = {item.name for item in fields(Completion)}.union(*(e.parameters for e in ENCODINGS.values()))
    for name in names:
        assert f"`{name}`" in PAGE
