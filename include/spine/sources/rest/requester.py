"""Makes requests from what a stream's file says and the values of this step: variables, parents, partitions, bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from spine.core.errors import ConfigError
from spine.core.placeholders import Absent, alone, fill, fill_all, needed, written
from spine.http.transport import Request
from spine.sources.spec import Asking, Body

_HOST = re.compile(r"(?:https?://)?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?(?:/[^\s?#]*)?")
_LABELS = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*")


def request_of(asking: Asking, values: Mapping[str, Any]) -> Request:
    """The request, with everything that has a value now. Raises ConfigError where path or host lack one."""
    body = asking.body
    json, form = _said(body, values) if body else (None, None)
    headers = {name: text for name, said in asking.headers.items() if (text := _text(said, values)) is not None}
    return Request(
        asking.method or ("POST" if body else "GET"),
        address(asking, values),
        params=params_of(asking, values),
        raw=frozenset(asking.raw),
        headers=headers,
        json=json,
        form=form,
        idempotent=True if asking.idempotent is None and _queries(body) else asking.idempotent,
    )


def address(asking: Asking, values: Mapping[str, Any]) -> str:
    """The path with its values, below the stream's own host if it has one. Raises ConfigError."""
    whole = fill(asking.path, values) if alone(asking.path) else None
    if isinstance(whole, str) and whole.startswith(("https://", "http://")):
        return whole  # the client looks whether its host may be asked
    path = needed(asking.path, values, _steps if asking.slashes else _segment)
    if asking.host is None:
        return path
    host = host_of(asking.host, values)
    return f"{host.rstrip('/')}/{path.lstrip('/')}" if path else host


def host_of(text: str, values: Mapping[str, Any]) -> str:
    """The address that a file gives for a host, with its scheme; a value in it is a part of the name. Raises ConfigError."""
    host = needed(text, values, _label)
    if not _HOST.fullmatch(host):
        raise ConfigError(f"{text!r} gives no host", hint="Write it as eu.api.example.com, or with https:// and a path")
    return host if "://" in host else f"https://{host}"


def listed_host(text: str, values: Mapping[str, Any]) -> str:
    """A host of the source's `hosts` with its values, in small letters; none of them makes it wider. Raises ConfigError."""
    return needed(text, values, _label).lower()


def params_of(asking: Asking, values: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """The parameters that have a value, in the way that the stream writes lists."""
    found: dict[str, str | list[str]] = {}
    for name, said in asking.params.items():
        try:
            value = fill_all(said, values)
        except Absent:
            continue
        if isinstance(value, list):
            value = [item for item in value if item is not None]  # of parents in a group some may lack it
        if not isinstance(value, list):
            found[name] = _scalar(value)
        elif asking.lists == "comma":
            found[name] = ",".join(map(_scalar, value))
        elif asking.lists == "json":
            found[name] = orjson.dumps(value, default=str).decode()
        else:
            found[f"{name}[]" if asking.lists == "brackets" else name] = [_scalar(item) for item in value]
    return found


def _said(body: Body, values: Mapping[str, Any]) -> tuple[Any, dict[str, str] | None]:
    """The body as JSON, or as a form."""
    if body.graphql is not None:
        return {"query": body.graphql, "variables": _filled(body.variables, values)}, None
    if body.form is not None:
        return None, {name: text for name, said in body.form.items() if (text := _text(said, values)) is not None}
    return _filled(body.json_, values), None


def _queries(body: Body | None) -> bool:
    """Whether a body asks for something and changes nothing, as its language says."""
    return body is not None and body.graphql is not None and not body.graphql.lstrip().startswith("mutation")


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    try:
        return fill_all(value, values)
    except Absent:
        return {}


def _text(said: Any, values: Mapping[str, Any]) -> str | None:
    try:
        return _scalar(fill(said, values) if isinstance(said, str) else said)
    except Absent:
        return None


def _scalar(value: Any) -> str:
    return orjson.dumps(value, default=str).decode() if isinstance(value, dict) else written(value)


def _segment(value: Any) -> str:
    """A value as a part of a path: it adds no step of its own."""
    text = written(value)
    if text in ("", ".", ".."):
        raise ConfigError(f"a value of a path is {text!r}, which would be another path", hint="Check the values that the path names")
    return quote(text, safe="")


def _steps(value: Any) -> str:
    """A value as several steps of a path, each of which is one."""
    return "/".join(_segment(step) for step in written(value).split("/"))


def _label(value: Any) -> str:
    text = written(value)
    if not _LABELS.fullmatch(text):
        raise ConfigError("a value in a host is no name of one", hint="Only letters, digits, hyphens and dots may stand there")
    return text
