"""Options declared once: a field of the dataclass that uses an option carries its text, its range and its liveness.

The reader of documents, the node's parameters, the command line and the tables in ``docs/`` are all made from that.
"""

from __future__ import annotations

import dataclasses
import types
from dataclasses import MISSING, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

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
        """Whether a value of the right type, or every one of a list's, is in range; None always is."""
        if isinstance(value, (tuple, list)):
            return all(self.allows(each) for each in value)
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
    hints = annotations_of(kind)
    found: dict[str, Option] = {}
    for item in dataclasses.fields(kind):
        declared: Option | None = item.metadata.get("option")
        if declared is not None:
            hint = hints[item.name]
            if declared.choices is None and get_origin(hint) is Literal:
                declared = dataclasses.replace(declared, choices=get_args(hint))
            found[item.name] = declared
    _OPTIONS[kind] = found
    return found


def annotations_of(kind: type[Any]) -> dict[str, Any]:
    """Types of a dataclass's fields, resolved."""
    return get_type_hints(kind)


def part(kind: Callable[..., _T], whole: Any, **others: Any) -> _T:
    """The options of dataclass ``kind`` out of an object that has fields of the same names.

    Args:
        kind: the dataclass to make.
        whole: has an attribute for each option of ``kind`` that ``others`` leaves out.
        others: fields whose values come from elsewhere.
    """
    names = {item.name for item in dataclasses.fields(kind)} - others.keys()  # type: ignore[arg-type]
    return kind(**{name: getattr(whole, name) for name in names if hasattr(whole, name)}, **others)


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


def add_option(parser: argparse.ArgumentParser, kind: type[Any], name: str, *flags: str, text: str = "") -> None:
    """A command line option of a dataclass's field: ``--its-name`` with its type, text, default and range.

    Args:
        parser: gets it.
        kind: the dataclass that declares it.
        name: of the field.
        flags: further spellings.
        text: instead of the declared one, where the command knows better.
    """
    declared = options_of(kind)[name]
    default = next(item.default for item in dataclasses.fields(kind) if item.name == name)
    number = type(default) if isinstance(default, (int, float)) else str
    words = (text or declared.text).rstrip(".").replace("%", "%%")
    reach = "" if declared.choices is not None or not declared.range_words else f", {declared.range_words}"

    def convert(given: str) -> Any:
        value = number(given)
        if not declared.allows(value):
            raise ValueError
        return value

    convert.__name__ = {int: "whole number", float: "number", str: "text"}[number] + reach
    shown = " (%(default)s)" if str(default) else ""
    parser.add_argument(
        f"--{name.replace('_', '-')}", *flags, dest=name, type=convert, choices=declared.choices, default=default,
        help=f"{words[:1].lower()}{words[1:]}{shown}",
    )
