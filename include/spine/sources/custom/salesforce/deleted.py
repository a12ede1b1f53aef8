"""Deleted records of a window that no query finds any more, since they have left the recycle bin.

Facts: developer.salesforce.com, REST API Developer Guide ("Get Deleted"), SOAP API Developer Guide ("getDeleted()": whole minutes,
30 days).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from spine.core import clock, jsontext
from spine.core.errors import SchemaMismatch, SourceRejected
from spine.core.screen import logger
from spine.sources.custom.salesforce.service import Service
from spine.sources.custom.salesforce.soql import object_of, time_literal
from spine.sources.reading import Record, Window, fingerprint, lookup, position_of
from spine.sources.rest import records_of, said_empty
from spine.sources.spec import Stream

_log = logger(__name__)
_KEPT = timedelta(days=29, hours=23)  # deleted records can be asked for over 30 days


def deleted_in(service: Service, stream: Stream, window: Window) -> list[Record]:
    """What the window's deleted records are, those that have left the recycle bin too; the call counts whole minutes."""
    assert window.start is not None
    end = window.end or clock.now()
    start = max(window.start, clock.now() - _KEPT)
    if start > window.start:
        _log.warning("%s: deletes before %s can no longer be asked for; a full read finds them", stream.name, clock.to_text(start))
    if start >= end:
        return []
    bounds = {
        "start": time_literal(start.replace(second=0, microsecond=0)),
        "end": time_literal(max(end, start + timedelta(minutes=1)).replace(second=0, microsecond=0) + timedelta(minutes=1)),
    }
    try:
        answer = service.get(f"sobjects/{object_of(stream)}/deleted/", bounds)
    except (SourceRejected, SchemaMismatch) as error:
        _log.warning("%s: deleted records could not be asked for; a full read finds those that left the bin: %s", stream.name, error)
        return []
    rows = records_of(stream, lookup(answer, "deletedRecords"), empty=said_empty(answer, "deletedRecords"))
    return [_gone(row) for row in rows if isinstance(row, dict) and row.get("id") and _held(row, window)]


def _held(row: dict[str, Any], window: Window) -> bool:
    moment = position_of(row.get("deletedDate"), "deletedDate").moment()
    return moment is not None and window.holds(moment)


def _gone(row: dict[str, Any]) -> Record:
    cursor = position_of(row.get("deletedDate"), "deletedDate").cursor
    payload = {"Id": row["id"], "IsDeleted": True, "deletedDate": row.get("deletedDate")}
    return Record(str(row["id"]), "delete", cursor, jsontext.dump(payload), fingerprint(payload))
