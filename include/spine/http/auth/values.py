"""Values that are made of a Connection's fields, as `Token token={password}`, and the places of a request that they travel in.

No template language: a name in braces stands for a field, anything else for itself (`core.placeholders`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import unquote_plus, urlsplit, urlunsplit

from pydantic import AfterValidator, Field

from spine.core.declarations import Strict
from spine.core.placeholders import replaced
from spine.http.auth.signing import Credentials
from spine.http.transport import Request

_ODD = re.compile(r"\{\{|\}\}|\{%|\{\s|\{\}")  # what a template language would understand
_TELLING = 3  # letters from which on a value is hidden in messages; a shorter one would hide half of every word
Lookup = Callable[[str], str]


def _value(text: str) -> str:
    if found := _ODD.search(text):
        raise ValueError(f"{found[0]!r} is no field: write its name alone in single braces, as {{password}}")
    return text


Value = Annotated[str, AfterValidator(_value)]


def filled(text: str, lookup: Lookup) -> str:
    """The value with each field in its place. Raises what `lookup` raises for a field that is not there."""
    return replaced(text, lookup)


def looking_up(credentials: Credentials, more: Mapping[str, str] | None = None) -> Lookup:
    """Finds a field in `more`, then in the Connection: `login`, `password`, `base_url`, or a name of its extra, with dots into objects."""
    given = more or {}
    return lambda name: given[name] if name in given else credentials.value(name)


class Send(Strict):
    """Where secrets travel, each under its name there with its value; `{token}` is the token of kinds that have one."""

    headers: dict[str, Value] = Field(default_factory=dict)
    params: dict[str, Value] = Field(default_factory=dict)
    cookies: dict[str, Value] = Field(default_factory=dict)
    body: dict[str, Value] = Field(default_factory=dict)

    def fill(self, request: Request, lookup: Lookup) -> Request:
        """The request with all of them. Raises AuthFailed for a field that the Connection lacks."""
        seen: list[str] = []

        def noted(name: str) -> str:
            seen.append(lookup(name))
            return seen[-1]

        places = [{name: filled(text, noted) for name, text in place.items()} for place in (self.headers, self.params, self.body)]
        cookies = "; ".join(f"{name}={filled(text, noted)}" for name, text in self.cookies.items())
        headers = places[0] | ({"Cookie": _joined(request.headers, cookies)} if cookies else {})
        return replace(
            request,
            secret_headers={**request.secret_headers, **headers},
            secret_params={**request.secret_params, **places[1]},
            secret_body={**request.secret_body, **places[2]},
            hidden=(*request.hidden, *(value for value in seen if len(value) > _TELLING)),
        )

    def unsigned(self, link: str) -> str:
        """A link without the parameters that carry secrets."""
        return without(link, self.params)


def _joined(headers: Mapping[str, str], cookies: str) -> str:
    plain = next((value for name, value in headers.items() if name.lower() == "cookie"), "")
    return f"{plain}; {cookies}" if plain else cookies


def without(link: str, names: Iterable[str]) -> str:
    """A link without these query parameters; everything else of it as it was written."""
    gone = set(names)
    if not gone:
        return link
    parts = urlsplit(link)
    kept = [pair for pair in parts.query.split("&") if unquote_plus(pair.partition("=")[0]) not in gone]
    return urlunsplit(parts._replace(query="&".join(kept)))


def all_filled(texts: Mapping[str, Any], lookup: Lookup) -> dict[str, Any]:
    """A map, with maps and lists inside, whose texts are filled; other values stay as they are."""
    return {name: _deep(value, lookup) for name, value in texts.items()}


def _deep(value: Any, lookup: Lookup) -> Any:
    if isinstance(value, str):
        return filled(value, lookup)
    if isinstance(value, Mapping):
        return all_filled(value, lookup)
    if isinstance(value, list | tuple):
        return [_deep(one, lookup) for one in value]
    return value
