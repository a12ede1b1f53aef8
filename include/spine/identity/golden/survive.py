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

from spine.core.entities import Entity, Survivorship

Array: TypeAlias = Any  # numpy arrays of many element types
BATCH = 50_000  # entities whose provenance is written at once


def golden(table: pa.Table, entity: Entity) -> pa.Table:
    """One row per `entity_id` (sorted), with the entity's fields and `provenance`; `table` has a row per record with the same fields.

    It also needs `record_ref, source, emitted_at` and `source_cursor`. Fields that the table lacks stay null.
    """
    ids, code = _sorted_codes(table.column("entity_id"))
    recent = _recency(table)
    filled = _filled(table, entity)
    columns: dict[str, Any] = {"entity_id": ids}
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


def _sorted_codes(values: Any) -> tuple[pa.Array, Array]:
    """The distinct texts in order, and the place of each value among them; nulls count as empty texts."""
    encoded = pc.fill_null(values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values, "").dictionary_encode()
    order = np.asarray(pc.sort_indices(encoded.dictionary)).astype(np.int64)
    place: Array = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return encoded.dictionary.take(pa.array(order)), place[np.asarray(encoded.indices)]


def _recency(table: pa.Table) -> Array:
    """When the source changed the record: its cursor where that is a time, otherwise when it was extracted. Ascending ranks."""
    texts = _moments(table)
    if "source_cursor" in table.column_names:
        cursor = table.column("source_cursor").cast(pa.string())
        texts = pc.if_else(pc.fill_null(pc.match_substring_regex(cursor, r"^(19|20).*T"), False), cursor, texts)
    return _sorted_codes(texts)[1]


def _moments(table: pa.Table) -> Any:
    """When each record was extracted, as text."""
    return pc.strftime(table.column("emitted_at").cast(pa.timestamp("us", "UTC")), format="%Y-%m-%dT%H:%M:%SZ", locale="C")


def _filled(table: pa.Table, entity: Entity) -> Array:
    present = [np.asarray(pc.is_valid(table.column(name))) for name in entity.fields if name in table.column_names]
    return np.sum(present, axis=0) if present else np.zeros(table.num_rows)


def _ranks(table: pa.Table, values: pa.Array, code: Array, rule: Survivorship, entity: Entity, recent: Array, filled: Array) -> list[Array]:
    """Keys by which the smallest wins, the first being the most important."""
    order = {source: place for place, source in enumerate(rule.trust or entity.trust)}
    sources, source = _sorted_codes(table.column("source"))
    trust = np.asarray([order.get(name, len(order)) for name in sources.to_pylist()], dtype=np.int64)[source]
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
    return _sorted_codes(pc.cast(values, pa.string()))[1]


def _frequency(values: pa.Array, code: Array) -> Array:
    texts = pc.utf8_lower(pc.utf8_trim_whitespace(pc.fill_null(pc.cast(values, pa.string()), "")))
    _, kinds = _sorted_codes(texts)
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


def _provenance(table: pa.Table, entities: int, winners: dict[str, tuple[Array, Survivorship]]) -> pa.ChunkedArray:
    """Per entity a JSON object: for each field the record, source and moment of its value, and the strategy that chose it."""
    heads = _joined('{"record_ref":', _json(table.column("record_ref")), ',"source":', _json(table.column("source")), ',"strategy":')
    moments = _moments(table)
    quoted = pc.fill_null(pc.binary_join_element_wise('"', moments, '"', ""), "null")
    tails = _joined(',"emitted_at":', quoted, "}")
    return pa.chunked_array(
        [_batch(heads, tails, {name: (row[at : at + BATCH], rule) for name, (row, rule) in winners.items()}, min(BATCH, entities - at))
         for at in range(0, entities, BATCH)],
        pa.string(),
    )  # fmt: skip


def _batch(heads: Any, tails: Any, winners: dict[str, tuple[Array, Survivorship]], entities: int) -> pa.Array:
    fields = [pa.repeat(pa.scalar(""), entities)]
    for name, (row, rule) in winners.items():
        chosen = pa.array(row, mask=row < 0)
        text = _joined(f',"{name}":', heads.take(chosen), f'"{rule.strategy}"', tails.take(chosen))
        fields.append(pc.fill_null(text, ""))
    return _joined("{", pc.utf8_slice_codeunits(_joined(*fields), 1), "}")


def _joined(*parts: Any) -> Any:
    found = pc.binary_join_element_wise(*parts, "")
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _json(texts: pa.ChunkedArray) -> pa.Array:
    """Each text as JSON writes it."""
    encoded = texts.combine_chunks().dictionary_encode()
    return pa.array([orjson.dumps(text).decode() for text in encoded.dictionary.to_pylist()], pa.string()).take(encoded.indices)
