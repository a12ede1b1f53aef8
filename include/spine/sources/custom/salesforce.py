"""Salesforce by SOQL over the REST API: `queryAll` (deleted rows included) ordered by cursor and Id, `nextRecordsUrl` paging.

The cursor is SystemModstamp, which every change moves; LastModifiedDate stays where it was when the system changes a record, and comes
along with migrated ones. What has left the recycle bin is in no query: the window's deleted records are asked for besides.

Facts: developer.salesforce.com, REST API Developer Guide ("Query", "QueryAll", "Get Deleted", "Limit Info Header", "Status Codes and
Error Responses"), SOAP API Developer Guide ("getDeleted()", "API Fault Element"), and SOQL and SOSL Reference ("Quoted String Escape
Sequences", "Date Formats and Date Literals").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from spine.core import clock, declarations, jsontext
from spine.core.errors import AuthFailed, ConfigError, RateLimited, SchemaMismatch, SourceRejected, SourceUnavailable
from spine.core.screen import logger
from spine.core.texts import nearest
from spine.http.client import Client
from spine.http.limits import wait_of
from spine.http.transport import Response
from spine.sources.reading import (
    Page,
    Record,
    State,
    Turning,
    Window,
    fingerprint,
    flagged,
    later,
    lookup,
    make_record,
    position_of,
    require_fields,
)
from spine.sources.rest import records_of, said_empty
from spine.sources.spec import Source, Stream

_log = logger(__name__)
_PATH = "/services/data/v61.0/queryAll"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*")
_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"})
_NO_FIELD = re.compile(r"(?:No such column|Didn't understand relationship) '([A-Za-z0-9_.]+)'")
_LIMIT_PAUSE = 900.0  # seconds; the daily limit is a rolling one, so that calls come back little by little
_CONCURRENT_PAUSE = 20.0  # calls count as concurrent that run for longer than that
_LEAST_BATCH = 200
_DELETED_KEPT = timedelta(days=29, hours=23)  # deleted records can be asked for over 30 days
_RETRIED = ("UNABLE_TO_LOCK_ROW", "API_CURRENTLY_DISABLED")
_NO_RIGHTS = ("API_DISABLED_FOR_ORG", "INSUFFICIENT_ACCESS", "FUNCTIONALITY_NOT_ENABLED", "USER_BLOCKED")
READS = frozenset({"path", "object", "fields", "required_fields", "cursor.field", "paging.size", "deletes.field"})
DETECTS = frozenset({"flag", "sweep"})


def mistakes(stream: Stream) -> Iterator[tuple[declarations.Place, str]]:
    """What is wrong with a stream of objects: places inside it, and why. SOQL sends the `fields` that are asked for and nothing else."""
    for place, text in ((("object",), stream.object or stream.name), *((("fields", at), item) for at, item in enumerate(stream.fields))):
        if not _NAME.fullmatch(text):
            yield place, f"{text!r} is no name of an object or field"
    keys = stream.key_fields if "Id" in stream.key_fields else (*stream.key_fields, "Id")
    asked: list[tuple[declarations.Place, str]] = [(("key", at), item) for at, item in enumerate(keys)]
    asked += [(("required_fields", at), item) for at, item in enumerate(stream.required_fields)]
    asked += [(("cursor", "field"), stream.cursor.field)] if stream.cursor else []
    asked += [(("deletes", "field"), stream.deletes.field or "IsDeleted")] if stream.deletes.detect == "flag" else []
    asked += [(("mapping", "fields", name, "from"), path) for name, field in stream.mapped.items() for path in field.source]
    for place, item in asked:
        if not any(item == known or item.startswith(f"{known}.") for known in stream.fields):
            yield place, f"{item!r} is not in `fields`, so that it is never read{nearest(item, stream.fields)}"


def text_literal(value: str) -> str:
    """A SOQL string literal."""
    return f"'{value.translate(_ESCAPES)}'"


def time_literal(moment: datetime) -> str:
    """A SOQL dateTime literal, in milliseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def name(identifier: str) -> str:
    """An object or field name, which SOQL cannot quote. Raises ConfigError for anything else."""
    if not _NAME.fullmatch(identifier):
        raise ConfigError(f"{identifier!r} is no name of an object or field", hint="Correct the source's file")
    return identifier


