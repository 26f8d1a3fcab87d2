# SPDX-License-Identifier: Apache-2.0
"""The documentation site: every page can be reached, and the tools that build and check it run the same command.

``make site`` builds it, in continuous integration too.
"""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
DOCS = PROJECT / "docs"


def listed_pages() -> list[str]:
    """What the front page's lists name, in order."""
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```{toctree}\n(.*?)```", index, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith(":")]


def test_every_page_is_listed_once() -> None:
    pages = {
        str(path.relative_to(DOCS).with_suffix("")) for path in DOCS.rglob("*.md")
        if "_build" not in path.parts and path.name != "index.md"
    }
    listed = listed_pages()
    assert sorted(listed) == sorted(set(listed))
    assert set(listed) == pages


def test_the_front_page_says_what_it_has_not_been_run_on() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    # Until a GPU has run it, both doors say that none has.
    assert ("never run on a GPU" in readme) == ("not been run** on a GPU" in index)


def test_continuous_integration_runs_what_everybody_can_run() -> None:
    workflow = (PROJECT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert re.findall(r"- run: (.*)", workflow) == [".ci/run"]
    script = (PROJECT / ".ci" / "run").read_text(encoding="utf-8")
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\S+)", script, flags=re.MULTILINE)
    assert targets == ["test", "lint", "site"]
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
    assert "sphinx -q -W" in makefile, "warnings are errors"


def test_the_ros_build_farm_finds_the_site() -> None:
    configuration = (PROJECT / "rosdoc2.yaml").read_text(encoding="utf-8")
    folder = re.search(r"sphinx_sourcedir: '(.*)'", configuration)
    assert folder is not None
    assert (PROJECT / folder[1] / "conf.py").is_file()
