"""The floor: what a table costs with no feature at all: ADBC, pyarrow and delta-rs, the columns as they come, batch by batch."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from adbc_driver_postgresql import dbapi
from deltalake import write_deltalake

from benchmarks.extracting.measured import measured

_FLUSH = 8 * 1024 * 1024
_COLUMNS = "id, first_name, last_name, email, phone, status, balance::float8 AS balance, orders, vip, street, city, postal_code, country"


def read(order: dict[str, Any]) -> int:
    """All rows of the table; how many."""
    count, batches = 0, []
    with dbapi.connect(order["url"]) as connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(4 * 1024 * 1024)})
        cursor.execute(f"SELECT {_COLUMNS}, created_at, updated_at FROM public.things ORDER BY id")
        for batch in cursor.fetch_record_batch():
            batches.append(batch)
            count += batch.num_rows
            if sum(one.nbytes for one in batches) >= _FLUSH:
                write_deltalake(f"{order['folder']}/lake", pa.Table.from_batches(batches), mode="append")
                batches = []
        if batches:
            write_deltalake(f"{order['folder']}/lake", pa.Table.from_batches(batches), mode="append")
    return count


if __name__ == "__main__":
    measured(read)