@dataclass(frozen=True)
class Place:
    """Where a query stands: the locator of its next page, and the last record read, from which it can start again.

    `ties` says that the query at hand reads only the rest of the records that share the last one's time, `deleted` that only the
    window's deleted records are left.
    """

    locator: str | None = None
    after: tuple[str, str] | None = None
    ties: bool = False
    deleted: bool = False

    def dump(self) -> str:
        """The place as a page token."""
        return orjson.dumps([self.locator, self.after, self.ties, self.deleted]).decode()

    @staticmethod
    def load(token: str | None) -> Place:
        """The place that a token names; the beginning for None."""
        if token is None:
            return Place()
        locator, after, *rest = orjson.loads(token)
        return Place(locator, tuple(after) if after else None, *rest)


def soql(stream: Stream, fields: Sequence[str], window: Window, place: Place) -> str:
    """The query of the stream's records in the window, from `place.after` on, in the order of change and Id."""
    conditions, order = [], ["Id"]
    if stream.cursor is not None:
        cursor = name(stream.cursor.field)
        order.insert(0, cursor)
        start = None if window.start is None else f"{cursor} {'>=' if window.backfill else '>'} {time_literal(window.start)}"
        if place.after:
            start = f"{cursor} {'=' if place.ties else '>'} {place.after[0]}"
        conditions = [start] if start else []
        # A full read has no upper bound, or what changed meanwhile would be taken for deleted; its cursor stops at the window's end.
        if window.end is not None and not window.full:
            conditions.append(f"{cursor} {'<' if window.backfill else '<='} {time_literal(window.end)}")
    if place.after and (place.ties or stream.cursor is None):
        conditions.append(f"Id > {text_literal(place.after[1])}")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    columns = ", ".join(name(item) for item in fields)
    # Every part is a checked name or an escaped literal.
    return f"SELECT {columns} FROM {name(stream.object or stream.name)}{where} ORDER BY {', '.join(order)}"  # noqa: S608


