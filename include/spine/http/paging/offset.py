"""The request says how many records to leave out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spine.http.paging.pages import Counted, Fetched
from spine.http.transport import Request


class Offset(Counted):
    """A parameter counts the records that were read, until a page is empty or the answer says that there are no more.

    Example:
        type: offset
        param: skip
        next: has_more
        size: 200
        size_param: top
    """

    type: Literal["offset"] = "offset"
    first: int = Field(default=0, ge=0, le=1, description="The number of the first record")

    @property
    def turned_by(self) -> str:
        """The parameter."""
        return f"the parameter {self.param or 'offset'!r}"

    def at(self, request: Request, token: str | None) -> Request:
        """The request with the number of records to leave out."""
        return self.place(request, self.param or "offset", self.first if token is None else int(token))

    def next_token(self, page: Fetched) -> str | None:
        """The number of records up to the end of this page."""
        after = (self.first if page.token is None else int(page.token)) + len(page.records)
        return None if self.read_all(page, after - self.first) else str(after)
