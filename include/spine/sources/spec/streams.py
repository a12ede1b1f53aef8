"""One stream of a source: where it is read, how its records are found, and what they become."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pydantic import Field

from spine.core.declarations import Strict
from spine.core.mapping import Mapping
from spine.core.texts import FieldPath, JmesPath, Word
from spine.http.paging import PAGING_KINDS, Paging
from spine.http.paging.none import NoPaging
from spine.sources.spec.cursors import Cursor
from spine.sources.spec.deletes import Deletes

# Which kinds there are is known when the program runs: one for each file of the package.
if TYPE_CHECKING:
    AnyPaging: TypeAlias = Paging
else:
    AnyPaging = PAGING_KINDS.choice()


class Stream(Strict):
    """One table, object or endpoint of a source, and the canonical entity it becomes.

    Not every reader reads every word: `records`, `paging` but for its size, and `since` and `until` of the cursor are for sources of kind
    `generic`; `object` and `fields` are for readers that ask for them. Each reader's module lists what it reads (`READS`), how it sees
    deletes (`DETECTS`), and what else is wrong with a stream (`mistakes`).
    """

    name: Word
    path: str = ""
    object: str | None = None
    params: dict[str, str] = Field(default_factory=dict)
    records: JmesPath = "@"
    key: tuple[FieldPath, ...] = Field(min_length=1)
    fields: tuple[str, ...] = ()
    required_fields: tuple[FieldPath, ...] = ()
    cursor: Cursor | None = None
    paging: AnyPaging = Field(default_factory=NoPaging)
    deletes: Deletes = Deletes()
    entity: Word
    mapping: Mapping
