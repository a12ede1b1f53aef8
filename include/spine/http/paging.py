"""Finds the next page of an answer: by token, offset, page number, URL in the body, or Link header (RFC 8288)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import jmespath

from spine.core.errors import SourceRejected
from spine.http.transport import Response

Kind = Literal["none", "cursor", "offset", "page", "next_url", "link_header"]


@dataclass(frozen=True)
class Pager:
    """Where a page token comes from and how it is sent.

    `next` is a JMESPath into the answer, `param` the query parameter of the token, `size` and `size_param` ask for the page's length.
    """

    kind: Kind
    next: str | None = None
    param: str | None = None
    size: int = 1000
    size_param: str | None = None
    first_page: int = 1

    def request(self, path: str, params: dict[str, str], token: str | None) -> tuple[str, dict[str, str]]:
        """Path and parameters of the page that `token` names; None is the first page."""
        if token is not None and self.kind in ("next_url", "link_header"):
            return token, {}  # such a link carries all parameters itself
        sized = {**params, self.size_param: str(self.size)} if self.size_param else dict(params)
        name = self.param or {"cursor": "cursor", "offset": "offset", "page": "page"}.get(self.kind)
        start = {"offset": "0", "page": str(self.first_page)}.get(self.kind)
        value = token if token is not None else start
        if name and value is not None:
            sized[name] = value
        return path, sized

    def following(self, response: Response, answer: Any, records: int, token: str | None) -> str | None:
        """The token of the page after this one, None at the end. Raises SourceRejected when the source repeats a token."""
        found = self._following(response, answer, records, token)
        if found is not None and found == token:
            raise SourceRejected("the source names the same page as its next one", hint="Check the paging of the source's file")
        return found

    def _following(self, response: Response, answer: Any, records: int, token: str | None) -> str | None:
        if self.kind == "none":
            return None
        if self.kind == "link_header":
            return response.link("next")
        if self.kind in ("offset", "page"):
            # A short page may also be the vendor's own lower limit, so only an empty one or the answer's word ends the reading.
            if records == 0 or (self.next and not jmespath.search(self.next, answer)):
                return None
            step = records if self.kind == "offset" else 1
            return str(int(token or (0 if self.kind == "offset" else self.first_page)) + step)
        value = jmespath.search(self.next or "next", answer)
        return None if value in (None, "", False) else str(value)
