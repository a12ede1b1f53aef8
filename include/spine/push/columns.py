"""The types of columns of a table that has to be made, by those of our own table."""

from __future__ import annotations

import pyarrow as pa

from spine.lake.reading import open_table
from spine.push.spec import Push


def column_types(push: Push) -> dict[str, str]:
    """PostgreSQL's type of each field there; text where our side does not tell. Raises LakeError."""
    ours: dict[str, pa.DataType] = {}
    if push.source.connector is None and "." not in push.source.object:
        table = open_table(push.source.object)
        ours = {field.name: field.type for field in pa.schema(table.schema().to_arrow())} if table is not None else {}
    types = {field.to: _type(ours.get(name)) for name, field in push.destination.mapping.items()}
    if push.deletes.field is not None:
        types.setdefault(push.deletes.field, "boolean" if isinstance(push.deletes.value, bool) else "text")
    return types


def _type(found: pa.DataType | None) -> str:
    if found is None:
        return "text"
    tests = (
        (pa.types.is_boolean, "boolean"), (pa.types.is_integer, "bigint"), (pa.types.is_decimal, "numeric"), (pa.types.is_date, "date"),
        (pa.types.is_timestamp, "timestamptz"), (pa.types.is_floating, "double precision"),
    )  # fmt: skip
    return next((name for test, name in tests if test(found)), "text")
