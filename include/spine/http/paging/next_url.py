"""The answer holds the address of the next page."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spine.core.texts import JmesPath
from spine.http.paging.pages import Fetched, Paging, at_link, named, resolved
from spine.http.transport import Request


class NextUrl(Paging):
    """The answer's body has the address of the next page, whole or relative to its own, on the same host.

    Example:
        type: next_url
        next: nextRecordsUrl
    """

    type: Literal["next_url"] = "next_url"
    next: JmesPath | None = Field(default=None, description="JMESPath of the address in the answer; `next` if it is not given")

    def at(self, request: Request, token: str | None) -> Request:
        """The address that the answer gave."""
        return request if token is None else at_link(request, token)

    def next_token(self, page: Fetched) -> str | None:
        """The address in the answer."""
        return resolved(page, named(page, self.next or "next"))
