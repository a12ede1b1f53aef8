"""What a one-record lookup needs of many records: their standardised features as text, and their blocking keys as packed postings.

A posting says `this key belongs to this record`, in 12 bytes; postings are kept in buckets by the first bits of their key, so that a lookup
reads a few dozen small values instead of as many index ranges. The keys are those of matching, the weights too. Numpy only, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.identity import engine
from spine.identity.blocking import rules as blocking
from spine.identity.blocking.keys import LARGEST_BLOCK, rule_keys
from spine.identity.comparing.comparisons import pattern
from spine.identity.comparing.plan import Plan
from spine.identity.learning.model import Model
from spine.identity.learning.score import Scored
from spine.identity.matching import PairEvidence

Array: TypeAlias = Any  # numpy arrays of many element types
POSTING = np.dtype([("key", "<u8"), ("record", "<i4")])
FIELD = "\x1e"
BUCKET_POSTINGS = 64
MOST_CANDIDATES = 200


def texts(records: engine.Records) -> pa.Array:
    """The standardised features of every record as one text, features in the plan's order; a feature without value is empty."""
    columns = []
    for feature in records.plan.features:
        codes, values = records.features[feature.name]
        columns.append(pa.array([*values, ""], pa.string()).take(pa.array(np.where(codes < 0, len(values), codes))))
    return pc.binary_join_element_wise(*columns, FIELD)


def records_of(found: Sequence[str], plan: Plan) -> engine.Records:
    """The records whose `texts` these are."""
    parts = [text.split(FIELD) for text in found]
    columns = {feature.name: pa.array([part[place] or None for part in parts], pa.string()) for place, feature in enumerate(plan.features)}
    return engine.recall(pa.table(columns), plan)


def keys(records: engine.Records, model: Model) -> tuple[Array, Array]:
    """Distinct (row, key) of all blocking rules as two aligned arrays, too common keys split or left out as in matching."""
    rows: list[Array] = [np.zeros(0, dtype=np.int64)]
    found: list[Array] = [np.zeros(0, dtype=np.uint64)]
    for table in rule_keys(blocking.make_rules(records.plan), records.features, model.heavy, model.rarity):
        row, place = np.nonzero(table)
        rows.append(row)
        found.append(table[row, place].view(np.uint64))
    row, key = np.concatenate(rows), np.concatenate(found)
    order = np.lexsort((row, key))
    row, key = row[order], key[order]
    fresh = np.r_[True, (np.diff(row) != 0) | (key[1:] != key[:-1])] if len(row) else np.zeros(0, dtype=bool)
    return row[fresh], key[fresh]


def bucket_count(postings: int) -> int:
    """How many buckets so many postings are spread over: a power of two."""
    return 1 << max(0, int(postings / BUCKET_POSTINGS).bit_length())


def bucket_of(key: Array, buckets: int) -> Array:
    """The bucket of each key: its first bits."""
    bits = buckets.bit_length() - 1
    return (key >> np.uint64(64 - bits)).astype(np.int64) if bits else np.zeros(len(key), dtype=np.int64)


def pack(key: Array, record: Array, buckets: int, batch: int = 50_000) -> Iterator[tuple[Array, pa.Array]]:
    """Buckets that have postings and their packed values, in order, so many at a time."""
    order = np.lexsort((record, key))
    packed: Array = np.empty(len(order), dtype=POSTING)
    packed["key"], packed["record"] = key[order], record[order]
    number = bucket_of(packed["key"], buckets)
    used, start = np.unique(number, return_index=True)
    ends = np.r_[start, len(packed)]
    for at in range(0, len(used), batch):
        edges = ends[at : at + batch + 1]
        offsets = ((edges - edges[0]) * POSTING.itemsize).astype(np.int32)
        data = packed[edges[0] : edges[-1]].tobytes()
        values = pa.Array.from_buffers(pa.binary(), len(edges) - 1, [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(data)])
        yield used[at : at + batch], values


def unpack(values: Sequence[bytes]) -> Array:
    """The postings of packed values, an array of POSTING."""
    return np.frombuffer(b"".join(values), dtype=POSTING)


def likely(wanted: Array, postings: Array, total: int) -> tuple[Array, int]:
    """Records that share the rarest of the wanted keys, at most MOST_CANDIDATES, and how many share any key at all.

    A record weighs the sum of log(total / records) over the keys it shares; keys that have become too common are left out.
    """
    mine = postings[np.isin(postings["key"], wanted)]
    _, place, sizes = np.unique(mine["key"], return_inverse=True, return_counts=True)
    useful = sizes[place] <= 2 * LARGEST_BLOCK
    mine, count = mine[useful], sizes[place][useful]
    records, inverse = np.unique(mine["record"], return_inverse=True)
    rarity = np.bincount(inverse, weights=np.log1p(total / count), minlength=len(records))
    best = np.lexsort((records, -rarity))[:MOST_CANDIDATES]
    return records[best].astype(np.int64), len(records)


@dataclass(frozen=True)
class Judged:
    """Scores of pairs of rows, and which of them can never be one entity by themselves."""

    scored: Scored
    apart: Array


def against(query: engine.Records, stored: Sequence[str], model: Model) -> tuple[engine.Records, Judged]:
    """The one record of `query` (row 0) judged with each stored record (rows from 1), under the model's weights."""
    parts = records_of([*texts(query).to_pylist(), *stored], query.plan)
    records = replace(parts, source=np.arange(parts.rows))  # what is asked for is of no source
    return records, judged(records, model, np.full(len(stored), 0), np.arange(1, len(stored) + 1))


def judged(records: engine.Records, model: Model, left: Array, right: Array) -> Judged:
    """Any pairs of rows judged, whether or not a blocking rule yields them."""
    found = pattern(records.plan, records.features, left, right, model.rarity)
    none: Array = np.zeros(len(left), dtype=np.int64)
    pairs = engine.Candidates(left, right, found, none, none)
    scored = engine.scored(records, model, pairs)
    _, apart = PairEvidence(records, model, pairs, scored, np.zeros((0, 2), dtype=np.int64))(left, right)
    return Judged(scored, apart)
