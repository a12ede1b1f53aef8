"""Reads collections of MongoDB in the order of `_id`, so that a reading goes on behind its last document. One server is asked, itself.

Documents become plain JSON: ids and UUIDs are texts, times ISO 8601, decimals numbers with all their digits, bytes hexadecimal; what is
rarer is written as MongoDB's relaxed Extended JSON. No moment of the collection is promised: what changes while it is read may be seen
before or after.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

import orjson

from spine.core import clock, declarations, jsontext, times
from spine.core.errors import AuthFailed, ConfigError, ConnectorError, SchemaMismatch, SourceRejected, SourceUnavailable
from spine.core.settings import settings
from spine.sources.access import Access, addresses_of, in_clear
from spine.sources.reading import Page, State, Window, later, number_of
from spine.sources.recording import Recorder
from spine.sources.spec import Source, Stream

READS = frozenset({
    "object", "fields", "required_fields", "cursor.field", "cursor.type", "cursor.reads", "filters", "flatten", "rename", "compute",
    "personal", "deletes.field", "paging.size",
})  # fmt: skip
DETECTS = frozenset({"flag", "sweep"})
_PORT = 27017
_DIGITS, _UUID = 40, 16  # beyond these digits a decimal is told by its exponent; bytes of a UUID
# BSON's numbers of types, in the order in which MongoDB sorts values of them: `$gt` compares within one of these groups only.
_ORDER = ((10,), (1, 16, 18, 19), (2,), (3,), (5,), (7,), (8,), (9,), (17,))
_REFUSED, _NO_RIGHT = {11, 18, 8000}, {13}


def mistakes(stream: Stream) -> Iterator[tuple[declarations.Place, str]]:
    """What is wrong with a stream of a collection: places inside it, and why."""
    if stream.deletes.detect == "flag" and stream.deletes.field is None:
        yield ("deletes", "field"), "`detect: flag` needs the field that tells a deleted document"
    if stream.fields and stream.cursor is not None and stream.cursor.field.partition(".")[0] not in stream.fields:
        yield ("fields",), f"{stream.cursor.field!r} is missing, which is the cursor"


@dataclass(frozen=True)
class Reader:
    """Reads the collections of one database."""

    source: Source
    access: Access

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages of the documents behind the one that the token names."""
        from bson import json_util
        from pymongo.errors import PyMongoError

        recorder, high_water = Recorder(stream, window, state.cursor, self.access.values, self.access.hashed), state.high_water
        size = stream.paging.size if "paging" in stream.model_fields_set else settings().batch_size
        try:
            with _database(self.access) as database:
                found = _documents(database, stream, state, window, self.access).batch_size(size)
                while documents := list(islice(found, size)):
                    token = json_util.dumps({"after": documents[-1]["_id"]}, json_options=json_util.CANONICAL_JSON_OPTIONS)
                    records = recorder.records(_plain(document) for document in documents)
                    self.access.allowance.took(records.letters)
                    self.access.allowance.turned()
                    high_water = later(high_water, records.latest)
                    yield Page(records, token, high_water)
        except PyMongoError as error:
            raise _failure(error) from None
        yield Page((), None, high_water)


def _documents(database: Any, stream: Stream, state: State, window: Window, access: Access) -> Any:
    """A cursor of the documents that are asked for, in the order of their ids. Raises SchemaMismatch if there is no such collection."""
    name = stream.object or stream.name
    if name not in database.list_collection_names(filter={"name": name}):
        raise SchemaMismatch(f"there is no collection {name!r}", hint="Name it by `object` of the stream", stream=stream.name)
    asked = [_window(stream, state, window), _behind(state.token)]
    conditions = [one for one in asked if one]
    fields = dict.fromkeys(("_id", *stream.key_fields, *stream.fields), 1) if stream.fields else None
    found = database[name].find({"$and": conditions} if conditions else {}, fields, no_cursor_timeout=False)
    return found.sort("_id", 1).max_time_ms(int(access.times.stream * 1000))


def _behind(token: str | None) -> dict[str, Any]:
    """Ids that are sorted behind that of the token, of its own type and of those that follow."""
    from bson import json_util

    if token is None:
        return {}
    after = json_util.loads(token)["after"]
    place = next((number for number, kinds in enumerate(_ORDER) if _type(after) in kinds), 0)
    others = [{"_id": {"$type": kind}} for kinds in _ORDER[place + 1 :] for kind in kinds]
    return {"$or": [{"_id": {"$gt": after}}, *others]}


