"""Our side: the rows of a table, a view or a stream, by the destination's names of fields, in an order that does not change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from spine.control.database import TenantDatabase
from spine.core.errors import ConfigError
from spine.core.names import bronze_table, connection_id
from spine.core.placeholders import written
from spine.lake.newest import newest_records
from spine.lake.reading import dataset, open_table, reading
from spine.push.comparing import Side
from spine.push.spec import IDS, Push, PushSource
from spine.push.values import key_text, moment, plain
from spine.sources.reading import lookup

_CHUNK = 1000
_VIEW = re.compile(r"gold\.[a-z][a-z0-9_]*")
_MODIFIED = ("updated_at", "valid_from", "emitted_at")
LINKS = "gold_identity_links"


@dataclass(frozen=True)
class OurRow:
    """One row: its key there (None if a part of it is empty), the key's values, and the record."""

    key: str | None
    match: Mapping[str, Any]
    side: Side
    read_at: datetime | None = None


def our_rows(push: Push, tenant: str, database: TenantDatabase, *, folds: bool) -> Iterator[list[OurRow]]:
    """The rows that are sent, in chunks; a stream's that are filtered out as deleted. Raises ConfigError, LakeError."""
    source = push.source
    if source.connector is not None:
        found = _of_stream(source.connector, source.object, tenant)
    elif _VIEW.fullmatch(source.object):
        found = _of_view(source.object, database)
    else:
        found = _of_table(source, tenant)
    for chunk in found:
        told = ((record, side if side.deleted or _passes(source, record) else replace(side, deleted=True)) for record, side in chunk)
        yield [_row(push, record, side, folds) for record, side in told if source.connector is not None or not side.deleted]


def _row(push: Push, record: Mapping[str, Any], side: Side, folds: bool) -> OurRow:
    fields = {field.to: plain(lookup(record, name)) for name, field in push.destination.mapping.items()}
    match = {name: fields[name] for name in push.destination.keys}
    stated = push.source.modified
    changed = moment(lookup(record, stated)) if stated else side.modified
    return OurRow(key_text(list(match.values()), folds=folds), match, replace(side, fields=fields, modified=changed))


def _passes(source: PushSource, record: Mapping[str, Any]) -> bool:
    for rule in source.filters:
        value = lookup(record, rule.field)
        text = "" if value is None else written(plain(value))
        if (rule.one_of and text not in rule.one_of) or (rule.none_of and text in rule.none_of):
            return False
    return True


def _of_stream(source: str, stream: str, tenant: str) -> Iterator[list[tuple[Mapping[str, Any], Side]]]:
    """A stream as its vendor sends it: the newest version of each record, those that are deleted too."""
    for chunk in newest_records(bronze_table(source, stream), tenant, connection_id(source, tenant)):
        rows: list[tuple[Mapping[str, Any], Side]] = []
        for one in chunk:
            record = loaded(one.payload)
            rows.append((record, Side({}, one.record_id, moment(one.cursor), one.cursor, one.deleted)))
        yield rows


def loaded(payload: str) -> Mapping[str, Any]:
    """A payload of Bronze as an object; nothing of one that is none."""
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _of_view(view: str, database: TenantDatabase) -> Iterator[list[tuple[Mapping[str, Any], Side]]]:
    """A view of schema gold, with the rights of the tenant's analysts."""
    from sqlalchemy import text
    from sqlalchemy.exc import ProgrammingError

    try:
        with database.reading_gold() as connection:
            asked = connection.execution_options(stream_results=True).execute(text(f"SELECT * FROM {view} ORDER BY 1, 2"))  # noqa: S608
            for chunk in asked.mappings().partitions(_CHUNK):
                yield [_side(dict(row)) for row in chunk]
    except ProgrammingError as error:
        raise ConfigError(f"{view} cannot be read by the tenant's analysts", hint="Name a view of schema gold; publish it first") from error


def _side(record: Mapping[str, Any]) -> tuple[Mapping[str, Any], Side]:
    local = next((str(record[name]) for name in IDS if record.get(name) is not None), "")
    changed = next((found for name in _MODIFIED if (found := moment(record.get(name))) is not None), None)
    return record, Side({}, local, changed)


def _of_table(source: PushSource, tenant: str) -> Iterator[list[tuple[Mapping[str, Any], Side]]]:
    """The living rows of a Gold or Silver table, by their id."""
    table = open_table(source.object)
    if table is None:
        raise ConfigError(f"the lake has no table {source.object!r}", hint="Name a Gold or Silver table; `spine query` shows them")
    if "tenant_id" not in table.metadata().partition_columns:
        raise ConfigError(f"{source.object} is not divided by tenants", hint="Name a Gold or Silver table")
    with reading(source.object):
        found = dataset(table, [("tenant_id", "=", tenant)]).to_table()
        order = next((name for name in IDS if name in found.column_names), found.column_names[0])
        ordered = found.sort_by(order) if found.num_rows else found
    links = _links(source, tenant) if source.records_of else None
    for batch in ordered.to_batches(max_chunksize=_CHUNK):
        rows = (row for row in batch.to_pylist() if not row.get("is_deleted"))
        yield [_side(row) for row in (rows if links is None else _linked(rows, links, source))]


def _links(source: PushSource, tenant: str) -> dict[str, list[dict[str, Any]]]:
    """The records of each entity of a tenant."""
    table = open_table(LINKS)
    found: dict[str, list[dict[str, Any]]] = {}
    if table is None:
        return found
    with reading(LINKS):
        rows = dataset(table, [("tenant_id", "=", tenant)]).to_table().to_pylist()
    for row in sorted(rows, key=lambda one: str(one["record_ref"])):
        found.setdefault(str(row["entity_id"]), []).append(row)
    return found


def _linked(
    rows: Iterable[Mapping[str, Any]], links: Mapping[str, list[dict[str, Any]]], source: PushSource
) -> Iterator[Mapping[str, Any]]:
    """A row for each record of the named stream, with the golden record's fields and the ids of the other records."""
    wanted = source.records_of
    assert wanted is not None
    for row in rows:
        mine = links.get(str(row.get("entity_id")), [])
        ids: dict[str, dict[str, str]] = {}
        for link in mine:
            ids.setdefault(str(link["source"]), {}).setdefault(str(link["stream"]), str(link["record_id"]))
        for link in mine:
            if (link["source"], link["stream"]) == (wanted.source, wanted.stream):
                own = {name: link.get(name) for name in ("record_id", "record_ref", "confidence")}
                yield {**row, **own, "links": ids}
