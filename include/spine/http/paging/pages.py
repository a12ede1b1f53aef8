"""What every kind of paging has: words in a stream's file, and how it asks for a page and finds the one that follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jmespath
from pydantic import Field

from spine.core.declarations import Strict
from spine.core.errors import SchemaMismatch, SourceRejected
from spine.core.settings import settings
from spine.http.transport import Request, Response, joined


@dataclass(frozen=True)
class Fetched:
    """One page as it was fetched: the request, the answer, its parsed body, its records, and the page token that asked for it."""

    request: Request
    response: Response
    body: Any
    records: list[Any]
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
    size_param: str | None = Field(default=None, description="The request parameter that asks for `size`")

    def request(self, first: Request, token: str | None) -> Request:
        """The request of the page that `token` names, made from that of the stream; None is the first page."""
        sized = with_params(first, {self.size_param: str(self.size)}) if self.size_param else first
        return self.at(sized, token)

    def following(self, page: Fetched) -> str | None:
        """The token of the page after this one, None at the end. Raises SourceRejected when the source repeats a token."""
        found = self.next_token(page)
        if found is not None and found == page.token:
            raise SourceRejected("the source names the same page as its next one", hint="Check the paging of the source's file")
        return found

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


def with_params(request: Request, params: dict[str, str]) -> Request:
    """The request with more query parameters."""
    return replace(request, params={**request.params, **params})


def at_link(request: Request, link: str) -> Request:
    """The request of a link that the source gave, which carries all parameters itself."""
    return replace(request, url=link, params={})


def resolved(page: Fetched, link: str | None) -> str | None:
    """A link as a whole address: it is relative to the address of the page that holds it (RFC 3986, 5)."""
    return None if link is None else joined(page.response.url or page.request.url, link)


def named(page: Fetched, path: str) -> str | None:
    """The text at a JMESPath of the answer, None where it says that there is nothing more."""
    value = search(jmespath.compile(path), page.body)
    return None if value in (None, "", False) else str(value)


def at_end(page: Fetched, path: str | None) -> bool:
    """True after the last of counted pages.

    A short page may also be the vendor's own lower limit, so only an empty one or the answer's word ends the reading.
    """
    return not page.records or bool(path and not search(jmespath.compile(path), page.body))


def search(path: Any, body: Any) -> Any:
    """What a compiled JMESPath finds. Raises SchemaMismatch where one of its functions gets something that it cannot take."""
    try:
        return path.search(body)
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        what = type(error).__name__  # its text would quote the record
    raise SchemaMismatch(f"the answer has another shape than {path.expression!r} can read ({what})", hint="Check it in the source's file")
