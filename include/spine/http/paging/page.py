"""The request says the number of the page."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spine.core.texts import JmesPath
from spine.http.paging.pages import Fetched, Paging, at_end, with_params
from spine.http.transport import Request

_FIRST = 1


class PageNumber(Paging):
    """A parameter counts pages from 1, until a page is empty or the answer says that there are no more.

    Example:
        type: page
        param: page_number
        next: links.more
    """

    type: Literal["page"] = "page"
    next: JmesPath | None = Field(default=None, description="JMESPath of what is true or filled while there are more pages")
    param: str | None = Field(default=None, description="The request parameter of the number; `page` if it is not given")

    @property
    def turned_by(self) -> str:
        """The parameter."""
        return f"the parameter {self.param or 'page'!r}"

    def at(self, request: Request, token: str | None) -> Request:
        """The request with the page's number."""
        return with_params(request, {self.param or "page": str(_FIRST) if token is None else token})

    def next_token(self, page: Fetched) -> str | None:
        """The number after this page's."""
        return None if at_end(page, self.next) else str(int(page.token or _FIRST) + 1)
