"""The request names the last record that was read."""

from __future__ import annotations

from typing import Literal

import jmespath
from pydantic import Field

from spine.core.errors import SchemaMismatch
from spine.core.texts import JmesPath
from spine.http.paging.pages import Fetched, Placed, search
from spine.http.transport import Request


class Keyset(Placed):
    """The next page begins behind the last record of this one, which is named by one of its fields, until a page is empty.

    Example:
        type: keyset
        field: id
        param: starting_after
        next: has_more
    """

    type: Literal["keyset"] = "keyset"
    field: JmesPath = Field(default="id", description="JMESPath of the field in a record")
    next: JmesPath | None = Field(default=None, description="JMESPath of what is true or filled while there are more pages")
    first: str | None = Field(default=None, description="What the first request says in its place")

    @property
    def turned_by(self) -> str:
        """The parameter."""
        return f"the parameter {self.param or 'after'!r}"

    def at(self, request: Request, token: str | None) -> Request:
        """The request with the last record's field."""
        asked = self.first if token is None else token
        return request if asked is None else self.place(request, self.param or "after", asked)

    def next_token(self, page: Fetched) -> str | None:
        """The field of the last record. Raises SchemaMismatch if it has none."""
        if not page.records or (self.next and not search(jmespath.compile(self.next), page.body)):
            return None
        value = search(jmespath.compile(self.field), page.records[-1])
        if value is None or isinstance(value, bool | dict | list) or value == "":
            raise SchemaMismatch(f"the last record has no {self.field!r} to go on from", hint="Check `field` of the paging")
        return str(value)
