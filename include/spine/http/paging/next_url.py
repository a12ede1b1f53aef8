"""The answer holds the address of the next page."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spine.core.texts import JmesPath
from spine.http.paging.pages import Fetched, Paging, at_link, named, resolved
from spine.http.transport import Request


class NextUrl(Paging):
    """The answer has the address of the next page, whole or relative to its own, on the same host or one of the source's `hosts`.

    Example:
        type: next_url
        next: nextRecordsUrl
    """

    type: Literal["next_url"] = "next_url"
    next: JmesPath | None = Field(default=None, description="JMESPath of the address in the answer; `next` if it is not given")
    from_header: str | None = Field(default=None, description="The header of the answer that has the address instead")
    keep: bool = Field(default=False, description="Whether parameters that the address lacks are sent again")

    def at(self, request: Request, token: str | None) -> Request:
        """The address that the answer gave."""
        return request if token is None else at_link(request, token, keep=self.keep)

    def next_token(self, page: Fetched) -> str | None:
        """The address in the answer."""
        if self.from_header is not None:
            return resolved(page, page.response.headers.get(self.from_header.lower()) or None)
        return resolved(page, named(page, self.next or "next"))
