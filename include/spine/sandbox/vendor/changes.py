"""How a vendor tells what has changed since a token that it gave: `since-3` is behind the third change of a table.

Where a page's token stands in the same place, it says besides which reading it is a page of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spine.http.paging.pages import Placed
from spine.http.rules import When
from spine.sandbox.vendor.calls import Answer, Call
from spine.sandbox.vendor.matching import Match
from spine.sandbox.vendor.tables import Row, Scope, Table
from spine.sandbox.vendor.turning import Asked, Turn
from spine.sandbox.vendor.writing import put
from spine.sources.reading import has, lookup
from spine.sources.spec import Stream
from spine.sources.spec.streams import SINCE

_MARK = "since-"
_STEP = 1_000_000  # what is added to a page's token for each change that the reading is behind


@dataclass(frozen=True)
class Since:
    """What a call asks for: what came after a number of changes (None: everything), its page's token, or why it gets nothing."""

    after: int | None = None
    page: str | None = None
    refused: Answer | None = None

    def has(self, row: Row) -> bool:
        """Whether a record has changed since then."""
        return self.after is None or row.revision > self.after


class Log:
    """What happened to the tables of a vendor."""

    def __init__(self, tables: Mapping[str, Table], address: Callable[[str, Stream, dict[str, Any]], str]) -> None:
        self._tables, self._address = tables, address
        self._forgotten: dict[str, int] = {}

    def forget(self, stream: str) -> None:
        """Refuse all tokens that were given until now."""
        self._tables[stream].revision += 1
        self._forgotten[stream] = self._tables[stream].revision

    def token(self, stream: Stream, scope: Mapping[str, Any] | None = None) -> str:
        """The token of now; a whole address where the stream asks for one."""
        told = f"{_MARK}{self._tables[stream.name].revision}"
        if stream.later is not None and stream.later.path == SINCE:
            return self._address("changes", stream, {**(scope or {}), "changes.token": told})
        return told

    def since(self, call: Call, found: Match, names: Mapping[str, Any]) -> Since | None:
        """What a call for a stream's page asks for, None where its changes are not told."""
        stream = found.stream
        if stream.changes is None:
            return None
        told = names.get("changes.token")
        page = None
        if isinstance(stream.paging, Placed):
            page = Asked(call, names.get("page"), (), 1).token(stream.paging, "cursor")
        if page is not None and page.startswith(_MARK):
            told, page = page, ""
        elif page is not None and page.isdigit() and int(page) >= _STEP:
            told, page = f"{_MARK}{int(page) // _STEP - 1}", str(int(page) % _STEP)
        if told is None:
            return Since(None, page)
        after = int(str(told).removeprefix(_MARK))
        if after < self._forgotten.get(stream.name, 0):
            return Since(after, page, _refusal(stream.changes.expired[0]))
        return Since(after, page)

    def tell(self, stream: Stream, turn: Turn, since: Since, scopes: Sequence[Scope]) -> None:
        """Add to a page what it says of changes: what is gone, and on the last one the token of now."""
        changes, table = stream.changes, self._tables[stream.name]
        if changes is None:
            return
        if since.after is not None and isinstance(stream.paging, Placed):
            turn.says = {path: self._marked(value, since.after) for path, value in turn.says.items()}
        if changes.removed is not None and since.after is not None:
            gone = [row for scope in scopes for row in table.gone.get(scope, []) if row.revision > since.after]
            turn.says[changes.removed] = [_key(stream, row) for row in gone] if turn.start == 0 else []
        if turn.last and (changes.first is None or since.after is not None):
            scope = dict(scopes[0]) if len(scopes) == 1 else {}
            turn.says[changes.token] = self.token(stream, scope)

    @staticmethod
    def _marked(value: Any, after: int) -> Any:
        return str(int(value) + (after + 1) * _STEP) if isinstance(value, str) and value.isdigit() else value


def _key(stream: Stream, row: Row) -> dict[str, Any]:
    return {path: lookup(row.record, path) for path in stream.key_fields if has(row.record, path)}


def _refusal(when: When) -> Answer:
    body = put(when.match, None, True) if when.match else {"error": {"code": "gone"}}
    return Answer.of({**body, "message": when.text or "the token is too old"}, when.status[0] if when.status else 400)
