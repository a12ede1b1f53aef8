"""The request says how many records to leave out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spine.core.texts import JmesPath
from spine.http.paging.pages import Fetched, Paging, at_end, with_params
from spine.http.transport import Request


class Offset(Paging):
    """A parameter counts the records that were read, until a page is empty or the answer says that there are no more.

    Example:
        type: offset
        param: skip
        next: has_more
        size: 200
        size_param: top
    """

    type: Literal["offset"] = "offset"
    next: JmesPath | None = Field(default=None, description="JMESPath of what is true or filled while there are more pages")
    param: str | None = Field(default=None, description="The request parameter of the count; `offset` if it is not given")

    @property
    def turned_by(self) -> str:
        """The parameter."""
        return f"the parameter {self.param or 'offset'!r}"

    def at(self, request: Request, token: str | None) -> Request:
        """The request with the number of records to leave out."""
        return with_params(request, {self.param or "offset": "0" if token is None else token})

    def next_token(self, page: Fetched) -> str | None:
        """The number of records up to the end of this page."""
        return None if at_end(page, self.next) else str(int(page.token or 0) + len(page.records))
