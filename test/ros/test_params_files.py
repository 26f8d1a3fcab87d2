# SPDX-License-Identifier: Apache-2.0
"""Parameter files for other nodes are told of; files for this one, however they name it, are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssma_ros.ros.params_files import files_for_others


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ("/**:", "/ssma_fusion"),
        ("ssma_fusion:", "/ssma_fusion"),
        ("/ssma_fusion:", "/ssma_fusion"),
        ("/*:", "/ssma_fusion"),
        ("/front/ssma_fusion:", "/front/ssma_fusion"),
        ("/**/ssma_fusion:", "/a/b/ssma_fusion"),
        ("/**/ssma_fusion:", "/ssma_fusion"),
        ("front:\n  ssma_fusion:", "/front/ssma_fusion"),
        ("other:\n  ros__parameters:\n    x: 1\nssma_fusion:", "/ssma_fusion"),
    ],
)
def test_a_file_with_something_for_the_node_is_passed_over_in_silence(tmp_path: Path, keys: str, name: str) -> None:
    file = tmp_path / "robot.yaml"
    file.write_text(f"{keys}\n      ros__parameters:\n        min_confidence: 0.9\n")
    assert files_for_others(["node", "--ros-args", "--params-file", str(file)], name) == []


@pytest.mark.parametrize(
    ("keys", "name", "said"),
    [
        ("fusion_node:", "/ssma_fusion", "/fusion_node"),
        ("ssma_fusion:", "/front/ssma_fusion", "/ssma_fusion"),
        ("/*:", "/front/ssma_fusion", "/*"),
        ("/rear/**:", "/front/ssma_fusion", "/rear/**"),
        ("a:\n  ros__parameters:\n    x: 1\nb:", "/ssma_fusion", "/a, /b"),
    ],
)
def test_a_file_for_other_nodes_alone_is_told_of(tmp_path: Path, keys: str, name: str, said: str) -> None:
    file = tmp_path / "robot.yaml"
    file.write_text(f"{keys}\n      ros__parameters:\n        min_confidence: 0.9\n")
    (sentence,) = files_for_others(["--params-file", str(file)], name)
    assert sentence == (
        f"params file {file}: it has parameters for {said}, of which none is this node, so all are ignored, expected "
        f"the key {name} or /**"
    )


@pytest.mark.parametrize("content", ["", "- 1\n", "a: [\n", "x: 1\n"])
def test_what_rcl_has_to_judge_is_left_to_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "robot.yaml"
    file.write_text(content)
    assert files_for_others(["--params-file", str(file), "--params-file", "/no/such/file", "--params-file"], "/n") == []
