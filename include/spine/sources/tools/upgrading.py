"""Rewrites a source's file that has words of the first version: the word itself and nothing besides, so that remarks and style stay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spine.core import variants
from spine.core.errors import ConfigError
from spine.core.settings import settings
from spine.http.auth import AUTH_KINDS
from spine.http.paging import PAGING_KINDS
from spine.sources.spec import load_source
from spine.sources.tools.documents import Map, read_document


@dataclass(frozen=True)
class Change:
    """A word that is said in another way now."""

    line: int
    before: str
    after: str


def upgrade(name: str, *, write: bool = True) -> list[Change]:
    """Rewrite a source's file in today's words; the changes, none for one that is current. Raises ConfigError for a file that is broken."""
    path = settings().sources / f"{name}.yaml"
    before = load_source(name)
    changes = sorted(_changes(read_document(path)), key=lambda change: change.line)
    if not changes or not write:
        return changes
    former = path.read_text(encoding="utf-8")
    lines = former.splitlines(keepends=True)
    for change in changes:
        key, _, old = change.before.partition(": ")
        new = change.after.partition(": ")[2]
        pattern = rf"(?P<key>[\"']?{key}[\"']?\s*:\s*)[\"']?{re.escape(old)}[\"']?(?=\s*(?:[,}}#]|$))"
        lines[change.line - 1] = re.sub(pattern, rf"\g<key>{new}", lines[change.line - 1].rstrip("\n"), count=1) + "\n"
    _replace(path, "".join(lines))
    if _plain(load_source(name)) != _plain(before):
        _replace(path, former)
        raise ConfigError(f"{path} would mean something else", hint=f"Change it by hand: {'; '.join(one.before for one in changes)}")
    return changes


def _changes(document: Map) -> Iterator[Change]:
    if document.get("kind") == "hybrid":
        yield Change(document.lines["kind"], "kind: hybrid", "kind: custom")
    auths = [document.get("auth"), *_values(document.get("other_auths"))]
    for stream in document.get("streams") or ():
        if isinstance(stream, Map):
            auths.append(stream.get("auth"))
            for asked in (stream, stream.get("later")):
                if isinstance(asked, Map):
                    yield from _kind(asked.get("paging"), PAGING_KINDS)
    for auth in auths:
        yield from _kind(auth, AUTH_KINDS)


def _kind(said: Any, family: Any) -> Iterator[Change]:
    """The kind of a declaration under another name than its first."""
    if not isinstance(said, Map) or "type" not in said:
        return
    for kind in family.classes():
        name, *others = variants.words(kind)
        if said["type"] in others:
            yield Change(said.lines["type"], f"type: {said['type']}", f"type: {name}")


def _values(said: Any) -> list[Any]:
    return list(said.values()) if isinstance(said, dict) else []


def _plain(source: Any) -> dict[str, Any]:
    """What a source says, with kinds by their classes."""
    kinds = [type(stream.paging).__name__ for stream in source.streams]
    return {"kinds": kinds, "auth": type(source.auth).__name__, **source.model_dump(exclude={"auth", "other_auths", "kind", "streams"})}


def _replace(path: Path, text: str) -> None:
    other = path.with_suffix(".yaml.new")
    other.write_text(text, encoding="utf-8")
    other.replace(path)
