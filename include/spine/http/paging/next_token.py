"""The answer holds a token of the next page."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spine.core.texts import JmesPath
from spine.http.paging.pages import Fetched, Paging, named, with_params
from spine.http.transport import Request


class NextToken(Paging):
    """The answer names the next page by a token that goes into a parameter of the next request.

    Example:
        type: next_token
        next: paging.next.after
        param: after
        size: 100
        size_param: limit
    """

    type: Literal["next_token", "cursor"] = "next_token"
    next: JmesPath | None = Field(default=None, description="JMESPath of the token in the answer; `next` if it is not given")
    param: str | None = Field(default=None, description="The request parameter of the token; `cursor` if it is not given")

    @property
    def turned_by(self) -> str:
        """The parameter."""
        return f"the parameter {self.param or 'cursor'!r}"

    def at(self, request: Request, token: str | None) -> Request:
        """The request with the token as a parameter."""
        return request if token is None else with_params(request, {self.param or "cursor": token})

    def next_token(self, page: Fetched) -> str | None:
        """The token in the answer."""
        return named(page, self.next or "next")
