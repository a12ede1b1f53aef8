"""What every kind of paging has: words in a stream's file, and how it asks for a page and finds the one that follows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, urlsplit

import jmespath
from pydantic import Field, model_validator

from spine.core.declarations import Strict, refuse
from spine.core.errors import SchemaMismatch, SourceRejected
from spine.core.settings import settings
from spine.core.texts import JmesPath
from spine.http.transport import Request, Response, joined

SLOT = "{page}"  # where a path holds the page's token
_SLOT = quote(SLOT, safe="")


@dataclass(frozen=True)
class Fetched:
    """One page as it was fetched: the request, the answer, its parsed body, its records, and the page token that asked for it."""

    request: Request
    response: Response
    body: Any
    records: Sequence[Any]
    token: str | None = None


class Paging(Strict):
    """How the next page is found. Base of the kinds, whose word is their `type`; a page token is a text that a run can go on from."""

    type: str
    size: int = Field(
        default_factory=lambda: settings().batch_size,
        ge=1,
        le=5000,
        description="How many records a page should have; `SYNC_BATCH_SIZE` (1000) if it is not given",
    )
    size_param: str | None = Field(default=None, description="The request parameter that asks for `size`; in a body its path")
    stop: JmesPath | None = Field(default=None, description="JMESPath of what is true on the last page")
    short: bool = Field(
        default=False, description="Whether a page of less than `size` records is the last, where the vendor keeps to the size"
    )

    @model_validator(mode="after")
    def _short_of_something(self) -> Paging:
        if self.short and "size" not in self.model_fields_set:
            refuse(type(self), [(("short",), "a page is short of the `size` that the source keeps to: say which it is")])
        return self

    def request(self, first: Request, token: str | None) -> Request:
        """The request of the page that `token` names, made from that of the stream; None is the first page."""
        return self.at(self.sized(first), token)

    def sized(self, request: Request) -> Request:
        """The request with the size of its pages."""
        return with_params(request, {self.size_param: str(self.size)}) if self.size_param else request

    def following(self, page: Fetched) -> str | None:
        """The token of the page after this one, None at the end. Raises SourceRejected when the source repeats a token."""
        found = None if self.ended(page) else self.next_token(page)
        if found is not None and found == page.token:
            raise SourceRejected("the source names the same page as its next one", hint="Check the paging of the source's file")
        return found

    def ended(self, page: Fetched) -> bool:
        """Whether this is the last page, whatever it names as the next."""
        if self.short and len(page.records) < self.size:
            return True
        return self.stop is not None and bool(search(jmespath.compile(self.stop), page.body))

    @property
    def turned_by(self) -> str:
        """What makes the source turn the page, in words."""
        return "the link of the next page"

    def at(self, request: Request, token: str | None) -> Request:
        """The request, which asks for the page's size already, with what names the page."""
        return request

    def next_token(self, page: Fetched) -> str | None:
        """What the page says of the one after it."""
        raise NotImplementedError


class Placed(Paging):
    """Paging by a value that may stand anywhere in a request. The kinds that do so derive from it."""

    type: str
    param: str | None = Field(default=None, description="The parameter, header or path in the body that holds it")
    into: Literal["query", "header", "body", "path"] = Field(
        default="query",
        description="Where `param` is; in a `path` of the stream it stands as {page}, in a body `size_param` is there "
        "too. What the body has there as a text stays one",
    )

    value: str = Field(default=SLOT, description="How it is written there, with {page} for the token and {size} for the size of a page")

    @model_validator(mode="after")
    def _names_the_page(self) -> Placed:
        if SLOT not in self.value:
            refuse(type(self), [(("value",), "has no {page}, so that each page would be the same one")])
        if self.value != SLOT and self.into == "path":
            refuse(type(self), [(("value",), "a path has {page} itself: write there what stands around it")])
        return self

    def sized(self, request: Request) -> Request:
        """The request with the size of its pages, in the body if the token is there."""
        if self.size_param and self.into == "body":
            return with_body(request, self.size_param, self.size)
        return super().sized(request)

    def place(self, request: Request, name: str, value: str | int) -> Request:
        """The request with a value at its place."""
        if self.value != SLOT:
            value = self.value.replace(SLOT, str(value)).replace("{size}", str(self.size))
        if self.into == "header":
            return replace(request, headers={**request.headers, name: str(value)})
        if self.into == "body":
            return with_body(request, name, value)
        if self.into == "path":
            return replace(request, url=request.url.replace(_SLOT, quote(str(value), safe="")))
        return with_params(request, {name: str(value)})


