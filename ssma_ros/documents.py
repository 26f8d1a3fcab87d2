# SPDX-License-Identifier: Apache-2.0
"""The one reader of YAML and JSON: a document to a dataclass, by the dataclass's annotations and options.

A key that stands twice or is unknown, a missing one, and a value of the wrong type or out of range is one sentence
that says which document, which key, what it holds and what was expected.
"""

from __future__ import annotations

import collections.abc
import json
import math
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

from ssma_ros.errors import SsmaError, expected_one_of
from ssma_ros.options import alternatives, annotation_of, options_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_T = TypeVar("_T")

#: Characters of a wrong value that a message shows.
_SHOWN = 60
_WORDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "a string",
    type(None): "null",
    Any: "a value",
}
_COUNTS: Mapping[int, str] = {2: "two", 3: "three", 4: "four"}
_PLURALS: Mapping[Any, str] = {int: "whole numbers", float: "numbers", str: "strings"}


def load_json(path: str | Path, what: str, missing: str = "a .json file") -> Any:
    """The data of a JSON file.

    Args:
        path: of the file.
        what: it is, for messages ("input contract").
        missing: what was expected where there is no such file.

    Raises:
        SsmaError: there is no such file, it is not JSON, or a key stands twice in one object.
    """
    text = _text(Path(path), what, "JSON", missing)
    try:
        return json.loads(text, object_pairs_hook=_distinct)
    except ValueError as error:  # JSONDecodeError is one
        raise SsmaError(f"{what} {path}: cannot be read as JSON ({error})") from None


def load_yaml(path: str | Path, what: str, missing: str = "a .yaml file") -> Any:
    """The data of a YAML file; arguments and errors as of :func:`load_json`."""
    return parse_yaml(_text(Path(path), what, "YAML", missing), f"{what} {path}")


def parse_yaml(text: str, what: str) -> Any:
    """The data of YAML text; ``what`` names its source in messages.

    Raises:
        SsmaError: it is not YAML, or a key stands twice in one mapping.
    """
    import yaml

    try:
        return yaml.load(text, _yaml_loader())
    except yaml.YAMLError as error:
        words = " ".join(str(error).split())
        raise SsmaError(f"{what}: cannot be read as YAML ({words})") from None


