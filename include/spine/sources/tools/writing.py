"""Writes a source's file in the style of those that people write: a word a line, short maps in one line, remarks above their place."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any

import yaml

WIDTH = 120
Place = tuple[str | int, ...]
Notes = Mapping[Place, list[str]]
_BLOCKS = frozenset({"streams", "variables", "mapping", "fields"})  # words whose maps are easier to read line by line


def written_source(content: Mapping[str, Any], notes: Notes) -> str:
    """The text of a file; `notes` are remarks by the place that they are about."""
    return "\n".join([*_remarks(notes, (), ""), *_map(content, (), "", notes)]) + "\n"


def _map(content: Mapping[str, Any], at: Place, indent: str, notes: Notes) -> Iterator[str]:
    for key, value in content.items():
        place = (*at, key)
        yield from _remarks(notes, place, indent)
        yield from _entry(f"{indent}{_flow(key)}:", value, place, indent, notes)


def _entry(head: str, value: Any, place: Place, indent: str, notes: Notes) -> Iterator[str]:
    inside = any(other[: len(place)] == place and len(other) > len(place) for other in notes)
    if isinstance(value, str) and "\n" in value.strip("\n"):
        yield from _lines(head, value, indent)
        return
    many = isinstance(value, Mapping | list) and bool(value)
    block = many and (inside or place[-1] == "streams" or (place[-1] in _BLOCKS and isinstance(value, Mapping) and len(value) > 1))
    flow = "" if block else f"{head} {_flow(value)}"
    if not block and (len(flow) <= WIDTH or not many):
        yield flow
        return
    yield head
    if isinstance(value, Mapping):
        yield from _map(value, place, f"{indent}  ", notes)
        return
    for number, item in enumerate(value):
        yield from _remarks(notes, (*place, number), f"{indent}  ")
        yield from _item(item, (*place, number), f"{indent}  ", notes)


def _item(item: Any, place: Place, indent: str, notes: Notes) -> Iterator[str]:
    flow = f"{indent}- {_flow(item)}"
    if not isinstance(item, Mapping) or not item or (len(flow) <= WIDTH and place[-2:-1] != ("streams",)):
        yield flow
        return
    lines = list(_map(item, place, f"{indent}  ", notes))
    first = next(number for number, line in enumerate(lines) if not line.lstrip().startswith("#"))
    yield from (line[2:] for line in lines[:first])
    yield f"{indent}- {lines[first].lstrip()}"
    yield from lines[first + 1 :]


def _lines(head: str, value: str, indent: str) -> Iterator[str]:
    """A text of several lines as they are; one that YAML would trim is quoted."""
    lines = value.strip("\n").split("\n")
    if any(line != line.rstrip() or line.startswith((" ", "\t")) for line in lines[:1]) or any(
        "\t" in line or "\r" in line for line in lines
    ):
        yield f"{head} {json.dumps(value, ensure_ascii=False)}"
        return
    yield f"{head} |-"
    yield from (f"{indent}  {line.rstrip()}".rstrip() for line in lines)


def _remarks(notes: Notes, place: Place, indent: str) -> Iterator[str]:
    for text in notes.get(place, ()):
        for number, line in enumerate(wrap(" ".join(text.split()), WIDTH - len(indent) - 4)):
            yield f"{indent}# {'? ' if not number else '  '}{line}"


def _flow(value: Any) -> str:
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, width=1_000_000, allow_unicode=True, sort_keys=False)
    return str(text).removesuffix("\n").removesuffix("\n...")


class _Dumper(yaml.SafeDumper):
    """Quotes with double quotes what needs some, and names nothing by anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    plain = yaml.SafeDumper.represent_str(dumper, text)
    needed = yaml.dump(text, Dumper=yaml.SafeDumper, default_flow_style=True)[:1] in "'\""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"') if needed or "{" in text else plain


_Dumper.add_representer(str, _text)
