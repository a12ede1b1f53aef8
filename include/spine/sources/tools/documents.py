"""Reads a description that somebody else has written, YAML or JSON, within bounds. It keeps the line of each map and computes nothing.

Anchors stay one object however often they are named, so that a small file cannot become a large one; one inside itself is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from spine.core.errors import ConfigError

MOST_BYTES = 64 << 20  # the largest published descriptions have about 12 MB
MOST_DEPTH = 120
MOST_NODES = 8_000_000
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"


class Map(dict[str, Any]):
    """A map with the line on which it begins, and that of each of its keys."""

    def __init__(self, line: int = 0) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}

    def put(self, key: str, value: Any, line: int) -> None:
        """Set a key that stands on a line."""
        self[key] = value
        self.lines[key] = line


def read_document(path: Path) -> Map:
    """The document of a file, a map. Raises ConfigError for what is no such file, is too large, too deep, or refers to itself."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path} has more than {MOST_BYTES >> 20} MB", hint="Cut it down to the paths that you need")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="Name a file of YAML or JSON in UTF-8") from None
    found = parse_document(text, str(path))
    if not isinstance(found, Map):
        raise ConfigError(f"{path} holds no map", hint="A description is a map of its parts")
    return found


def parse_document(text: str, name: str) -> Any:
    """The document of a text. Raises ConfigError."""
    try:
        _require_bounds(text, name)
        loader = _LOADER(text)
        root = loader.get_single_node()
        return None if root is None else _Building(loader, name).value(root)
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise ConfigError(f"{name}, line {line}: not YAML: {getattr(error, 'problem', None) or error}", hint="Correct it") from None
    except (ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{name} has a value that is none: {error}", hint="Correct it") from None


def _require_bounds(text: str, name: str) -> None:
    """By its events, which need no stack: what makes nodes of them goes down as deep as the text does."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_LOADER), 1):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        line = getattr(event.start_mark, "line", 0) + 1
        if depth > MOST_DEPTH or count > MOST_NODES:
            what = f"is nested deeper than {MOST_DEPTH}" if depth > MOST_DEPTH else f"has more than {MOST_NODES:,} parts"
            raise ConfigError(f"{name}, line {line}: it {what}", hint="Cut it down to what you need")


class _Building:
    """Values of nodes, each made once."""

    def __init__(self, loader: Any, name: str) -> None:
        self._loader, self._name = loader, name
        self._made: dict[int, Any] = {}
        self._open: set[int] = set()

    def value(self, node: Any) -> Any:
        if id(node) in self._made:
            return self._made[id(node)]
        if id(node) in self._open:
            raise ConfigError(f"{self._name}, line {node.start_mark.line + 1}: an anchor stands inside itself", hint="Correct it")
        self._open.add(id(node))
        made = self._make(node)
        self._open.discard(id(node))
        self._made[id(node)] = made
        return made

    def _make(self, node: Any) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._map(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(inner) for inner in node.value]
        if node.tag == "tag:yaml.org,2002:timestamp":  # a date without quotes is meant as it is written
            return node.value
        return self._loader.construct_object(node)

    def _map(self, node: Any) -> Map:
        made, own = Map(node.start_mark.line + 1), []
        for key, value in node.value:
            if key.tag == _MERGE:
                for base in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    merged = self.value(base)
                    for name in merged if isinstance(merged, Map) else ():
                        made.put(name, merged[name], merged.lines.get(name, made.line))
            else:
                own.append((key, value))
        for key, value in own:
            made.put(str(self.value(key)) if isinstance(key, yaml.ScalarNode) else "", self.value(value), key.start_mark.line + 1)
        return made
