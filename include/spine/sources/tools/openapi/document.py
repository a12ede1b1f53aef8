"""A description in OpenAPI 3.0 or 3.1: its references, inside the file alone, and what schemas say together. Bounded against circles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from spine.core.errors import ConfigError
from spine.sources.tools.documents import Map

_DEEPEST = 24
_METHODS = ("get", "post")


@dataclass(frozen=True)
class Operation:
    """A request that the description knows: its path, method, words, line, and all of its parameters."""

    path: str
    method: str
    said: dict[str, Any]
    line: int
    parameters: tuple[dict[str, Any], ...] = ()

    @property
    def steps(self) -> list[str]:
        """The parts of the path."""
        return [step for step in self.path.split("/") if step]


@dataclass
class Api:
    """The description; `cuts` counts what was not looked into because it is too deep or refers to nothing."""

    document: Map
    cuts: int = field(default=0)

    def __post_init__(self) -> None:
        version = str(self.document.get("openapi") or "")
        if not version.startswith("3."):
            other = "Swagger 2" if "swagger" in self.document else "no OpenAPI"
            raise ConfigError(f"the description is {other}, and versions 3.0 and 3.1 are read", hint="Convert it to OpenAPI 3 first")

    def at(self, node: Any) -> dict[str, Any]:
        """What a node says or refers to, an empty map if that is nothing of this file."""
        for _ in range(_DEEPEST):
            if not isinstance(node, dict):
                return {}
            said = node.get("$ref")
            if said is None:
                return node
            node = self._target(str(said))
        self.cuts += 1
        return {}

    def _target(self, said: str) -> Any:
        if not said.startswith("#/"):
            self.cuts += 1  # another file, or another host: nothing is fetched
            return None
        found: Any = self.document
        for step in said[2:].split("/"):
            name = step.replace("~1", "/").replace("~0", "~").replace("%7B", "{").replace("%7D", "}")
            found = found.get(name) if isinstance(found, dict) else found[int(name)] if _indexes(found, name) else None
        if found is None:
            self.cuts += 1
        return found

    def schema(self, node: Any, depth: int = 0) -> dict[str, Any]:
        """A schema with those that it is made of: all of `allOf`, the first of `oneOf` and `anyOf`."""
        found = self.at(node)
        parts = [found.get("allOf") or [], (found.get("oneOf") or [])[:1], (found.get("anyOf") or [])[:1]]
        inner = [part for group in parts if isinstance(group, list) for part in group]
        if not inner or depth > _DEEPEST:
            return found
        made: dict[str, Any] = {}
        properties: dict[str, Any] = {}
        for one in [*(self.schema(part, depth + 1) for part in inner[:50]), found]:
            properties |= one.get("properties") or {}
            made |= {name: value for name, value in one.items() if name not in ("allOf", "oneOf", "anyOf", "properties")}
        return made | ({"properties": properties} if properties else {})

    def properties(self, schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The properties of an object with their schemas."""
        found = schema.get("properties")
        return {str(name): self.schema(inner) for name, inner in found.items()} if isinstance(found, dict) else {}

    def operations(self) -> Iterator[Operation]:
        """Every GET and POST that is not deprecated."""
        paths = self.document.get("paths")
        for path, said in paths.items() if isinstance(paths, dict) else ():
            item = self.at(said)
            for method in _METHODS:
                operation = item.get(method)
                if not isinstance(operation, dict) or operation.get("deprecated") is True:
                    continue
                listed = [*(item.get("parameters") or ()), *(operation.get("parameters") or ())]
                found = {(one.get("in"), one.get("name")): one for one in map(self.at, listed) if one.get("name")}
                yield Operation(str(path), method, operation, getattr(operation, "line", 0), tuple(found.values()))

    def answer(self, operation: Operation) -> tuple[dict[str, Any], dict[str, Any]]:
        """The schema of a good answer, and its headers."""
        answers = operation.said.get("responses") or {}
        code = next((code for code in ("200", "201", "2XX", "default", *map(str, answers)) if code in answers and code[:1] in "2d"), "")
        found = self.at(answers.get(code))
        content = found.get("content") or {}
        kind = next((kind for kind in content if "json" in str(kind) or kind == "*/*"), "")
        return self.schema(self.at(content.get(kind)).get("schema")), found.get("headers") or {}


def kind_of(schema: dict[str, Any]) -> str:
    """The type of a schema, of several the first that is not null; what has properties is an object."""
    said = schema.get("type")
    said = next((one for one in said if one != "null"), "") if isinstance(said, list) else said
    return str(said or ("object" if "properties" in schema else "array" if "items" in schema else ""))


def _indexes(found: Any, name: str) -> bool:
    return isinstance(found, list) and name.isdigit() and int(name) < len(found)
