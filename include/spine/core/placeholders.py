"""Placeholders of declarations, `{name}`: they name values and compute nothing. `{{` and `}}` are braces that mean themselves.

A text that is one placeholder alone has the value itself, a number or a list; inside a longer text it is written out. What has no value
(None) leaves out the whole text, so that a bound which does not exist yet is not sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from spine.core.errors import ConfigError

_TOKEN = re.compile(r"\{\{|\}\}|\{([A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)\}")
_BRACES = {"{{": "{", "}}": "}"}


class Absent(Exception):
    """A placeholder's value does not exist here; `args` is its name."""


def names_in(value: Any) -> Iterator[str]:
    """The names of all placeholders in a text, a list or a map, at any depth; of `{parent.id}` that is `parent.id`."""
    if isinstance(value, str):
        yield from (found[1] for found in _TOKEN.finditer(value) if found[1])
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from names_in(key)
            yield from names_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from names_in(inner)


def alone(text: str) -> bool:
    """Whether a text is one placeholder and nothing besides."""
    found = _TOKEN.fullmatch(text)
    return found is not None and found[1] is not None


def fill(text: str, values: Mapping[str, Any], write: Callable[[Any], str] | None = None) -> Any:
    """The text with its values; one placeholder alone is its value, unless `write` makes a text of each. Raises Absent."""
    if write is None and alone(text):
        return _value(text[1:-1], values)
    writing = write or written
    return _TOKEN.sub(lambda found: writing(_value(found[1], values)) if found[1] else _BRACES[found[0]], text)


def replaced(text: str, lookup: Callable[[str], str]) -> str:
    """The text with what `lookup` gives for each name."""
    return _TOKEN.sub(lambda found: lookup(found[1]) if found[1] else _BRACES[found[0]], text)


def fill_all(value: Any, values: Mapping[str, Any]) -> Any:
    """A value of JSON with all its texts filled, and without what has no value.

    A key whose value is absent is left out, and so is an object or a list that has nothing left; of a list, an element that holds
    something absent is left out whole, since half a condition would be another one. Raises Absent if nothing is left at all.
    """
    if isinstance(value, str):
        return fill(value, values)
    if isinstance(value, Mapping):
        return _filled_map(value, values)
    if isinstance(value, list | tuple):
        kept = [fill_all(item, values) for item in value if not _lacks(item, values)]
        if value and not kept:
            raise Absent("every element")
        return kept
    return value


def _filled_map(value: Mapping[Any, Any], values: Mapping[str, Any]) -> dict[Any, Any]:
    kept = {}
    for key, inner in value.items():
        try:
            kept[key] = fill_all(inner, values)
        except Absent as missing:
            lost = missing
    if value and not kept:
        raise lost
    return kept


def _lacks(value: Any, values: Mapping[str, Any]) -> bool:
    try:
        for name in names_in(value):
            _value(name, values)
    except Absent:
        return True
    return False


def _value(name: str, values: Mapping[str, Any]) -> Any:
    found: Any = values
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if found is None:
        raise Absent(name)
    return found


def written(value: Any) -> str:
    """A value as a text, in the way JSON spells it; a list has commas between."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(map(written, value))
    return str(value)


def needed(text: str, values: Mapping[str, Any], write: Callable[[Any], str] = written) -> str:
    """The text with its values, all of which it needs. Raises ConfigError that names the one that is missing."""
    try:
        return str(fill(text, values, write))
    except Absent as missing:
        raise ConfigError(
            f"{{{missing.args[0]}}} has no value", hint="Put it in the Connection's extra, or give the variable a default"
        ) from None
