"""One answer holds all records."""

from __future__ import annotations

from typing import Literal

from spine.http.paging.pages import Fetched, Paging


class NoPaging(Paging):
    """The first answer is the only one. Readers of `custom` sources page by themselves and take only `size` from here.

    Example:
        type: none
    """

    type: Literal["none"] = "none"

    def next_token(self, page: Fetched) -> str | None:
        """Nothing follows."""
        return None