class Counted(Placed):
    """Paging by a number that is counted. The kinds that do so derive from it."""

    type: str
    next: JmesPath | None = Field(default=None, description="JMESPath of what is true or filled while there are more pages")
    total: JmesPath | None = Field(default=None, description="JMESPath of the number of all records")

    def read_all(self, page: Fetched, records: int) -> bool:
        """Whether the page is the last: it is empty, the answer says so, or so many `records` are as many as it counts."""
        if not page.records or (self.next and not search(jmespath.compile(self.next), page.body)):
            return True
        return self.total is not None and reached(page, self.total, records)


def reached(page: Fetched, path: str, count: int) -> bool:
    """Whether a count is as high as the number at a JMESPath of the answer. Raises SchemaMismatch if there is none."""
    value = search(jmespath.compile(path), page.body)
    try:
        return count >= int(value)
    except (TypeError, ValueError):
        pass
    raise SchemaMismatch(f"the answer has no number at {path!r}", hint="Check the paging of the source's file")


def with_params(request: Request, params: dict[str, str]) -> Request:
    """The request with more query parameters."""
    return replace(request, params={**request.params, **params})


def with_body(request: Request, path: str, value: Any) -> Request:
    """The request with a value at a dotted path of its body, JSON or a form; as a text where one stands there already."""
    if request.form is not None:
        return replace(request, form={**request.form, path: str(value)})
    return replace(request, json=_set(request.json, path.split("."), value))


def _set(body: Any, path: list[str], value: Any) -> Any:
    if not path:
        return str(value) if isinstance(body, str) else value
    inner = body if isinstance(body, Mapping) else {}
    return {**inner, path[0]: _set(inner.get(path[0]), path[1:], value)}


def at_link(request: Request, link: str, *, keep: bool = False) -> Request:
    """The request of a link that the source gave, which carries all parameters itself; those that it lacks are kept if told to."""
    if not keep:
        return replace(request, url=link, params={})
    carried = {name for name, _ in parse_qsl(urlsplit(link).query, keep_blank_values=True)}
    return replace(request, url=link, params={name: value for name, value in request.params.items() if name not in carried})


def resolved(page: Fetched, link: str | None) -> str | None:
    """A link as a whole address: it is relative to the address of the page that holds it (RFC 3986, 5)."""
    return None if link is None else joined(page.response.url or page.request.url, link)


def named(page: Fetched, path: str) -> str | None:
    """The text at a JMESPath of the answer, None where it says that there is nothing more."""
    value = search(jmespath.compile(path), page.body)
    return None if value in (None, "", False) else str(value)


def cut(text: str | None, pattern: str | None) -> str | None:
    """What the first group of a pattern of RE2 holds in a text, all that fits if it has none; None if nothing fits."""
    if text is None or pattern is None:
        return text
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = f"(?s)^.*?(?:{pattern}).*$" if re.compile(pattern).groups else f"(?s)^.*?({pattern}).*$"
    given = pa.scalar(text, pa.string())
    if not pc.match_substring_regex(given, whole).as_py():
        return None
    return str(pc.replace_substring_regex(given, whole, r"\1").as_py()) or None


def search(path: Any, body: Any) -> Any:
    """What a compiled JMESPath finds. Raises SchemaMismatch where one of its functions gets something that it cannot take."""
    try:
        return path.search(body)
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        what = type(error).__name__  # its text would quote the record
    raise SchemaMismatch(f"the answer has another shape than {path.expression!r} can read ({what})", hint="Check it in the source's file")
