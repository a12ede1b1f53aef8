"""What every kind of server gives: rows in batches, each with the place of its last row in the order that was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from spine.sources.columns import Records
from spine.sources.database.asking import Described, Place, Question
from spine.sources.spec import Stream

BATCH = 1000  # rows of a server that gives them one by one


@dataclass(frozen=True)
class Rows:
    """Some rows: as objects (`items`), or as records already where their JSON is written from columns."""

    count: int
    last: Place
    items: Sequence[dict[str, Any]] = ()
    records: Records | None = None


class Server(Protocol):
    """A connection to a database, which only reads."""

    def __enter__(self) -> Server: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def describe(self, schema: str | None, table: str) -> Described:
        """The columns of a table or view. Raises SchemaMismatch if there is none of that name."""
        ...

    def rows(self, question: Question, stream: Stream) -> Iterator[Rows]:
        """The rows in batches. Raises SourceUnavailable, SourceRejected, AuthFailed, SchemaMismatch."""
        ...
