# SPDX-License-Identifier: Apache-2.0
"""Options declared once: a field of the dataclass that uses an option carries its text, its range and its liveness.

The reader of documents, the node's parameters, the command line and the tables in ``docs/`` are all made from that.
"""

from __future__ import annotations

import argparse
import dataclasses
import types
from dataclasses import MISSING, dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ssma_ros.errors import SsmaError

_T = TypeVar("_T")

#: Of dataclasses that were asked for.
_OPTIONS: dict[type[Any], dict[str, Option]] = {}


@dataclass(frozen=True)
class Option:
    """What an option means and may be.

    Attributes:
        text: for people, with the unit.
        live: whether the node takes a change while it runs; others take effect at the next configure.
        low, high: inclusive range of a number, or None.
        above: a number is larger than this, or None.
        choices: allowed strings, or None for any. A field annotated ``Literal[...]`` states them there.
        element: type of a list's elements.
    """

    text: str
    live: bool = False
    low: float | None = None
    high: float | None = None
    above: float | None = None
    choices: tuple[str, ...] | None = None
    element: type = str

    @property
    def range_words(self) -> str:
        """What a number or string may be, empty for anything."""
        if self.choices is not None:
            return f"one of {', '.join(map(str, self.choices))}"
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        if self.above is not None:
            return f"more than {self.above:g}" + ("" if self.high is None else f", at most {self.high:g}")
        if self.low is not None:
            return f"at least {self.low:g}"
        return "" if self.high is None else f"at most {self.high:g}"

    def allows(self, value: Any) -> bool:
        """Whether a value of the right type, or every one of a list's, is in range; None always is.

        So is an empty string in a list: ROS has no lists without elements.
        """
        if isinstance(value, (tuple, list)):
            return all(each == "" or self.allows(each) for each in value)
        if self.choices is not None:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return True  # of no number there is a range
        return not (
            (self.low is not None and value < self.low)
            or (self.high is not None and value > self.high)
            or (self.above is not None and value <= self.above)
        )


def option(default: Any = MISSING, text: str = "", *, default_factory: Any = MISSING, **rules: Any) -> Any:
    """A dataclass field that is an option; ``rules`` are the further attributes of :class:`Option`."""
    metadata = {"option": Option(text, **rules)}
    if default_factory is not MISSING:
        return dataclasses.field(default_factory=default_factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def with_default(kind: type[Any], name: str, default: Any) -> Any:
    """Option ``name`` of ``kind`` again, for a subclass in which it begins with another value."""
    return dataclasses.field(default=default, metadata={"option": options_of(kind)[name]})


def options_of(kind: type[Any]) -> dict[str, Option]:
    """Every option of a dataclass in order of declaration, the choices of ``Literal`` fields filled in.

    Fields that were not made with :func:`option` are left out.
    """
    if kind in _OPTIONS:
        return _OPTIONS[kind]
    found: dict[str, Option] = {}
    for item in dataclasses.fields(kind):
        declared: Option | None = item.metadata.get("option")
        if declared is not None:
            if declared.choices is None and "Literal" in str(item.type):
                hint = annotation_of(kind, item.name)
                if get_origin(hint) is Literal:
                    declared = dataclasses.replace(declared, choices=get_args(hint))
            found[item.name] = declared
    _OPTIONS[kind] = found
    return found


def annotation_of(kind: type[Any], name: str) -> Any:
    """The type of one field, resolved; those of other fields may be known to type checkers only."""
    owner = next(base for base in kind.__mro__ if name in vars(base).get("__annotations__", {}))
    stated = vars(owner)["__annotations__"][name]
    holder = type("Holder", (), {"__annotations__": {name: stated}, "__module__": owner.__module__})
    return get_type_hints(holder)[name]


def composed(name: str, *kinds: type[Any]) -> type[Any]:
    """A frozen dataclass with the options of all ``kinds``, in order; other fields of theirs are left out."""
    fields = []
    for kind in kinds:
        declared = options_of(kind)
        for item in dataclasses.fields(kind):
            if item.name in declared:
                metadata = {"option": declared[item.name]}
                fields.append((item.name, item.type, dataclasses.field(default=item.default, metadata=metadata)))
    return dataclasses.make_dataclass(name, fields, frozen=True)


def part(kind: type[_T], whole: Any, /, **others: Any) -> _T:
    """The options of dataclass ``kind`` out of an object that has fields of the same names.

    Args:
        kind: the dataclass to make.
        whole: has an attribute for each option of ``kind`` that ``others`` leaves out.
        others: fields and options whose values come from elsewhere.
    """
    names = options_of(kind).keys() - others.keys()
    return kind(**{name: getattr(whole, name) for name in names}, **others)


def check_ranges(options: Any) -> None:
    """For ``__post_init__``: refuse the first option out of range.

    Raises:
        ValueError: name, value and what was expected.
    """
    for name, declared in options_of(type(options)).items():
        value = getattr(options, name)
        if not declared.allows(value):
            raise ValueError(f"{name} is {value!r}, expected {declared.range_words}")


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The members of a union, or the type alone."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def add_option(parser: argparse.ArgumentParser, kind: type[Any], name: str, *, unset: bool = False) -> None:
    """A command line option of a dataclass's field: ``--its-name`` with its type, text, default and range.

    What is no such value ends the parsing with an :class:`~ssma_ros.errors.SsmaError`.

    Args:
        parser: gets it.
        kind: the dataclass that declares it.
        name: of the field.
        unset: None is told where the command line does not name it, instead of the default.
    """
    declared = options_of(kind)[name]
    default = next(item.default for item in dataclasses.fields(kind) if item.name == name)
    number = type(default) if isinstance(default, (int, float)) else str
    words = declared.text.rstrip(".").replace("%", "%%")
    expected = declared.range_words or {int: "a whole number", float: "a number", str: "text"}[number]

    def convert(given: str) -> Any:
        try:
            value = number(given)
        except ValueError:
            value = None
        if value is None or value != value or not declared.allows(value):  # NaN is not itself
            got = given if value is None else value
            raise SsmaError(f"{name.replace('_', '-')}: got {got}, expected {expected}")
        return value

    shown = f" ({default})" if str(default) else ""
    parser.add_argument(
        f"--{name.replace('_', '-')}", dest=name, type=convert, default=None if unset else default,
        metavar=name.upper() if declared.choices is None else f"{{{','.join(declared.choices)}}}",
        help=f"{words}{shown}",
    )


def add_options(parser: argparse.ArgumentParser, kind: type[Any], *names: str, unset: bool = False) -> None:
    """A command line option (:func:`add_option`) for each of ``names``, or for every option of ``kind``."""
    for name in names or options_of(kind):
        add_option(parser, kind, name, unset=unset)
