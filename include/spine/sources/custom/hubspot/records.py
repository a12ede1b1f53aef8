"""Records of what lists and searches hold: as columns where a page is regular, one by one where it is not.

A contact that was merged into another one is in no list any more, archived or not: the one that is left names it in
`hs_merged_object_ids`, and so it is deleted. Facts: developers.hubspot.com, "CRM API | Objects" (archived), knowledge.hubspot.com ("Merge
records": the property of merged record ids).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from spine.core import jsontext
from spine.core.errors import SchemaMismatch
from spine.sources.columns import Records
from spine.sources.reading import Position, Record, Window, fingerprint, flagged, lookup, make_record, position_of
from spine.sources.recording import Recorder
from spine.sources.rest import records_of, said_empty
from spine.sources.spec import Stream

_MERGED = "hs_merged_object_ids"


def ms(moment: datetime) -> int:
    """Milliseconds since 1970, as filters have them."""
    return round(moment.timestamp() * 1000)


def rows_of(stream: Stream, answer: Any) -> list[Any]:
    """The objects of an answer. Raises SchemaMismatch."""
    if answer is None:
        return []
    if not isinstance(answer, dict):
        raise SchemaMismatch("the answer is no page of records", stream=stream.name)
    return records_of(stream, answer.get("results"), empty=said_empty(answer, "results"))


class Making:
    """Makes the records of one stream in its window."""

    def __init__(self, stream: Stream, window: Window) -> None:
        self._stream, self._window = stream, window
        self._cursor = stream.cursor.field if stream.cursor else ""
        self._inner = f"properties.{self._cursor}"
        seen = stream.cursor and stream.cursor.model_copy(update={"field": self._inner})
        self._recorder = Recorder(stream.model_copy(update={"cursor": seen}), window)

    def all(self, rows: Sequence[Any]) -> Records:
        """The records of rows that are there, and deletes of those that were merged into them."""
        regular = [row for row in rows if isinstance(row, dict) and lookup(row, self._inner)]
        found = self._recorder.records(regular)
        if len(regular) < len(rows):
            usual = set(map(id, regular))
            singly = [record for row in rows if id(row) not in usual and (record := self._single(row)) is not None]
            found = Records.joined(found, Records.of(singly))
        gone = list(self._merged(rows))
        return Records.joined(found, Records.of(gone)) if gone else found

    @staticmethod
    def gone(rows: Sequence[Any]) -> list[Any]:
        """Those that are archived: a server that does not heed what is asked for lists the others too."""
        return [row for row in rows if not isinstance(row, dict) or flagged(row.get("archived")) or row.get("archivedAt")]

    def archived(self, rows: Sequence[Any]) -> list[Record]:
        """Deletes of rows that are archived, as far as they are the window's."""
        found = []
        for row in rows:
            at = position_of(lookup(row, "archivedAt") or lookup(row, "updatedAt"), "archivedAt")
            if self._window.full or self._window.holds(at.moment()):
                found.append(make_record(self._stream, row, cursor=at.cursor, op="delete", mistake=at.mistake))
        return found

    def position(self, row: Any) -> Position:
        """When a row has changed."""
        return position_of(lookup(row, self._inner) or lookup(row, "updatedAt"), self._cursor)

    def time(self, row: Any) -> int | None:
        """The same in milliseconds."""
        moment = self.position(row).moment()
        return None if moment is None else ms(moment)

    def _single(self, row: Any) -> Record | None:
        at = self.position(row)
        if at.cursor is not None and not self._window.full and not self._window.holds(at.moment()):
            return None
        return make_record(self._stream, row, cursor=at.cursor, mistake=at.mistake)

    def _merged(self, rows: Sequence[Any]) -> Iterator[Record]:
        if self._stream.deletes.detect != "archived":
            return
        for row in rows:
            said = lookup(row, f"properties.{_MERGED}")
            for name in str(said).split(";") if said else ():
                if name.strip() and name.strip() != str(row.get("id")):
                    payload = {"id": name.strip(), "mergedInto": str(row.get("id"))}
                    yield Record(name.strip(), "delete", self.position(row).cursor, jsontext.dump(payload), fingerprint(payload))
