"""A Link header holds the address of the next page (RFC 8288)."""

from __future__ import annotations

from typing import Literal

from spine.http.paging.pages import Fetched, Paging, at_link, resolved
from spine.http.transport import Request


class LinkHeader(Paging):
    """The answer's Link header has the address of the next page as relation `next`.

    Example:
        type: link_header
        size: 100
        size_param: per_page
    """

    type: Literal["link_header"] = "link_header"

    def at(self, request: Request, token: str | None) -> Request:
        """The address that the header gave."""
        return request if token is None else at_link(request, token)

    def next_token(self, page: Fetched) -> str | None:
        """The address in the header."""
        return resolved(page, page.response.link("next"))
