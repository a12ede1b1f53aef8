"""Small steps over Arrow columns that the tables of Gold share. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Array: TypeAlias = Any  # numpy arrays of many element types
MOMENT = pa.timestamp("us", "UTC")


def constant(value: Any, rows: int, kind: pa.DataType) -> pa.Array:
    """A column of one value."""
    return pa.repeat(pa.scalar(value, kind), rows)


def codes(values: pa.Array | pa.ChunkedArray) -> tuple[Array, pa.Array]:
    """A number per value, and the distinct values by number."""
    encoded = values.combine_chunks().dictionary_encode() if isinstance(values, pa.ChunkedArray) else values.dictionary_encode()
    return np.asarray(encoded.indices), encoded.dictionary


def places(values: Any, known: pa.Array | pa.ChunkedArray) -> Array:
    """Where each value is in `known`, -1 where it is not."""
    found = pc.index_in(values, value_set=known)
    return np.asarray(pc.fill_null(found, -1)).astype(np.int64)


def differs(one: Any, other: Any) -> Array:
    """Where two columns are not the same, nulls being equal to each other."""
    unequal = pc.fill_null(pc.not_equal(one, other), False)
    return np.asarray(pc.or_(unequal, pc.not_equal(pc.is_null(one), pc.is_null(other))))


def joined(parts: Sequence[pa.Table]) -> pa.Table | None:
    """The rows of all tables, None if there are none."""
    filled = [part for part in parts if part.num_rows]
    return pa.concat_tables(filled, promote_options="permissive") if filled else None


def removed(table: pa.Table, gone: Array) -> pa.Table:
    """Rows of a former table, to be deleted."""
    dropped = table.take(pa.array(gone))
    return dropped.append_column("op", constant("delete", len(gone), pa.string()))
