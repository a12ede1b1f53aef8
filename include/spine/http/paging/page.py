"""The request says the number of the page."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spine.core.texts import JmesPath
from spine.http.paging.pages import Counted, Fetched, reached
from spine.http.transport import Request


class PageNumber(Counted):
    """A parameter counts pages, until a page is empty or the answer says that there are no more.

    Example:
        type: page
        param: page_number
        first: 0
        pages: meta.page_count
    """

    type: Literal["page"] = "page"
    first: int = Field(default=1, ge=0, description="The number of the first page")
    pages: JmesPath | None = Field(default=None, description="JMESPath of the number of all pages")

    @property
    def turned_by(self) -> str:
        """The parameter."""
        return f"the parameter {self.param or 'page'!r}"

    def at(self, request: Request, token: str | None) -> Request:
        """The request with the page's number."""
        return self.place(request, self.param or "page", self._number(token))

    def next_token(self, page: Fetched) -> str | None:
        """The number after this page's."""
        number = self._number(page.token)
        seen = self._seen(page.token) + len(page.records)
        if self.read_all(page, seen) or (self.pages is not None and reached(page, self.pages, number - self.first + 1)):
            return None
        return f"{number + 1}:{seen}" if self.total else str(number + 1)

    def _number(self, token: str | None) -> int:
        return self.first if token is None else int(token.partition(":")[0])

    @staticmethod
    def _seen(token: str | None) -> int:
        """How many records the pages before had, which a vendor may make smaller than they were asked for."""
        return int((token or "").partition(":")[2] or 0)
