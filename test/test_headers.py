# SPDX-License-Identifier: Apache-2.0
"""Every source file says under which licence it is, so that a file which is copied out still says it."""

from __future__ import annotations

from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
FOLDERS = ("benchmarks", "docker", "examples", "launch", "ssma_ros", "test")
COMMENT = {".py": "# ", ".sh": "# ", ".cu": "// ", ".cuh": "// "}
LICENCE = "SPDX-License-Identifier: Apache-2.0"


def sources() -> list[Path]:
    below = [path for folder in FOLDERS for path in (PROJECT / folder).rglob("*")]
    return sorted(path for path in [*PROJECT.glob("*"), *below] if path.suffix in COMMENT and path.is_file())


def lacks_licence(path: Path) -> bool:
    """Whether the first line, or the one after a shebang, is another than the licence's."""
    lines = path.read_text(encoding="utf-8").splitlines() or [""]
    first = lines[1:] if lines[0].startswith("#!") else lines
    return first[:1] != [COMMENT[path.suffix] + LICENCE]


def test_every_source_file_names_its_licence() -> None:
    found = sources()
    assert {path.suffix for path in found} == set(COMMENT)
    missing = [str(path.relative_to(PROJECT)) for path in found if lacks_licence(path)]
    assert missing == [], f"their first line, or the second after #!, must be a comment that says {LICENCE}"


@pytest.mark.parametrize(
    ("name", "text", "lacks"),
    [
        ("a.py", "# SPDX-License-Identifier: Apache-2.0\n", False),
        ("a.sh", "#!/bin/bash\n# SPDX-License-Identifier: Apache-2.0\n", False),
        ("a.cu", "// SPDX-License-Identifier: Apache-2.0\n", False),
        ("a.cu", "# SPDX-License-Identifier: Apache-2.0\n", True),
        ("a.py", '"""Says."""\n# SPDX-License-Identifier: Apache-2.0\n', True),
        ("a.py", "# SPDX-License-Identifier: MIT\n", True),
        ("a.sh", "#!/bin/bash\n", True),
        ("a.py", "", True),
    ],
)
def test_a_file_without_it_is_found(tmp_path: Path, name: str, text: str, lacks: bool) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert lacks_licence(path) is lacks
