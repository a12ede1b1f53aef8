"""How much one stream may bring in one run: a source without an end must not be read without one."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import Field

from spine.core.declarations import Strict
from spine.core.errors import SourceTooLarge

_MEGABYTE = 1_000_000


class Limits(Strict):
    """What each stream may bring in one run, all attempts at it together; beyond that the run fails and keeps what was committed.

    `pages` are answers with success, `megabytes` the unpacked bytes of all answers. The defaults are far above what a source has that pages
    by a hundred records; they end a reading that has no end.

    Example:
        pages: 2000
    """

    pages: int = Field(default=100_000, ge=1, description="Answers with success")
    megabytes: int = Field(default=100_000, ge=1, description="Unpacked bytes of all answers")


@dataclass
class Allowance:
    """What one stream has brought in one run so far, attempts before this one included."""

    limits: Limits = field(default_factory=Limits)
    pages: int = 0
    bytes: int = 0

    def took(self, count: int) -> None:
        """An answer of so many bytes has come. Raises SourceTooLarge."""
        self.bytes += count
        if self.bytes > self.limits.megabytes * _MEGABYTE:
            raise SourceTooLarge(f"the stream has brought more than {self.limits.megabytes:,} MB in this run (`limits.megabytes`)")

    def turned(self) -> None:
        """It was a page. Raises SourceTooLarge."""
        self.pages += 1
        if self.pages > self.limits.pages:
            raise SourceTooLarge(f"the stream has brought more than {self.limits.pages:,} pages in this run (`limits.pages`)")
