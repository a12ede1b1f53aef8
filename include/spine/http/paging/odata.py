"""Server-driven paging of OData, in the forms of its versions 2 to 4."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from spine.http.paging.pages import Fetched, Paging, at_link, resolved
from spine.http.transport import Request

PREFER, PAGE_SIZE = "Prefer", "odata.maxpagesize"  # OData 4.01, part 1, 8.2.8.9
_LINKS = (("@odata.nextLink",), ("odata.nextLink",), ("d", "__next"), ("__next",))


class OData(Paging):
    """The answer has the address of the next page where OData puts it: `@odata.nextLink` (4), `odata.nextLink` (3) or `d.__next` (2).

    Records are at `value`, in version 2 at `d.results`. A given `size` is asked for by the header `Prefer: odata.maxpagesize`, as version 4
    has it; `size_param` is for services that take `$top` for it, which elsewhere is the number of all records.

    Example:
        type: odata
        size: 500
    """

    type: Literal["odata"] = "odata"

    def sized(self, request: Request) -> Request:
        """The request with the size of its pages, besides what the stream prefers otherwise."""
        if self.size_param or "size" not in self.model_fields_set:
            return super().sized(request)
        said = next((value for name, value in request.headers.items() if name.lower() == PREFER.lower()), "")
        others = {name: value for name, value in request.headers.items() if name.lower() != PREFER.lower()}
        return replace(request, headers={**others, PREFER: ", ".join(filter(None, (said, f"{PAGE_SIZE}={self.size}")))})

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
