"""Finds the next page of an answer: one file per kind of paging, with its words and its behaviour. A new kind is a new file."""

from spine.core.variants import Variants
from spine.http.paging.pages import Fetched, Paging

PAGING_KINDS = Variants(Paging, __name__, default="none", passed_over=frozenset({"next", "param", "size", "size_param"}))

__all__ = ["PAGING_KINDS", "Fetched", "Paging"]
