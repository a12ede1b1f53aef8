"""The mock CRM's pages, which are turned by two values at once. All else of it is in its file."""

from __future__ import annotations

from typing import Literal

from spine.http.paging import Fetched, Paging
from spine.http.paging.pages import named, with_params
from spine.http.transport import Request
from spine.sources.rest import stages


class Bookmark(Paging):
    """The next page is asked for by the bookmark of this one and by how many rows there were so far; a page token holds both."""

    type: Literal["bookmark"] = "bookmark"

    def at(self, request: Request, token: str | None) -> Request:
        """The request with bookmark and count."""
        bookmark, _, seen = (token or "").rpartition(" ")
        return with_params(request, {"bookmark": bookmark, "seen": seen}) if token else request

    def next_token(self, page: Fetched) -> str | None:
        """The bookmark and the rows so far."""
        bookmark = named(page, "page.bookmark")
        before = int((page.token or " 0").rpartition(" ")[2])
        return bookmark and f"{bookmark} {before + len(page.records)}"


class Stages(stages.Stages):
    """The steps of a page, of which the paginator is the CRM's own."""

    def paging(self) -> Paging:
        """Bookmarks."""
        return Bookmark(size=self.stream.paging.size, size_param="limit")