@dataclass
class Reader:
    """Reads objects by SOQL. `used` is the share of the account's daily calls that are gone, as the last answer said."""

    source: Source
    client: Client
    used: float = 0.0
    _lost: set[str] = field(default_factory=set)
    _sizes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client.inspect = self._inspect

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages of the stream, each record at most once unless it changes meanwhile; deleted records of the window last."""
        place, high_water = Place.load(state.token), state.high_water
        turning = Turning(stream, "the query locator")
        then_deleted = stream.deletes.detect == "flag" and stream.cursor is not None and window.start is not None
        known: set[str] = set()  # deletes that the query has told already
        while not place.deleted:
            asked = place.locator
            rows, place = self._rows(stream, window, place)
            turning.see(rows, asked, place.locator)
            records = [self._record(stream, row) for row in rows]
            known |= {record.record_id for record in records if record.op == "delete"}
            for record in records:
                high_water = later(high_water, record.cursor)
            more = place.locator is not None or place.ties
            if not more and then_deleted:
                place = Place(deleted=True)
            yield Page(records, place.dump() if more or place.deleted else None, high_water)
            if not more and not place.deleted:
                return
            if place.locator is None:
                place = replace(place, ties=False)
        gone = [record for record in self._deleted(stream, window) if record.record_id not in known]
        for record in gone:
            high_water = later(high_water, record.cursor)
        yield Page(gone, None, high_water)

    def _rows(self, stream: Stream, window: Window, place: Place) -> tuple[list[Any], Place]:
        """The rows at a place and what follows them. A locator that has expired is replaced by a query from the last record on."""
        self._respect_share()
        try:
            answer = self._ask(stream, window, place)
        except SourceRejected as error:
            if error.where.get("reason") != "locator expired" or place.locator is None:
                raise
            return self._rows(stream, window, replace(place, locator=None, ties=place.after is not None and stream.cursor is not None))
        found = records_of(stream, lookup(answer, "records"), empty=said_empty(answer, "records"))
        rows = [_without_attributes(row) for row in found]
        flag = [stream.deletes.field or "IsDeleted"] if stream.deletes.detect == "flag" else []
        require_fields(stream, rows, *flag)
        locator = lookup(answer, "nextRecordsUrl")
        if locator is not None and not isinstance(locator, str):
            raise SchemaMismatch("`nextRecordsUrl` of the answer is no address", stream=stream.name)
        return rows, self._following(stream, place, rows, locator or None)

    @staticmethod
    def _record(stream: Stream, row: Any) -> Record:
        field = stream.cursor.field if stream.cursor else ""
        position = position_of(lookup(row, field), field)
        flag, deleted = stream.deletes.field or "IsDeleted", False
        mistake = position.mistake
        if stream.deletes.detect == "flag":
            deleted = flagged(lookup(row, flag))
            # Without its flag a deleted record would look like one that came back.
            mistake = mistake or ("" if lookup(row, flag) is not None else f"{flag} is missing")
        return make_record(stream, row, cursor=position.cursor, op="delete" if deleted else "upsert", mistake=mistake)

    def _deleted(self, stream: Stream, window: Window) -> list[Record]:
        """What the window's deleted records are, those that have left the recycle bin too; the call counts whole minutes."""
        assert window.start is not None
        end = window.end or clock.now()
        start = max(window.start, clock.now() - _DELETED_KEPT)
        if start > window.start:
            _log.warning("%s: deletes before %s can no longer be asked for; a full read finds them", stream.name, clock.to_text(start))
        bounds = {
            "start": time_literal(start.replace(second=0, microsecond=0)),
            "end": time_literal(max(end, start + timedelta(minutes=1)).replace(second=0, microsecond=0) + timedelta(minutes=1)),
        }
        if start >= end:
            return []
        self._respect_share()
        data = (stream.path or _PATH).rpartition("/")[0]
        try:
            answer = self.client.get(f"{data}/sobjects/{name(stream.object or stream.name)}/deleted/", bounds).json()
        except (SourceRejected, SchemaMismatch) as error:
            _log.warning("%s: deleted records could not be asked for; a full read finds those that left the bin: %s", stream.name, error)
            return []
        rows = records_of(stream, lookup(answer, "deletedRecords"), empty=said_empty(answer, "deletedRecords"))
        return [self._gone(row) for row in rows if isinstance(row, dict) and row.get("id") and self._held(row, window)]

    @staticmethod
    def _held(row: dict[str, Any], window: Window) -> bool:
        moment = position_of(row.get("deletedDate"), "deletedDate").moment()
        return moment is not None and window.holds(moment)

    @staticmethod
    def _gone(row: dict[str, Any]) -> Record:
        cursor = position_of(row.get("deletedDate"), "deletedDate").cursor
        payload = {"Id": row["id"], "IsDeleted": True, "deletedDate": row.get("deletedDate")}
        return Record(str(row["id"]), "delete", cursor, jsontext.dump(payload), fingerprint(payload))

    @staticmethod
    def _following(stream: Stream, place: Place, rows: list[Any], locator: str | None) -> Place:
        after = place.after
        field = stream.cursor.field if stream.cursor else ""
        for row in reversed(rows):  # the last one that says where it stands
            moment = position_of(lookup(row, field), field).moment()
            if lookup(row, "Id") and (moment or not field):
                after = (time_literal(moment) if moment else "", str(row["Id"]))
                break
        return Place(locator, after, place.ties)

    def _ask(self, stream: Stream, window: Window, place: Place) -> Any:
        """The answer to the query at a place. One that takes the source too long is asked again for ever smaller batches."""
        while True:
            size = self._sizes.get(stream.name, stream.paging.size)
            headers = {"Sforce-Query-Options": f"batchSize={size}"}
            try:
                if place.locator is not None:
                    answer = self.client.get(place.locator, headers=headers).json()
                else:
                    fields = [item for item in stream.fields if item not in self._lost]
                    answer = self.client.get(stream.path or _PATH, {"q": soql(stream, fields, window, place)}, headers=headers).json()
            except SourceRejected as error:
                if error.where.get("reason") == "query timeout":
                    self._sizes[stream.name] = self._smaller(size, error)
                elif place.locator is None:
                    self._forget(stream, error)
                else:
                    raise
                continue
            if answer is not None and not isinstance(answer, dict):
                raise SchemaMismatch("the answer is no query result", stream=stream.name)
            return answer

    @staticmethod
    def _smaller(size: int, error: SourceRejected) -> int:
        if size <= _LEAST_BATCH:
            raise SourceUnavailable(error.message, hint="The object may need an index on its cursor") from error
        return max(_LEAST_BATCH, size // 2)

    def _forget(self, stream: Stream, error: SourceRejected) -> None:
        """Go on without an optional field that the object has lost. Raises SchemaMismatch for a required one, else the error."""
        lost = str(error.where.get("field")).lower()
        wanted = [item for item in stream.fields if item not in self._lost and _names(item, lost)]
        if not wanted:
            raise error
        flag = stream.deletes.field if stream.deletes.detect == "flag" else None
        needed = {*stream.required_fields, *stream.key_fields, stream.cursor.field if stream.cursor else None, flag}
        if needed.intersection(wanted):
            raise SchemaMismatch(
                f"{stream.object} has no field {', '.join(wanted)} any more",
                hint="Ask who changed the object or the rights on its fields, or adapt the source's file",
                stream=stream.name,
            ) from error
        _log.warning("%s: %s does not exist or may not be read and is left out", stream.name, ", ".join(wanted))
        self._lost.update(wanted)

    def _respect_share(self) -> None:
        share = self.source.rate_limit.share
        if share < 1 and self.used >= share:
            self.client.bucket.pause(_LIMIT_PAUSE)  # all streams of the account are told
            raise RateLimited(
                f"{self.used:.0%} of the organisation's daily calls are used; this connection stops at {share:.0%}",
                hint="`rate_limit.share` in the source's file is the limit",
                retry_after=_LIMIT_PAUSE,
                **self.client.where,
            )

    def _inspect(self, response: Response) -> None:
        usage = re.search(r"api-usage=(\d{1,12})/(\d{1,12})(?!\d)", response.headers.get("sforce-limit-info", ""))
        if usage and int(usage[2]):
            self.used = int(usage[1]) / int(usage[2])
        if response.status >= 400 and response.status != 401:
            _raise_in_its_words(response)


def _raise_in_its_words(response: Response) -> None:
    """Raise our error for Salesforce's own error code, if we know it; the client adds its words."""
    try:
        mistakes = orjson.loads(response.body)
        first = mistakes[0] if isinstance(mistakes, list) else {}
        code, message = str(first.get("errorCode", "")), str(first.get("message", ""))
    except (orjson.JSONDecodeError, IndexError, AttributeError):
        return
    if code == "REQUEST_LIMIT_EXCEEDED":
        raise _limit(message, wait_of(response.headers))
    if code == "QUERY_TIMEOUT":
        raise SourceRejected("the query took too long", hint="The object may need an index on its cursor", reason="query timeout")
    if code == "INVALID_QUERY_LOCATOR":
        raise SourceRejected("the query locator has expired", reason="locator expired")
    lost = _NO_FIELD.search(message)
    if code == "INVALID_FIELD" and lost:
        raise SourceRejected(f"there is no field {lost[1]}", hint="Adapt `fields` in the source's file", field=lost[1])
    if code == "INVALID_TYPE":
        raise SchemaMismatch("the object does not exist or may not be read", hint="Check the rights of the connected user")
    if code in _RETRIED and response.status < 500:
        raise SourceUnavailable(f"the source failed ({code})", retry_after=wait_of(response.headers))
    if code in _NO_RIGHTS:
        raise AuthFailed(f"the connected user may not do that ({code})", hint="Check the user's profile and the connected app")


def _limit(message: str, asked: float | None) -> RateLimited:
    """The daily limit comes back over hours; that of calls at one time as soon as others end."""
    if "concurrent" in message.lower():
        wait = _CONCURRENT_PAUSE if asked is None else asked
        return RateLimited("too many calls of the organisation run at one time", retry_after=wait)
    wait = _LIMIT_PAUSE if asked is None else asked
    return RateLimited("the organisation's daily calls are used up", retry_after=wait)


def _names(item: str, lost: str) -> bool:
    """Whether a field of ours is the lost one, whole, of a parent, or below a lost relationship."""
    own = item.lower()
    return own == lost or own.startswith(f"{lost}.") or ("." not in lost and own.endswith(f".{lost}"))


def _without_attributes(row: Any) -> Any:
    """The row without the API's own `attributes` (type and versioned URL), in its parents too: they are no data of the record."""
    if not isinstance(row, dict):
        return row
    return {key: _without_attributes(value) for key, value in row.items() if key != "attributes"}
