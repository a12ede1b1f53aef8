"""The newest version of each record of a stream, as Bronze holds it. Reads without a JVM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from spine.lake.delta_sql import table_at
from spine.lake.generations import swaps
from spine.lake.paths import table_uri
from spine.lake.reading import dataset, reading
from spine.lake.silver import cursor_order

_CHUNK = 2000


@dataclass(frozen=True)
class Newest:
    """One record: its payload as the source sent it, and whether its newest version is a delete."""

    record_id: str
    payload: str
    cursor: str | None
    deleted: bool
    emitted_at: datetime


def newest_records(table: str, tenant: str, connection: str) -> Iterator[list[Newest]]:
    """The newest version of each record of a connection, by record id, in chunks. Raises LakeError.

    Versions are ordered as Silver orders them: what was read anew counts before what was there, then the cursor, then the time of reading.
    """
    import duckdb

    uri = table_uri(table)
    with reading(table):
        found = table_at(uri)
        if found is None:
            return
        since = swaps(uri).get(connection)
        columns = ["record_id", "payload", "cursor", "op", "emitted_at", "connection_id"]
        rows = dataset(found, [("tenant_id", "=", tenant)]).scanner(columns=columns).to_reader()
        with duckdb.connect() as engine:
            engine.execute("SET TimeZone = 'UTC'")
            engine.register("bronze", rows)
            order = cursor_order("coalesce(cursor, '')")
            asked = engine.execute(
                f"""
                SELECT record_id, payload, cursor, op = 'delete', emitted_at FROM bronze WHERE connection_id = $connection
                QUALIFY row_number() OVER (PARTITION BY record_id ORDER BY
                    CAST($since AS timestamptz) IS NOT NULL AND emitted_at >= CAST($since AS timestamptz) DESC,
                    {order} DESC, emitted_at DESC, op = 'delete' DESC) = 1
                ORDER BY record_id
                """,  # noqa: S608
                {"connection": connection, "since": since},
            )
            while chunk := asked.fetchmany(_CHUNK):
                yield [Newest(*row) for row in chunk]
