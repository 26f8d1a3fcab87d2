# SPDX-License-Identifier: Apache-2.0
"""What the pages name is there: files, links with their headings, modules, commands and their options."""

from __future__ import annotations

import argparse
import re
from functools import cache
from pathlib import Path

import pytest

from ssma_ros.cli.main import build_parser

PROJECT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path for pattern in ("*.md", "docs/**/*.md", "demo/*.md", ".github/**/*.md", "ssma_ros/weights/*/README.md")
    for path in PROJECT.glob(pattern)
)
#: A path of the repository from its top: these folders lie there.
PATH = re.compile(r"(?<![\w./~-])(?:ssma_ros|test|docs|config|examples|launch|demo|docker|rviz|benchmarks)/[\w./*-]*")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MODULE = re.compile(r"\bssma_ros(?:\.\w+)+")
COMMAND = re.compile(r"(?<![\w./-])ssma ([a-z][a-z-]*)(?: ([a-z]+))?")
#: Commands that have parts.
GROUPS = ("benchmark", "labels")
CODE = re.compile(r"```.*?```|`[^`\n]+`|(?<=\n\n)    [^\n]+(?:\n    [^\n]+)*", re.DOTALL)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def code_of(text: str) -> str:
    """Everything that is set as code, a piece a line."""
    return "\n".join(CODE.findall(text))


@cache
def sources() -> tuple[Path, ...]:
    """Every Python and CUDA file of the folders that pages speak of."""
    folders = ("ssma_ros", "test", "examples", "launch")
    found = [path for folder in folders for path in (PROJECT / folder).rglob("*.*")]
    return tuple(path for path in found if path.suffix in (".py", ".cu", ".cuh"))


def broken_spans(text: str) -> list[str]:
    """Lines in which a piece of code begins that ends on another line: the searches of this module would miss it."""
    plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return [line for line in plain.splitlines() if line.count("`") % 2]


def missing_paths(text: str) -> set[str]:
    """Paths that are not in the repository; a shell's variable stands for anything."""
    code = re.sub(r"\$(?:\w+|\{\w+\})", "*", code_of(text))
    named = {path.rstrip(".") for path in PATH.findall(code)}
    missing = {path for path in named if not any(PROJECT.glob(path.rstrip("/")))}
    short = set(re.findall(r"`((?:\w+/)*\w+\.(?:py|cuh?))`", text)) - named
    return missing | {name for name in short if not any(str(path).endswith(f"/{name}") for path in sources())}


@cache
def anchors(page: Path) -> frozenset[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL), flags=re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


def broken_links(page: Path, text: str) -> set[str]:
    broken = set()
    for link in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.add(link)
    return broken


def missing_modules(text: str) -> set[str]:
    """Dotted names whose module is not there, or whose module does not know the rest."""
    missing = set()
    for name in MODULE.findall(text):
        place, parts = PROJECT / "ssma_ros", name.split(".")[1:]
        while parts and (place / parts[0]).is_dir():
            place /= parts.pop(0)
        if parts and (place / f"{parts[0]}.py").is_file():
            place /= f"{parts.pop(0)}.py"
        source = text_of(place / "__init__.py" if place.is_dir() else place)
        if any(not re.search(rf"\b{part}\b", source) for part in parts):
            missing.add(name)
    return missing


def children(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (found,) = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return found


def unknown_commands(text: str) -> set[str]:
    known = children(build_parser())
    parts = {group: children(known[group]) for group in GROUPS}
    return {
        f"ssma {name} {part}".strip() for name, part in COMMAND.findall(code_of(text))
        if name not in known or (part and part not in parts.get(name, (part,)))
    }


@cache
def options_of(command: str, part: str) -> frozenset[str]:
    parser = children(build_parser())[command]
    if command in GROUPS:
        parser = children(parser)[part]
    declare = getattr(parser, "declare", None)
    assert declare is not None
    declare(parser)
    return frozenset(option for action in parser._actions for option in action.option_strings)


def unknown_options(text: str) -> set[str]:
    """Options in command lines that begin with ``ssma`` and do not have them."""
    unknown = set()
    for line in code_of(text).replace("\\\n", " ").splitlines():
        for call in re.findall(r"(?:^|[`;] ?|do )ssma ([a-z][^`#;|>]*)", line.strip()):
            command, _, rest = call.partition(" ")
            if command not in children(build_parser()) or (command in GROUPS and not rest.strip()):
                continue
            options = re.findall(r"(?<![\w-])--?[a-z][\w-]*", rest)
            part = rest.split()[0] if command in GROUPS else ""
            unknown |= {f"ssma {command} {option}" for option in options if option not in options_of(command, part)}
    return unknown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    text = text_of(page)
    assert broken_spans(text) == []
    assert missing_paths(text) == set()
    assert broken_links(page, text) == set()
    assert missing_modules(text) == set()
    assert unknown_commands(text) == set()
    assert unknown_options(text) == set()


def test_what_is_not_there_is_found() -> None:
    page = PROJECT / "docs" / "made_up.md"
    assert broken_spans("`one` and `two\nwords`\n\n```\na ` b\n```\n") == ["`one` and `two", "words`"]
    assert missing_paths("`ssma_ros/nowhere.py`, `config/*.toml`, `config/*.yaml`, `cli/play.py`, `cli/sing.py`") == {
        "ssma_ros/nowhere.py", "config/*.toml", "cli/sing.py"}
    assert broken_links(page, "[a](nowhere.md) [b](labels.md#no-such) [c](labels.md#fields) [d](https://x.y)") == {
        "nowhere.md", "labels.md#no-such"}
    assert missing_modules("ssma_ros.kernels.gone, ssma_ros.contract.load_contract, ssma_ros.contract.lode") == {
        "ssma_ros.kernels.gone", "ssma_ros.contract.lode"}
    assert unknown_commands("`ssma repeat`, `ssma play`, ssma_ros\n\n    ssma benchmark tea\n\nplain ssma words") == {
        "ssma repeat", "ssma benchmark tea"}
    assert unknown_options("`ssma play A --outputs mask --loud`, `ssma benchmark node --quick`") == {
        "ssma play --loud", "ssma benchmark --quick"}


def test_pages_with_every_kind_of_name_were_read() -> None:
    """The patterns still find what they look for."""
    text = "\n".join(map(text_of, PAGES))
    code = code_of(text)
    for pattern, found_in in ((PATH, code), (COMMAND, code), (MODULE, text), (LINK, text)):
        assert len(set(pattern.findall(found_in))) > 10, pattern.pattern
