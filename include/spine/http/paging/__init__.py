"""Finds the next page of an answer: one file per kind of paging, with its words and its behaviour. A new kind is a new file."""

from spine.core.variants import FirstVersion, Variants
from spine.http.paging.pages import Fetched, Paging

_FIRST = FirstVersion(
    kinds=frozenset({"none", "link_header", "next_token", "next_url", "offset", "page"}),
    words=frozenset({"next", "param", "size", "size_param"}),
)
PAGING_KINDS = Variants(Paging, __name__, default="none", first=_FIRST)

__all__ = ["PAGING_KINDS", "Fetched", "Paging"]
