"""A call as a vendor sees it, and what the vendor says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import orjson


class NotCovered(Exception):
    """A source's file says something that the vendor made from it does not understand; its text says what."""


@dataclass(frozen=True)
class Call:
    """One request. `target` is path and query as they were sent; names of `headers` are in small letters."""

    method: str
    scheme: str
    host: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    @cached_property
    def path(self) -> str:
        """The path, encoded as it was sent."""
        return urlsplit(self.target).path

    @cached_property
    def query(self) -> list[tuple[str, str]]:
        """The parameters, decoded, in their order."""
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def origin(self) -> str:
        """Scheme and host."""
        return f"{self.scheme}://{self.host}"

    def param(self, name: str | None) -> str | None:
        """The first value of a parameter."""
        return next((value for key, value in self.query if key == name), None)

    @cached_property
    def form(self) -> dict[str, str]:
        """The fields of a form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    @cached_property
    def json(self) -> Any:
        """The body as JSON, None if it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    def inside(self, path: str) -> Any:
        """The value at a dotted path of the body, JSON or a form."""
        found = self.json
        if not isinstance(found, dict):
            return self.form.get(path)
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found

    def link(self, **changes: str) -> str:
        """The address of this call with other parameters besides or in place of its own."""
        pairs = [(name, value) for name, value in self.query if name not in changes] + list(changes.items())
        return f"{self.origin}{self.path}?" + "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


@dataclass
class Answer:
    """What is sent back. `cut` closes the connection half-way; `hang` seconds of silence come first."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    hang: float = 0.0

    @classmethod
    def of(cls, content: Any, status: int = 200, **headers: str) -> Answer:
        """An answer of JSON."""
        return cls(status, orjson.dumps(content), {"Content-Type": "application/json", **headers})
