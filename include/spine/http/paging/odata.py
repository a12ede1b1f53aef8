"""Server-driven paging of OData, in the forms of its versions 2 to 4."""

from __future__ import annotations

from typing import Literal

from spine.http.paging.pages import Fetched, Paging, at_link, resolved
from spine.http.transport import Request

_LINKS = (("@odata.nextLink",), ("odata.nextLink",), ("d", "__next"), ("__next",))


class OData(Paging):
    """The answer has the address of the next page where OData puts it: `@odata.nextLink` (4), `odata.nextLink` (3) or `d.__next` (2).

    Records are at `value`, in version 2 at `d.results`.

    Example:
        type: odata
        size: 500
        size_param: $top
    """

    type: Literal["odata"] = "odata"

    def at(self, request: Request, token: str | None) -> Request:
        """The address that the answer gave."""
        return request if token is None else at_link(request, token)

    def next_token(self, page: Fetched) -> str | None:
        """The address in the answer."""
        for path in _LINKS:
            found = page.body
            for name in path:
                found = found.get(name) if isinstance(found, dict) else None
            if isinstance(found, str) and found:
                return resolved(page, found)
        return None
