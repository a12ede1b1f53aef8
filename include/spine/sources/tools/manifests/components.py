"""The components of a manifest: references are followed when somebody looks, `$parameters` come down from the components around.

Nothing is unfolded beforehand, so that references to references of references cost what is looked at and no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spine.sources.tools.documents import Map
from spine.sources.tools.drafts import Untold

_DEEPEST = 60
_INHERITED = ("$parameters", "$options")


class Component:
    """One component: its own words, those that it is said to be like, and its parameters as words that nobody says."""

    def __init__(self, own: Map, root: Map, parameters: dict[str, Any] | None = None, depth: int = 0) -> None:
        if depth > _DEEPEST:
            raise Untold("references in circles", f"components are nested deeper than {_DEEPEST}", own.line)
        self._root, self._depth = root, depth
        self._words = _like(own, root)
        self.line = own.line or self._words.line
        self.parameters = dict(parameters or {})
        for name in _INHERITED:
            found = self._words.get(name)
            if isinstance(found, dict):
                self.parameters |= found

    def __contains__(self, name: str) -> bool:
        return name in self._words

    def __bool__(self) -> bool:
        return bool(self._words)

    def line_of(self, name: str) -> int:
        """The line of a word, that of the component if it does not say it."""
        return self._words.lines.get(name) or self.line

    @property
    def type(self) -> str:
        """What kind of component it is, empty where it does not say; its class if somebody's own code stands behind it."""
        return str(self.value("class_name") or self._words.get("type") or "").rpartition(".")[2]

    @property
    def custom(self) -> bool:
        """Whether somebody's own code stands behind it."""
        return "class_name" in self._words

    def value(self, name: str) -> Any:
        """What it says of a word, without what it is said to be like; a parameter of that name if it says nothing."""
        found = self._words.get(name)
        if found is None or found == "":
            found = self.parameters.get(name)
        if isinstance(found, Map) and set(found) == {"$ref"} and isinstance(listed := _target(str(found["$ref"]), self._root), list):
            return listed
        return _target(found, self._root) if isinstance(found, str) and found.startswith("#/") else found

    def text(self, name: str) -> str:
        """A word that is a text, empty without one."""
        found = self.value(name)
        return "" if found is None else str(found)

    def get(self, name: str) -> Component | None:
        """The component at a word, None without one."""
        return self._inner(self.value(name))

    def all(self, name: str) -> list[Component]:
        """The components at a word, one or several."""
        found = self.value(name)
        items = found if isinstance(found, list) else [found]
        return [inner for item in items if (inner := self._inner(item)) is not None]

    def items(self, name: str) -> Iterator[tuple[str, Any, int]]:
        """The entries of a map that is no component, with their lines; a map among them is a component if it has a type."""
        found = self.value(name)
        if isinstance(found, Map):
            like = _like(found, self._root)
            for key, value in like.items():
                if key not in ("$ref", "type", *_INHERITED):
                    target = _target(value, self._root) if isinstance(value, str) and value.startswith("#/") else value
                    yield key, target, like.lines.get(key, like.line)

    def plain(self, value: Any, depth: int = 0) -> Any:
        """A value with its references followed, at any depth."""
        if depth > _DEEPEST:
            raise Untold("references in circles", "", self.line)
        if isinstance(value, str) and value.startswith("#/"):
            value = _target(value, self._root)
        if isinstance(value, Map):
            like = _like(value, self._root)
            return {key: self.plain(inner, depth + 1) for key, inner in like.items() if key not in ("$ref", *_INHERITED)}
        return [self.plain(inner, depth + 1) for inner in value] if isinstance(value, list) else value

    def _inner(self, value: Any) -> Component | None:
        if isinstance(value, str) and value.startswith("#/"):
            value = _target(value, self._root)
        return Component(value, self._root, self.parameters, self._depth + 1) if isinstance(value, Map) else None


def _like(own: Map, root: Map, depth: int = 0) -> Map:
    """A map with the words of what it refers to, its own above them."""
    said = own.get("$ref")
    if said is None:
        return own
    if depth > _DEEPEST:
        raise Untold("references in circles", f"{said} refers to itself", own.line)
    target = _target(str(said), root)
    if not isinstance(target, Map):
        raise Untold("a reference to nothing", f"{said} is no component", own.line)
    base = _like(target, root, depth + 1)
    made = Map(own.line)
    for one in (base, own):
        for name, value in one.items():
            if name != "$ref":
                made.put(name, value, one.lines.get(name, one.line))
    return made


def _target(said: Any, root: Map, depth: int = 0) -> Any:
    """What a reference names, inside the manifest; other texts stay themselves."""
    if not isinstance(said, str) or not said.startswith("#/"):
        return said
    found = _at(said[2:], root, depth)
    if depth > _DEEPEST:
        raise Untold("references in circles", f"{said} refers to itself", root.line)
    return _target(found, root, depth + 1) if isinstance(found, str) else found


def _at(path: str, holder: Any, depth: int) -> Any:
    """By the longest name first, since a name may hold the mark of a step."""
    root = holder
    while True:
        if isinstance(holder, Map) and path in holder:
            return holder[path]
        step, _, path = path.partition("/")
        if isinstance(holder, Map) and step in holder:
            holder = holder[step]
        elif isinstance(holder, list) and step.isdigit() and int(step) < len(holder):
            holder = holder[int(step)]
        else:
            raise Untold("a reference to nothing", f"the manifest has nothing at {step!r}")
        if isinstance(holder, Map) and "$ref" in holder and isinstance(root, Map) and depth < _DEEPEST:
            holder = _like(holder, root, depth + 1)
        if not path:
            return holder
