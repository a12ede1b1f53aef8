"""How a server of each kind of paging turns pages. A kind that has no function here is not covered.

A function sees the call, all records that it asks for, and the size of a page; it says which of them the page has and what else the
answer tells: values at paths of the body, and headers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jmespath

from spine.http.paging import Paging
from spine.http.paging.graphql import GraphQL
from spine.http.paging.keyset import Keyset
from spine.http.paging.link_header import LinkHeader
from spine.http.paging.next_token import NextToken
from spine.http.paging.next_url import NextUrl
from spine.http.paging.odata import OData
from spine.http.paging.offset import Offset
from spine.http.paging.page import PageNumber
from spine.http.paging.pages import Counted, Placed, cut
from spine.sandbox.vendor.calls import Call, NotCovered

AT = "__at"  # the parameter of our links
_TOKENS = 7000  # a token is a number, so that patterns of digits find it too; this much more than where its page begins


@dataclass
class Turn:
    """One page: its records, and what the answer says besides, at paths of the body and in headers."""

    records: Sequence[Any]
    says: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    start: int = 0
    last: bool = True


@dataclass(frozen=True)
class Asked:
    """What a page is asked from: the call, what its path has in the place of {page}, the records, the size of a page, `records`' path.

    `instead` is the token where the call has something more in its place.
    """

    call: Call
    page: str | None
    records: Sequence[Any]
    size: int
    path: str = "@"
    instead: str | None = None

    def cut(self, start: int) -> Turn:
        """The page that begins there."""
        found = self.records[start : start + self.size]
        return Turn(found, start=start, last=start + self.size >= len(self.records))

    def token(self, paging: Placed, usual: str) -> str | None:
        """The token in its place."""
        name = paging.param or usual
        if self.instead is not None:
            return self.instead or None
        if paging.into == "path":
            return self.page
        if paging.into == "body":
            found = self.call.inside(name)
        else:
            found = self.call.headers.get(name.lower()) if paging.into == "header" else self.call.param(name)
        return None if found is None else str(found)


Server = Callable[[Any, Asked], Turn]
_SERVERS: dict[type[Paging], Server] = {}


def turns(kind: type[Paging]) -> Callable[[Server], Server]:
    """Registers how a server of this kind turns pages."""

    def register(server: Server) -> Server:
        _SERVERS[kind] = server
        return server

    return register


def turned(paging: Paging, asked: Asked) -> Turn:
    """The page that a call asks for. Raises NotCovered for a kind that nobody has said it of, or for words that nothing can be made of."""
    server = next((_SERVERS[kind] for kind in type(paging).__mro__ if kind in _SERVERS), None)
    if server is None:
        raise NotCovered(f"nobody has said how a server of paging {paging.type!r} turns pages")
    turn = server(paging, asked)
    if paging.stop is not None:
        turn.says[paging.stop] = turn.last
    return turn


def covered(paging: Paging) -> bool:
    """Whether somebody has said how a server of this kind turns pages."""
    return paging.type == "none" or any(kind in _SERVERS for kind in type(paging).__mro__)


def _counts(paging: Counted, asked: Asked, turn: Turn) -> Turn:
    if paging.next is not None:
        turn.says[paging.next] = not turn.last
    if paging.total is not None:
        turn.says[paging.total] = len(asked.records)
    return turn


@turns(PageNumber)
def page_number(paging: PageNumber, asked: Asked) -> Turn:
    """By the number of the page."""
    number = int(asked.token(paging, "page") or paging.first) - paging.first
    turn = _counts(paging, asked, asked.cut(number * asked.size))
    if paging.pages is not None:
        turn.says[paging.pages] = -(-len(asked.records) // asked.size)
    return turn


@turns(Offset)
def offset(paging: Offset, asked: Asked) -> Turn:
    """By the number of records to leave out."""
    return _counts(paging, asked, asked.cut(int(asked.token(paging, "offset") or paging.first) - paging.first))


@turns(NextToken)
def next_token(paging: NextToken, asked: Asked) -> Turn:
    """By a token in the answer, or in a header of it."""
    token = asked.token(paging, "cursor")
    turn = asked.cut(0 if token is None or token == paging.first else int(token) - _TOKENS)
    told = None if turn.last else _holding(paging.cut, str(_TOKENS + turn.start + asked.size))
    if paging.from_header is not None:
        turn.headers |= {} if told is None else {paging.from_header: told}
    else:
        turn.says[paging.next or "next"] = told
    return turn


def _holding(pattern: str | None, token: str) -> str:
    """A text in which a pattern finds the token."""
    if pattern is None:
        return token
    text = re.sub(r"\((?:\?P<\w+>|(?!\?))(?:[^()\\]|\\.)*\)", token, pattern)
    text = re.sub(r"\\(.)", r"\1", re.sub(r"\(\?:([^()|]*)[^()]*\)", r"\1", text)).replace("^", "").replace("$", "")
    for found in (text, text.replace("?", "").replace(".*", "").replace("+", "")):
        if cut(found, pattern) == token:
            return found
    raise NotCovered(f"no text is known in which {pattern!r} finds a token")


def _linked(asked: Asked, *, keep: bool = False) -> tuple[Turn, str | None]:
    """By an address, which is whole on one page and relative on the next, and repeats what was asked, secrets included."""
    turn = asked.cut(int(asked.call.param(AT) or 0))
    if turn.last:
        return turn, None
    after = str(turn.start + asked.size)
    whole = f"{asked.call.origin}{asked.call.path}?{AT}={after}" if keep else asked.call.link(**{AT: after})
    return turn, whole if turn.start == 0 else whole.removeprefix(asked.call.origin)


@turns(NextUrl)
def next_url(paging: NextUrl, asked: Asked) -> Turn:
    """By an address in the answer, or in a header of it."""
    turn, link = _linked(asked, keep=paging.keep)
    if paging.from_header is None:
        turn.says[paging.next or "next"] = link
    elif link is not None:
        turn.headers[paging.from_header] = link
    return turn


@turns(LinkHeader)
def link_header(paging: LinkHeader, asked: Asked) -> Turn:
    """By a Link header, which has other links besides."""
    turn, link = _linked(asked)
    turn.headers["Link"] = f'<{asked.call.path}>; rel="first"' + (f', <{link}>; rel="next"' if link else "")
    return turn


@turns(OData)
def odata(paging: OData, asked: Asked) -> Turn:
    """Where the version of OData puts it, which is told by where the records are."""
    turn, link = _linked(asked)
    if link is not None:
        turn.says["d.__next" if asked.path.startswith("d.") else '"@odata.nextLink"'] = link
    return turn


@turns(Keyset)
def keyset(paging: Keyset, asked: Asked) -> Turn:
    """Behind the record that is named."""
    token, field_of = asked.token(paging, "after"), jmespath.compile(paging.field)
    start = 0
    if token is not None and token != paging.first:
        start = next((at + 1 for at, record in enumerate(asked.records) if str(field_of.search(record)) == token), len(asked.records))
    turn = asked.cut(start)
    if paging.next is not None:
        turn.says[paging.next] = not turn.last
    return turn


@turns(GraphQL)
def graphql(paging: GraphQL, asked: Asked) -> Turn:
    """By the end of the page before, a variable of the query."""
    token = asked.call.inside(paging.param)
    turn = asked.cut(0 if token is None else int(token) - _TOKENS)
    end = None if turn.last else str(_TOKENS + turn.start + asked.size)
    turn.says[f"{paging.connection}.pageInfo" if paging.connection != "@" else "pageInfo"] = {
        "hasNextPage": not turn.last,
        "endCursor": end,
    }
    return turn
