# SPDX-License-Identifier: Apache-2.0
"""The one reader of YAML and JSON, and options declared once."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from ssma_ros.documents import load_json, load_yaml, parse_yaml, read
from ssma_ros.errors import SsmaError
from ssma_ros.options import add_option, check_ranges, option, options_of, part, with_default


@dataclass(frozen=True)
class Wheel:
    """Part of a document."""

    radius: float = option(text="Metres.", above=0)
    spokes: int | None = option(None, "Or none.", low=3, high=40)


@dataclass(frozen=True)
class Cart:
    """A document."""

    name: str
    wheels: tuple[Wheel, ...] = ()
    size: tuple[float, float] = option((1.0, 2.0), "Metres.", low=0)
    kind: Literal["hand", "horse"] = option("hand", "What pulls it.")
    brake: bool = False
    load: Literal["none"] | tuple[float, ...] = "none"
    numbers: dict[int, str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name == "broken":
            raise ValueError("name is 'broken', expected one that rolls")


def test_reads_by_annotations() -> None:
    cart = read(Cart, {
        "name": "a", "wheels": [{"radius": 1}, {"radius": 0.5, "spokes": 8.0}], "size": [2, 3], "kind": "horse",
        "brake": True, "load": [1, 2.5], "numbers": {"-1": "x", 2: "y"}, "more": {"a": [1]},
    }, "cart")
    assert cart == Cart("a", (Wheel(1.0), Wheel(0.5, 8)), (2.0, 3.0), "horse", True, (1.0, 2.5), {-1: "x", 2: "y"},
                        {"a": [1]})
    assert type(cart.wheels[1].spokes) is int
    assert type(cart.wheels[0].radius) is float
    assert read(Cart, {"name": "a"}, "cart") == Cart("a")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"wheel": []}, r"cart: unknown key 'wheel', expected one of name, .* \('wheels' may be meant\)$"),
        ({"wheels": [{"radius": 1, "spoke": 3}]}, r"unknown key 'wheels\[0\]\.spoke', .*'spokes' may be meant"),
        ({"wheels": [{}]}, r"cart: has no wheels\[0\]\.radius, expected a finite number$"),
        ({"wheels": [{"radius": 0}]}, r"wheels\[0\]\.radius is 0, expected more than 0$"),
        ({"wheels": [{"radius": 1, "spokes": 2}]}, r"wheels\[0\]\.spokes is 2, expected 3 to 40$"),
        ({"wheels": [{"radius": 1, "spokes": "x"}]}, r'spokes is "x", expected a whole number or null$'),
        ({"wheels": [3]}, r"wheels\[0\] is 3, expected a mapping$"),
        ({"wheels": {"radius": 1}}, "wheels is .*, expected a list of entries$"),
        ({"size": [1]}, r"size is \[1\], expected two numbers$"),
        ({"size": [1, True]}, r"size is \[1, true\], expected two numbers$"),
        ({"size": [1, -1]}, r"size is \[1, -1\], expected at least 0$"),
        ({"kind": "cow"}, 'kind is "cow", expected one of hand, horse$'),
        ({"kind": None}, "kind is null, expected one of hand, horse$"),
        ({"brake": 1}, "brake is 1, expected true or false$"),
        ({"brake": "yes"}, 'brake is "yes", expected true or false$'),
        ({"load": "some"}, 'load is "some", expected one of none or a list of numbers$'),
        ({"numbers": {"1": "x", 1: "y"}}, "numbers has 1 twice, expected each key once$"),
        ({"numbers": {"one": "x"}}, 'a key of numbers is "one", expected a whole number$'),
        ({"more": 3}, "more is 3, expected a mapping$"),
        ({"name": 3}, "name is 3, expected a string$"),
        ({"name": "broken"}, "cart: name is 'broken', expected one that rolls$"),
        ({"name": ["x" * 99]}, r'name is \["x{58}…, expected a string$'),
    ],
)
def test_what_is_wrong_is_one_sentence(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SsmaError, match=words) as caught:
        read(Cart, {"name": "a", **change}, "cart")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("document", [None, 3, [], "a"])
def test_a_document_is_a_mapping(document: Any) -> None:
    with pytest.raises(SsmaError, match=r"cart: the document is .*, expected a mapping"):
        read(Cart, document, "cart")


def test_keys_that_stand_twice_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"b": [{"c": 1, "c": 2}]}')
    with pytest.raises(SsmaError, match=r"cart .*a\.json: cannot be read as JSON \(key 'c' stands twice in one object"):
        load_json(tmp_path / "a.json", "cart")
    (tmp_path / "a.yaml").write_text("b:\n- {c: 1, c: 2}\n")
    with pytest.raises(SsmaError, match=r"cannot be read as YAML \(key 'c' stands twice in one mapping .*line 2"):
        load_yaml(tmp_path / "a.yaml", "cart")


def test_yaml_merges_anchors_and_reads_numbers_as_they_are_meant() -> None:
    text = "a: &a {lr: 1e-3, steps: 5, x: 1.e2, v: 1.0e-8}\nb: &b {<<: *a, steps: 7}\nc: {<<: *b, lr: -2E+1, s: 1e}\n"
    assert parse_yaml(text, "x") == {
        "a": {"lr": 0.001, "steps": 5, "x": 100.0, "v": 1e-8},
        "b": {"lr": 0.001, "steps": 7, "x": 100.0, "v": 1e-8},
        "c": {"lr": -20.0, "steps": 7, "x": 100.0, "v": 1e-8, "s": "1e"},
    }


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match=r"cart .*none\.yaml: no such file, expected a \.yaml file"):
        load_yaml(tmp_path / "none.yaml", "cart")
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SsmaError, match="cannot be read as YAML"):
        load_yaml(tmp_path / "bad.yaml", "cart")
    with pytest.raises(SsmaError, match=r"cart x: cannot be read as YAML \(") as caught:
        parse_yaml("a: [1,\nb: }", "cart x")
    assert "\n" not in str(caught.value)
    with pytest.raises(SsmaError, match="cannot be read as YAML"):
        parse_yaml("!!python/object/apply:os.system [ls]", "x")


@dataclass(frozen=True)
class Quick(Cart):
    """The same, other beginnings."""

    kind: Literal["hand", "horse"] = with_default(Cart, "kind", "horse")


def test_options_are_inherited_with_their_rules_and_taken_out_again() -> None:
    assert options_of(Quick)["kind"].choices == ("hand", "horse")
    assert options_of(Quick)["kind"].text == "What pulls it."
    assert part(Cart, Quick("a", brake=True, size=(3, 4)), name="b") == Cart("b", size=(3, 4), kind="horse")
    assert part(Cart, Quick("a"), name="b", kind="hand").kind == "hand"
    with pytest.raises(ValueError, match=r"size is \(1, -1\), expected at least 0"):
        check_ranges(Cart("a", size=(1, -1)))


def test_a_command_line_option_is_made_from_the_declaration() -> None:
    @dataclass(frozen=True)
    class Options:
        overlay_opacity: float = option(0.5, "Weight in 100 % of the colours; 0..1.", low=0.0, high=1.0)
        depth: Literal["measured", "completed"] = option("measured", "Of the points.")

    parser = argparse.ArgumentParser()
    for name in ("overlay_opacity", "depth"):
        add_option(parser, Options, name)
    assert vars(parser.parse_args([])) == {"overlay_opacity": 0.5, "depth": "measured"}
    assert parser.parse_args(["--overlay-opacity", "1"]).overlay_opacity == 1.0
    for wrong in ("1.5", "x", "nan"):
        with pytest.raises(SsmaError, match=rf"^overlay-opacity: got {wrong}, expected 0 to 1$"):
            parser.parse_args(["--overlay-opacity", wrong])
    with pytest.raises(SsmaError, match=r"^depth: got all, expected one of measured, completed$"):
        parser.parse_args(["--depth", "all"])
    assert "Weight in 100 % of the colours; 0..1 (0.5)" in parser.format_help()
