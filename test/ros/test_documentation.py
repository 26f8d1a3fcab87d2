"""docs/components.md must not drift from the code."""

from __future__ import annotations

import re
from pathlib import Path

from ros.stub_network import stub_contract

from ssma_ros.ros.assembly import DEFAULT_TOPICS
from ssma_ros.ros.conversion import COLOR_ENCODINGS, DEPTH_ENCODINGS, NIR_ENCODINGS
from ssma_ros.ros.outputs import OutputCatalog

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "components.md").read_text(encoding="utf-8")


def documented(section: str) -> dict[str, str]:
    """First column → row of the table in a section."""
    body = TEXT.split(f"## {section}")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \|(.*)$", body, flags=re.MULTILINE)
    return dict(rows)


def test_every_input_is_documented_with_its_encodings() -> None:
    rows = documented("What it subscribes to")
    assert set(rows) == {*DEFAULT_TOPICS.values(), "depth/camera_info"}
    color = rows["camera/image_rect"].replace("bayer_{rggb,bggr,gbrg,grbg}8", "bayer_rggb8 bayer_bggr8 bayer_gbrg8 "
                                              "bayer_grbg8")
    for encodings, row in ((COLOR_ENCODINGS, color), (DEPTH_ENCODINGS, rows["depth/image_rect"]),
                           (NIR_ENCODINGS, rows["nir/image_rect"])):
        assert all(encoding in row for encoding in encodings)


def test_every_output_is_documented_with_its_type() -> None:
    rows = documented("What it publishes")
    contract = stub_contract()
    patterns = {
        **{f"confidence/{name}": "confidence/<class>" for name in contract.labels.names},
        **{f"modality_weights/{name}": "modality_weights/<stream>" for name in contract.modalities},
        **dict.fromkeys(contract.modalities, "<stream>"),
    }
    seen = {"~/label_info", "/diagnostics"}
    for output in OutputCatalog(contract).outputs:
        row = "~/" + patterns.get(output.topic, output.topic)
        assert output.type.rpartition("/")[2] in rows[row], row
        seen.add(row)
    assert seen == set(rows)
