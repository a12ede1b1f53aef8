"""The answer holds the address of the next page."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spine.http.paging.pages import Fetched, Paging, at_link, named
from spine.http.transport import Request


class NextUrl(Paging):
    """The answer's body has the whole address of the next page, on the same host.

    Example:
        type: next_url
        next: nextRecordsUrl
    """

    type: Literal["next_url"] = "next_url"
    next: str | None = Field(default=None, description="JMESPath of the address in the answer; `next` if it is not given")

    def at(self, request: Request, token: str | None) -> Request:
        """The address that the answer gave."""
        return request if token is None else at_link(request, token)

    def next_token(self, page: Fetched) -> str | None:
        """The address in the answer."""
        return named(page, self.next or "next")
