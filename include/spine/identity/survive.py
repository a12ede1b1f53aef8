"""Golden values: per field the best value among an entity's records, and where it came from. Arrow in, Arrow out.

The field's strategy decides first, then the most trusted source, then the most recent record, then the smallest value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from spine.core import clock
from spine.core.entities import Entity, Survivorship

Array: TypeAlias = Any  # numpy arrays of many element types


def golden(table: pa.Table, entity: Entity) -> pa.Table:
    """One row per `entity_id` (sorted), with the entity's fields and `provenance`; `table` has a row per record with the same fields.

    It also needs `record_ref, source, emitted_at` and `source_cursor`. Fields that the table lacks stay null.
    """
    ids, code = np.unique(np.asarray(table.column("entity_id").to_pylist(), dtype=object), return_inverse=True)
    recent = _recency(table)
    filled = _filled(table, entity)
    columns: dict[str, Any] = {"entity_id": pa.array(ids.tolist(), pa.string())}
    winners: dict[str, tuple[Array, Survivorship]] = {}
    for name in entity.fields:
        rule = entity.survivorship.get(name, Survivorship())
        if name not in table.column_names:
            columns[name] = pa.nulls(len(ids))
            continue
        values = table.column(name).combine_chunks()
        row = _winner(values, code, len(ids), _ranks(table, values, code, rule, entity, recent, filled))
        columns[name] = values.take(pa.array(row, mask=row < 0))
        winners[name] = (row, rule)
    columns["provenance"] = _provenance(table, len(ids), winners)
    return pa.table(columns)


def _recency(table: pa.Table) -> Array:
    """When the source changed the record: its cursor where that is a time, otherwise when it was extracted. Ascending ranks."""
    emitted = [clock.to_text(moment) if moment else "" for moment in table.column("emitted_at").to_pylist()]
    cursors = table.column("source_cursor").to_pylist() if "source_cursor" in table.column_names else [None] * len(emitted)
    texts = [
        cursor if cursor and cursor[:2] in ("19", "20") and "T" in cursor else moment
        for cursor, moment in zip(cursors, emitted, strict=True)
    ]
    return np.unique(np.asarray(texts, dtype=object), return_inverse=True)[1] if texts else np.zeros(0, dtype=np.int64)


def _filled(table: pa.Table, entity: Entity) -> Array:
    present = [np.asarray(pc.is_valid(table.column(name))) for name in entity.fields if name in table.column_names]
    return np.sum(present, axis=0) if present else np.zeros(table.num_rows)


def _ranks(table: pa.Table, values: pa.Array, code: Array, rule: Survivorship, entity: Entity, recent: Array, filled: Array) -> list[Array]:
    """Keys by which the smallest wins, the first being the most important."""
    order = {source: place for place, source in enumerate(rule.trust or entity.trust)}
    trust = np.asarray([order.get(source, len(order)) for source in table.column("source").to_pylist()])
    tail = [trust, -recent, _smallest(values)]
    if rule.strategy == "most_recent":
        return [-recent, *tail]
    if rule.strategy == "most_complete":
        return [-filled, *tail]
    if rule.strategy == "longest":
        return [-np.asarray(pc.fill_null(pc.utf8_length(pc.cast(values, pa.string())), 0)), *tail]
    if rule.strategy == "most_frequent":
        return [-_frequency(values, code), *tail]
    return tail


def _smallest(values: pa.Array) -> Array:
    """Rank of each value as text, then of its record's place, so that the choice is the same in any order of rows."""
    texts = pc.fill_null(pc.cast(values, pa.string()), "")
    return np.unique(np.asarray(texts.to_pylist(), dtype=object), return_inverse=True)[1] if len(texts) else np.zeros(0, dtype=np.int64)


def _frequency(values: pa.Array, code: Array) -> Array:
    texts = pc.utf8_lower(pc.utf8_trim_whitespace(pc.fill_null(pc.cast(values, pa.string()), "")))
    _, kinds = np.unique(np.asarray(texts.to_pylist(), dtype=object), return_inverse=True)
    _, inverse, counts = np.unique(code * (kinds.max(initial=0) + 1) + kinds, return_inverse=True, return_counts=True)
    return counts[inverse]


def _winner(values: pa.Array, code: Array, entities: int, ranks: Sequence[Array]) -> Array:
    """The winning row of each entity, -1 where none has a value."""
    valid = np.flatnonzero(np.asarray(pc.is_valid(values)))
    order = valid[np.lexsort([rank[valid] for rank in reversed(ranks)] + [code[valid]])]
    chosen: Array = np.full(entities, -1, dtype=np.int64)
    codes, first = np.unique(code[order], return_index=True)
    chosen[codes] = order[first]
    return chosen


def _provenance(table: pa.Table, entities: int, winners: dict[str, tuple[Array, Survivorship]]) -> pa.Array:
    refs, sources = table.column("record_ref").to_pylist(), table.column("source").to_pylist()
    moments = [clock.to_text(moment) if moment else None for moment in table.column("emitted_at").to_pylist()]
    texts = []
    for number in range(entities):
        found = {
            name: {
                "record_ref": refs[row[number]],
                "source": sources[row[number]],
                "strategy": rule.strategy,
                "emitted_at": moments[row[number]],
            }
            for name, (row, rule) in winners.items()
            if row[number] >= 0
        }
        texts.append(orjson.dumps(found).decode())
    return pa.array(texts, pa.string())