def _text(path: Path, what: str, form: str, missing: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SsmaError(f"{what} {path}: no such file, expected {missing}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SsmaError(f"{what} {path}: cannot be read as {form} ({error})") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a JSON file, whose second value for a key would silently win."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key '{key}' stands twice in one object")
        found[key] = value
    return found


@lru_cache(maxsize=1)
def _yaml_loader() -> type[Any]:
    """Plain data alone; refuses a key that stands twice, and reads 1e-3 as the number that it is in YAML 1.2."""
    import re

    import yaml

    class Loader(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    if key.value in seen:
                        problem = f"key '{key.value}' stands twice in one mapping"
                        raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
                    seen.add(key.value)
            return node

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
    )
    return Loader


def check_keys(document: Any, known: Iterable[str], what: str, prefix: str = "") -> None:
    """Refuse what is no mapping, and a key that is not known.

    Raises:
        SsmaError: with what is known, and what was probably meant.
    """
    if not isinstance(document, collections.abc.Mapping):
        raise SsmaError(f"{what}: {prefix.rstrip('.') or 'the document'} is {short(document)}, expected a mapping")
    names = list(known)
    for key in document:
        if key not in names:
            raise SsmaError(f"{what}: unknown key '{prefix}{key}', {expected_one_of(str(key), names)}")


def read(kind: type[_T], document: Any, what: str, prefix: str = "") -> _T:
    """A dataclass from a mapping.

    Args:
        kind: a dataclass; nested dataclasses, tuples, mappings, ``Literal`` and unions are read by their annotations.
        document: data of a YAML or JSON file.
        what: names the source in messages ("input contract forest/contract.json").
        prefix: key under which the document lies in its source, with a dot at the end.

    Raises:
        SsmaError: unknown or missing key, wrong type, out of range, or what the dataclass itself refuses.
    """
    known = {item.name: item for item in fields(kind) if item.init}  # type: ignore[arg-type]
    check_keys(document, known, what, prefix)
    options = options_of(kind)
    hints = {name: annotation_of(kind, name) for name in known}
    values = {}
    for name, item in known.items():
        if name in document:
            values[name] = convert(hints[name], document[name], what, prefix + name)
            declared = options.get(name)
            if declared is not None and not declared.allows(values[name]):
                raise _wrong(what, prefix + name, document[name], declared.range_words)
        elif item.default is MISSING and item.default_factory is MISSING:
            raise SsmaError(f"{what}: has no {prefix}{name}, expected {words(hints[name])}")
    try:
        return kind(**values)
    except ValueError as error:
        raise SsmaError(f"{what}: {prefix}{error}") from None


def convert(hint: Any, value: Any, what: str, key: str) -> Any:
    """``value`` as the annotation says; ``what`` and ``key`` name it in messages.

    Raises:
        SsmaError: it is not of that type.
    """
    if is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else read(hint, value, what, f"{key}.")
    members = alternatives(hint)
    if len(members) > 1:
        return _convert_union(hint, members, value, what, key)
    origin = get_origin(hint) or hint
    if origin is Literal:
        good = value in get_args(hint) and type(value) in {type(choice) for choice in get_args(hint)}
    elif origin is tuple:
        return _convert_tuple(hint, value, what, key)
    elif isinstance(origin, type) and issubclass(origin, collections.abc.Mapping):
        return _convert_mapping(hint, value, what, key)
    elif origin in (int, float):
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        good = good and (origin is float or value == int(value))
        value = origin(value) if good else value
    else:
        good = origin is Any or isinstance(value, origin)
    if not good:
        raise _wrong(what, key, value, words(hint))
    return value


def _convert_union(hint: Any, members: tuple[Any, ...], value: Any, what: str, key: str) -> Any:
    if value is None and type(None) in members:
        return None
    others = [member for member in members if member is not type(None)]
    if len(others) == 1 and (is_dataclass(others[0]) or get_origin(others[0]) is not None):
        return convert(others[0], value, what, key)  # its sentence names the key inside
    for member in others:
        try:
            return convert(member, value, what, key)
        except SsmaError:
            continue
    raise _wrong(what, key, value, words(hint))


def _convert_tuple(hint: Any, value: Any, what: str, key: str) -> tuple[Any, ...]:
    kinds = get_args(hint)
    repeated = len(kinds) == 2 and kinds[1] is Ellipsis
    if not isinstance(value, (list, tuple)) or not (repeated or len(value) == len(kinds)):
        raise _wrong(what, key, value, words(hint))
    of_each = kinds[:1] * len(value) if repeated else kinds
    if all(is_dataclass(kind) or get_origin(kind) is tuple for kind in of_each):
        return tuple(convert(k, v, what, f"{key}[{i}]") for i, (k, v) in enumerate(zip(of_each, value, strict=True)))
    try:
        return tuple(convert(k, v, what, key) for k, v in zip(of_each, value, strict=True))
    except SsmaError:
        raise _wrong(what, key, value, words(hint)) from None


def _convert_mapping(hint: Any, value: Any, what: str, key: str) -> dict[Any, Any]:
    if not isinstance(value, collections.abc.Mapping):
        raise _wrong(what, key, value, words(hint))
    of_key, of_value = get_args(hint) or (Any, Any)
    found: dict[Any, Any] = {}
    for name, item in value.items():
        if of_key is int and isinstance(name, str):  # keys of a JSON object are strings
            try:
                name = int(name)
            except ValueError:
                raise _wrong(what, f"a key of {key}", name, words(int)) from None
        name = convert(of_key, name, what, f"a key of {key}")
        if name in found:
            raise SsmaError(f"{what}: {key} has {name} twice, expected each key once")
        found[name] = convert(of_value, item, what, f"{key}.{name}")
    return found


def words(hint: Any) -> str:
    """What a value of that type is called in a message."""
    members = alternatives(hint)
    if len(members) > 1:
        return " or ".join(words(member) for member in members)
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin is tuple and arguments:
        several = _PLURALS.get(arguments[0], "entries")
        count = len(arguments)
        return f"a list of {several}" if arguments[-1] is Ellipsis else f"{_COUNTS.get(count, count)} {several}"
    return _WORDS.get(origin, "a mapping")


def short(value: object) -> str:
    """A value as it stands in its document, cut where it is long."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _wrong(what: str, key: str, value: object, expected: str) -> SsmaError:
    return SsmaError(f"{what}: {key} is {short(value)}, expected {expected}")