def _type(value: Any) -> int:
    """BSON's number of an id's type, https://bsonspec.org."""
    from bson import Decimal128, ObjectId, Timestamp

    kinds: list[tuple[Any, int]] = [
        (bool, 8), (int | float, 1), (Decimal128, 1), (str, 2), (dict, 3), (ObjectId, 7), (bytes | UUID, 5), (datetime, 9), (Timestamp, 17),
    ]  # fmt: skip
    return next((number for kind, number in kinds if isinstance(value, kind)), 10)


def _window(stream: Stream, state: State, window: Window) -> dict[str, Any]:
    """Documents whose cursor is in the window, and those that have none; all of them for a read of everything."""
    cursor = stream.cursor
    if cursor is None or window.full:
        return {}
    bounds: dict[str, Any] = {}
    if cursor.type == "number":
        bounds |= {"$gt": number_of(state.cursor)} if state.cursor else {}
    else:
        form = cursor.reads

        def written(moment: datetime) -> Any:
            return moment if form is None else times.write(moment, form)

        bounds |= {("$gte" if window.backfill else "$gt"): written(window.start)} if window.start else {}
        bounds |= {("$lt" if window.backfill else "$lte"): written(window.end)} if window.end else {}
    if not bounds:
        return {}
    # Not null and not of the bounds' type: it cannot be compared, and is read so that its record says so.
    return {cursor.field: bounds} if window.backfill else {"$or": [{cursor.field: bounds}, {cursor.field: None}]}


@contextmanager
def _database(access: Access) -> Iterator[Any]:
    """The database of the Connection, asked at an address that may be called. Raises ConfigError."""
    from bson.codec_options import CodecOptions, DatetimeConversion
    from pymongo import MongoClient, ReadPreference

    address = addresses_of(access.host, access.port or _PORT)[0]
    local = in_clear(address)
    encrypted = access.word("tls", "false" if local else "true", ("true", "false", "True", "False")).lower() == "true"
    if not encrypted and not local:
        raise ConfigError("`tls: false` would let data travel in clear", hint="Write true, or let the operator list the network")
    if not access.name:
        raise ConfigError("the Connection names no database", hint="Put its name in the Connection's schema")
    login: dict[str, Any] = {
        "username": access.user,
        "password": access.password,
        "authSource": str(access.extra.get("authSource") or "admin"),
    }
    trusted: dict[str, Any] = {"tlsCAFile": settings().ca_bundle} if encrypted and settings().ca_bundle else {}
    client: Any = MongoClient(
        # A certificate is for the name; it vouches for whom the name leads to.
        access.host if encrypted else address, access.port or _PORT, directConnection=True, tls=encrypted, appname="spine",
        serverSelectionTimeoutMS=int(access.times.connect * 1000), connectTimeoutMS=int(access.times.connect * 1000),
        socketTimeoutMS=int(access.times.total * 1000), retryReads=True, **(login if access.user else {}),
        **trusted,
    )  # fmt: skip
    options: Any = CodecOptions(
        tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO, unicode_decode_error_handler="surrogateescape"
    )
    try:
        yield client.get_database(access.name, codec_options=options, read_preference=ReadPreference.SECONDARY_PREFERRED)
    finally:
        client.close()


def _plain(value: Any) -> Any:
    """A value of BSON as JSON has it."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return clock.to_text(value) if isinstance(value, datetime) else _scalar(value)


def _scalar(value: Any) -> Any:
    """One of BSON's own types."""
    from bson import Binary, Decimal128, ObjectId, json_util

    if isinstance(value, ObjectId):
        return str(value)
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        return jsontext.LongNumber(f"{number:f}") if number.is_finite() and abs(number.adjusted()) < _DIGITS else str(number)
    if isinstance(value, Binary) and value.subtype in (3, 4) and len(value) == _UUID:
        return str(UUID(bytes=bytes(value)))
    if isinstance(value, bytes):
        return value.hex()
    return orjson.loads(json_util.dumps(value, json_options=json_util.RELAXED_JSON_OPTIONS))


def _failure(error: Any) -> ConnectorError:
    """An error of the driver as one of ours, without its text, which may quote a document."""
    from pymongo.errors import ConnectionFailure, OperationFailure

    code = getattr(error, "code", None)
    if code in _REFUSED:
        return AuthFailed("the database refuses the user or its password", hint="Correct login and password of the Connection")
    if code in _NO_RIGHT:
        return SourceRejected("the collection may not be read by this user", hint="Give the user the role `read`")
    if isinstance(error, OperationFailure) and not isinstance(error, ConnectionFailure) and code != 50:
        return SourceRejected(f"the server refuses the question (code {code})", hint="Look at the stream's words")
    return SourceUnavailable(f"the database could not be read: {type(error).__name__}", hint="If it stays so, look at the server")
