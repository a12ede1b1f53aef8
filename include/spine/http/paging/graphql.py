"""Connections of GraphQL, as Relay has described them."""

from __future__ import annotations

from typing import Any, Literal

import jmespath
from pydantic import Field

from spine.core.errors import SchemaMismatch
from spine.core.texts import JmesPath
from spine.http.paging.pages import Fetched, Paging, search, with_body
from spine.http.transport import Request


class GraphQL(Paging):
    """A connection says in its `pageInfo` whether there is more and where it goes on, by a variable of the query.

    Example:
        type: graphql
        connection: data.customers
        size: 100
        size_param: variables.first
    """

    type: Literal["graphql"] = "graphql"
    connection: JmesPath = Field(description="JMESPath of the connection in the answer")
    param: str = Field(default="variables.after", description="The path in the body that holds the end of the page before")

    @property
    def turned_by(self) -> str:
        """The variable."""
        return f"{self.param!r} of the query"

    def sized(self, request: Request) -> Request:
        """The request with the size of its pages, a variable as well."""
        return with_body(request, self.size_param, self.size) if self.size_param else request

    def at(self, request: Request, token: str | None) -> Request:
        """The query with the end of the page before."""
        return request if token is None else with_body(request, self.param, token)

    def next_token(self, page: Fetched) -> str | None:
        """The end of this page. Raises SchemaMismatch if the answer has no `pageInfo`."""
        found = search(jmespath.compile(self.connection), page.body)
        about: Any = found.get("pageInfo") if isinstance(found, dict) else None
        if found is None:
            return None
        if not isinstance(about, dict):
            raise SchemaMismatch(
                f"the answer has no pageInfo at {self.connection!r}", hint="Ask for `pageInfo {hasNextPage endCursor}` in the query"
            )
        end = about.get("endCursor")
        return str(end) if about.get("hasNextPage") and end not in (None, "") else None
