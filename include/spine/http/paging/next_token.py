"""The answer holds a token of the next page."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spine.core.texts import JmesPath, Pattern
from spine.http.paging.pages import Fetched, Placed, cut, named
from spine.http.transport import Request


class NextToken(Placed):
    """The answer names the next page by a token that goes into the next request.

    Example:
        type: next_token
        next: paging.next.after
        param: after
        size: 100
        size_param: limit
    """

    type: Literal["next_token", "cursor"] = "next_token"
    next: JmesPath | None = Field(default=None, description="JMESPath of the token in the answer; `next` if it is not given")
    from_header: str | None = Field(default=None, description="The header of the answer that has the token instead")
    cut: Pattern | None = Field(default=None, description="A regular expression (RE2) whose group is the token in what was found")
    first: str | None = Field(default=None, description="What the first request says in the token's place")

    @property
    def turned_by(self) -> str:
        """The parameter."""
        return f"the parameter {self.param or 'cursor'!r}"

    def at(self, request: Request, token: str | None) -> Request:
        """The request with the token at its place."""
        asked = self.first if token is None else token
        return request if asked is None else self.place(request, self.param or "cursor", asked)

    def next_token(self, page: Fetched) -> str | None:
        """The token in the answer."""
        if self.from_header is not None:
            return cut(page.response.headers.get(self.from_header.lower()) or None, self.cut)
        return cut(named(page, self.next or "next"), self.cut)
