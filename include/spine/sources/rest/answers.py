"""Reads answers by the stream's format: a document in one piece, rows of a file some at a time, so that memory stays flat."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import jmespath

from spine.core.errors import FileRefused, SourceUnavailable
from spine.core.settings import settings
from spine.http.client import Bucket, Client
from spine.http.paging import Fetched
from spine.http.paging.pages import search
from spine.http.transport import Request, Response
from spine.sources.decoders.json import JsonDecoder
from spine.sources.rest.changes import removed_in
from spine.sources.rest.fields import together
from spine.sources.rest.place import Rows
from spine.sources.rest.selecting import refuse_error
from spine.sources.rest.stages import Stages
from spine.sources.rows import EmptyRow, Row
from spine.sources.spec import Stream

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Piece:
    """Some records of an answer. `rest` says how far they go where more follow, `whole` is the page for whoever turns pages.

    `removed` are records that the answer says are gone.
    """

    records: Sequence[Any]
    whole: Fetched
    rest: Rows | None = None
    notes: tuple[str, ...] = ()
    removed: Sequence[Any] = ()


class _Counted(Sequence[Any]):
    """As many records as a file has, of which the last one is known."""

    def __init__(self, count: int, last: Any) -> None:
        self._count, self._last = count, last

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        if place in (-1, self._count - 1):
            return self._last
        raise IndexError(place)


@dataclass
class Answers:
    """Answers of one stream."""

    client: Client
    stages: Stages

    @property
    def stream(self) -> Stream:
        """The stream."""
        return self.stages.stream

    def ask(self, request: Request, token: str | None, rows: Rows | None = None, more: Sequence[Request] = ()) -> Iterator[Piece]:
        """The pieces of the answer to a request; of a file those behind `rows`, if it is still the same one.

        `more` are requests for other fields of the same records.
        """
        decoder = self.stream.response
        if decoder.by_rows:
            response = self.client.request(self._expecting(request, "file"), *self._besides)
            yield from self._rows(request, response, token, rows)
        else:
            piece, *others = [self._document(one, token) for one in (request, *more)]
            if not others:
                yield piece
                return
            records = together(self.stream, [piece.records, *(other.records for other in others)])
            yield Piece(records, replace(piece.whole, records=records), removed=piece.removed)

    @property
    def _besides(self) -> tuple[Bucket, ...]:
        """Budgets that its requests use up besides the account's."""
        return (self.client.search_bucket,) if self.stream.searches else ()

    @property
    def _plain(self) -> bool:
        """Whether an answer is JSON as it comes, which the client then judges."""
        return self.stream.response == JsonDecoder()

    def _expecting(self, request: Request, answer: Any) -> Request:
        headers = request.headers
        if not any(name.lower() == "accept" for name in headers):
            headers = {"Accept": self.stream.response.accepts, **headers}
        return replace(request, answer=answer, headers=headers)

    def _document(self, request: Request, token: str | None) -> Piece:
        response = self.client.request(request if self._plain else self._expecting(request, "bytes"), *self._besides)
        with _understood(response):
            body = self.stages.document(response)
        refuse_error(self.stream, response, body, search(jmespath.compile(self.stream.records), body))
        found = self._computed(self.stages.select(body))
        return Piece(found, Fetched(request, response, body, found, token), removed=self._computed(removed_in(self.stream, body)))

    def _computed(self, records: Sequence[Any]) -> Sequence[Any]:
        if type(self.stages).compute is Stages.compute:
            return records
        return [self.stages.compute(record) if isinstance(record, dict) else record for record in records]

    def _rows(self, request: Request, response: Response, token: str | None, rows: Rows | None) -> Iterator[Piece]:
        file: BinaryIO = response.file or io.BytesIO(response.body)
        mark, size = _mark(file), self.stream.paging.size
        behind = rows.count if rows is not None and rows.mark == mark else 0
        notes: list[str] = []
        count, last = 0, None
        records: list[Any] = []
        with _understood(response):
            for row in self.stream.response.rows(file, notes.append, settings().bounds):
                if isinstance(row, EmptyRow):
                    continue
                if len(records) >= size:
                    yield Piece(records, Fetched(request, response, None, records, token), Rows(count, mark), tuple(notes))
                    records, notes[:] = [], []
                count, (last,) = count + 1, self._computed([_of(row)])
                if count > behind:
                    records.append(last)
        whole = Fetched(request, response, None, _Counted(count, last), token)
        yield Piece(records, whole, None, tuple(notes))


def _of(row: Row) -> Any:
    """A row's record; one that cannot be read stays what it is."""
    return row.values if type(row) is Row else row


def _mark(file: BinaryIO) -> str:
    """What tells a file from another one."""
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()[:16]


class _understood:  # a context manager, which passes through generators
    """An answer that cannot be read is a failure of the source; one beyond the bounds stays refused."""

    def __init__(self, response: Response) -> None:
        self._response = response

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, FileRefused):
            error.message = f"the answer of {self._response.place} {error.message}"
            error.args = (error.describe(),)
        elif isinstance(error, OSError | ValueError):
            why = str(error)[:200] if isinstance(error, ValueError) else "torn"
            raise SourceUnavailable(f"the answer of {self._response.place} cannot be read: {why}", status=self._response.status) from None
