"""Tells which request of a source's file a call is, and what its placeholders stand for there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import orjson

from spine.core.placeholders import alone, names_in, written
from spine.http.paging import Paging
from spine.http.paging.odata import PREFER, OData
from spine.sandbox.vendor.calls import Call
from spine.sources.spec import Asking, Stream

_HOLE = re.compile(r"\{\{|\}\}|\{([A-Za-z][A-Za-z0-9_.]*)\}")
_BRACES = {"{{": "{", "}}": "}"}
_PATH = "/:@!$&'()*,;=+%~-._"
GO = "/__go/"  # where addresses lead that the vendor itself has given


@dataclass
class Match:
    """How a call fits a request of the file: what differs, and what its placeholders stand for."""

    what: str
    asking: Asking
    stream: Stream
    names: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    same: int = 0

    def take(self, other: Mapping[str, Any] | None, where: str) -> None:
        """Note what a text's placeholders stand for, or that the text differs."""
        if other is None:
            self.wrong.append(where)
            return
        self.same += 1
        self.names.update(other)


def read_back(text: str, sent: str, values: Mapping[str, Any], *, path: bool = False) -> dict[str, Any] | None:
    """What the placeholders of a text stand for in what was sent; None if it is another text. Those of `values` are known."""
    pattern, names, end = "", [], 0
    for found in _HOLE.finditer(text):
        pattern += _literal(text[end : found.start()], path=path)
        end = found.end()
        if not found[1]:
            pattern += re.escape(_BRACES[found[0]])
        elif values.get(found[1]) is not None:
            told = written(values[found[1]])
            pattern += re.escape(quote(told, safe="") if path else told)
        else:
            names.append(found[1])
            pattern += "([^/]+?)" if path else "(.+?)"
    fits = re.fullmatch(pattern + _literal(text[end:], path=path), sent, re.DOTALL)
    return None if fits is None else {name: unquote(value) if path else value for name, value in zip(names, fits.groups(), strict=True)}


def _literal(text: str, *, path: bool) -> str:
    return re.escape(quote(text, safe=_PATH) if path else text)


def matched(match: Match, call: Call, base: str, values: Mapping[str, Any], paging: Paging | None) -> bool:
    """Whether a call goes to this request's place; what of it differs besides is noted in the match."""
    asking = match.asking
    path, _, fixed = asking.path.partition("?")
    if call.method != (asking.method or ("POST" if asking.body else "GET")):
        return False
    host = base if asking.host is None else _address(asking.host)
    before = urlsplit(host)
    if alone(path) and path[1:].startswith(("parent.", "job.")):
        return False  # the vendor has given its address, which is looked up
    whole = f"{before.path.rstrip('/')}/{path.lstrip('/')}" if path else before.path or "/"
    here, there = read_back(before.netloc, call.host, values), read_back(whole, call.path or "/", values, path=True)
    if here is None or there is None:
        return False
    match.names.update(here | there)
    overwritten = _overwritten(paging)
    bounds = {match.stream.cursor.since, match.stream.cursor.until} if match.stream.cursor and paging else set()
    for name, said in [*asking.params.items(), *parse_qsl(fixed)]:
        if name not in overwritten | bounds:
            _param(match, call, name, said, values)
    for name, said in asking.headers.items():
        if name not in overwritten:
            sent = call.headers.get(name.lower())
            _optional(match, said, sent, values, f"header {name}")
    if asking.body is not None:
        _body(match, call, values, overwritten)
    return True


def _address(host: str) -> str:
    return host if "://" in host else f"https://{host}"


def _overwritten(paging: Paging | None) -> set[str | None]:
    if paging is None:
        return set()
    return {getattr(paging, "param", None), paging.size_param, *([PREFER] if isinstance(paging, OData) else [])}


def _optional(match: Match, said: Any, sent: str | None, values: Mapping[str, Any], where: str) -> None:
    """A text that is left out as long as one of its placeholders has no value."""
    text = said if isinstance(said, str) else written(said)
    unknown = [name for name in names_in(text) if values.get(name) is None]
    if sent is None:
        if not unknown:
            match.wrong.append(f"{where} is missing")
        return
    match.take(read_back(text, sent, values), where)


def _param(match: Match, call: Call, name: str, said: Any, values: Mapping[str, Any]) -> None:
    lists = match.asking.lists
    sent = [value for key, value in call.query if key in (name, f"{name}[]")]
    if isinstance(said, list) or len(sent) > 1:
        told = said if isinstance(said, list) else [said]
        if not any(names_in(told)):
            parts = [part for value in sent for part in (value.split(",") if lists == "comma" else _json_list(value, lists))]
            match.take({} if parts == [written(one) for one in told] else None, f"parameter {name}")
        elif isinstance(said, str) and alone(said):
            match.names[said[1:-1]] = sent
        return
    if sent and isinstance(said, str) and alone(said) and lists in ("json", "comma") and values.get(said[1:-1]) is None:
        found = _json_list(sent[0], lists)
        match.names[said[1:-1]] = found if lists == "json" and sent[0].startswith("[") else sent[0]
        return
    if isinstance(said, str) and alone(said) and isinstance(values.get(said[1:-1]), list):
        return
    _optional(match, said, sent[0] if sent else None, values, f"parameter {name}")


def _json_list(value: str, lists: str) -> list[str]:
    if lists == "json" and value.startswith("["):
        return [written(one) for one in orjson.loads(value)]
    return [value]


def _body(match: Match, call: Call, values: Mapping[str, Any], overwritten: set[str | None]) -> None:
    body = match.asking.body
    assert body is not None
    if body.graphql is not None:
        sent = call.json if isinstance(call.json, dict) else {}
        match.take({} if sent.get("query") == body.graphql else None, "the query")
        _inner(match, body.variables, sent.get("variables"), values, overwritten, "variables")
    elif body.form is not None:
        for name, said in body.form.items():
            if name not in overwritten:
                _optional(match, said, call.form.get(name), values, f"field {name}")
    else:
        _inner(match, body.json_, call.json, values, overwritten, "")


def _inner(match: Match, said: Any, sent: Any, values: Mapping[str, Any], overwritten: set[str | None], path: str) -> None:
    """Hold a value of the file's body against what was sent."""
    if path in overwritten or (sent is None and any(values.get(name) is None for name in names_in(said))):
        return
    if isinstance(said, dict):
        for name, one in said.items():
            inner = sent.get(name) if isinstance(sent, dict) else None
            _inner(match, one, inner, values, overwritten, f"{path}.{name}" if path else name)
    elif isinstance(said, list) and isinstance(sent, list) and len(sent) == len(said):
        for one, inner in zip(said, sent, strict=True):
            _inner(match, one, inner, values, overwritten, f"{path}[]")
    elif isinstance(said, list):
        match.wrong += [] if any(names_in(said)) else [path]
    elif isinstance(said, str) and alone(said) and values.get(said[1:-1]) is None:
        match.names[said[1:-1]] = sent
    else:
        match.take(_leaf(said, sent, values), path)


def _leaf(said: Any, sent: Any, values: Mapping[str, Any]) -> dict[str, Any] | None:
    if not isinstance(said, str) or not any(names_in(said)):
        return {} if sent == said else None
    known = values.get(said[1:-1]) if alone(said) else None
    if known is not None and not isinstance(known, str):
        return {} if sent == known else None
    return read_back(said, written(sent), values)
