"""Cluster ids that outlive runs, for a million records at once: the rules of `identity.ids.assign` on arrays.

An id goes to the cluster that holds most of its records (then to the larger one); a cluster that several ids claim keeps the one with most
records. A new id is a hash of the entity, the number of the run and the cluster's first record: the same on a retry, and never used again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.matching.files import flat, places

Array: TypeAlias = Any  # numpy arrays of many element types
_ALPHABET = np.frombuffer(b"0123456789abcdefghjkmnpqrstvwxyz", dtype=np.uint8)
_LETTERS = 20  # of five bits each
CHANGES = pa.schema([(name, pa.string()) for name in ("kind", "cluster_id", "other_cluster_id", "record_id", "reason")])


@dataclass(frozen=True)
class Named:
    """The cluster id of each record, and what became of the former ids (rows of CHANGES)."""

    ids: Any
    changes: pa.Table

    def count(self, kind: str) -> int:
        """How many changes are of a kind: created, merged, split, joined, left, retired."""
        return int(pc.sum(pc.equal(self.changes.column("kind"), kind)).as_py() or 0)


def new_ids(entity: str, firsts: Sequence[str], run: int) -> pa.Array:
    """New ids, such as `per_` and 20 letters, for clusters whose first records are `firsts`."""
    salt = blake2b(f"{entity}\x1f{run}".encode(), digest_size=16).digest()
    hashes = b"".join([blake2b(first.encode(), digest_size=_LETTERS, salt=salt).digest() for first in firsts])
    letters = _ALPHABET[np.frombuffer(hashes, dtype=np.uint8).reshape(-1, _LETTERS) & 31]
    prefix = np.frombuffer(f"{entity[:3]}_".encode(), dtype=np.uint8)
    whole = np.concatenate([np.broadcast_to(prefix, (len(letters), len(prefix))), letters], axis=1)
    offsets = np.arange(len(letters) + 1, dtype=np.int64) * whole.shape[1]
    wide = pa.LargeStringArray.from_buffers(len(letters), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(whole)))
    return wide.cast(pa.string())


def first_ids(entity: str, run: int, records: Any, label: Array) -> Named:
    """Ids where there were none. `records` are sorted record ids, `label` gives per row the first row of its cluster."""
    first, group = np.unique(label, return_inverse=True)
    ids = new_ids(entity, records.take(pa.array(first)).to_pylist(), run)
    return Named(ids.take(pa.array(group)), CHANGES.empty_table())


def next_ids(entity: str, run: int, records: Any, label: Array, former: pa.Table) -> Named:
    """Ids that go on from `former` (record_id, cluster_id), and every change since."""
    return _Assignment(entity, run, records, label, former).named()


def touched_ids(entity: str, run: int, records: Any, label: Array, former: pa.Table, touched: Array) -> Named:
    """`next_ids` where only clusters of `touched` rows (a flag per row) can have changed: those and all who were with them then."""
    rows = np.flatnonzero(touched)
    held = flat(former.column("record_id"))
    now = places(held, records)
    concerned = (now < 0) | touched[now]
    part = next_ids(entity, run, records.take(pa.array(rows)), np.searchsorted(rows, label[rows]), former.filter(pa.array(concerned)))
    place = np.maximum(places(records, held), 0)
    place[rows] = len(held) + np.arange(len(rows))
    ids = pa.concat_arrays([flat(former.column("cluster_id")), part.ids]).take(pa.array(place))
    return Named(ids, part.changes)


class _Assignment:
    """Claims of the old ids on the new clusters, settled; arrays of one row per claim, cluster or record."""

    def __init__(self, entity: str, run: int, records: Any, label: Array, former: pa.Table) -> None:
        self.records, self.former = records, former
        encoded = flat(former.column("cluster_id")).dictionary_encode()
        self.names, code = encoded.dictionary, np.asarray(encoded.indices, dtype=np.int64)
        place = places(flat(former.column("record_id")), records)
        self.old: Array = np.full(len(records), -1)
        self.old[place[place >= 0]] = code[place >= 0]
        self.gone, self.gone_code = np.flatnonzero(place < 0), code[place < 0]
        self.first, self.group = np.unique(label, return_inverse=True)
        self._claims()
        self._settle(entity, run)

    def _claims(self) -> None:
        clusters = max(1, len(self.first))
        known = np.flatnonzero(self.old >= 0)
        claim, self.count = np.unique(self.old[known] * clusters + self.group[known], return_counts=True)
        self.claimant, self.claimed = claim // clusters, claim % clusters

    def _settle(self, entity: str, run: int) -> None:
        size = np.bincount(self.group, minlength=len(self.first))
        order = np.lexsort((self.claimed, -size[self.claimed], -self.count, self.claimant))
        self.home = _leaders(order, self.claimant)
        age: Array = np.empty(len(self.names), dtype=np.int64)
        age[np.asarray(pc.sort_indices(self.names))] = np.arange(len(self.names))
        homes = np.flatnonzero(self.home)
        order = homes[np.lexsort((age[self.claimant[homes]], -self.count[homes], self.claimed[homes]))]
        self.holds = _leaders(order, self.claimed)
        own: Array = np.full(len(self.first), -1)
        own[self.claimed[self.holds]] = self.claimant[self.holds]
        self.fresh = np.flatnonzero(own < 0)
        made = new_ids(entity, self.records.take(pa.array(self.first[self.fresh])).to_pylist(), run)
        own[self.fresh] = len(self.names) + np.arange(len(self.fresh))
        self.of_cluster = pa.concat_arrays([self.names, made]).take(pa.array(own))
        self.size = size

    def named(self) -> Named:
        merged, split = np.flatnonzero(self.home & ~self.holds), np.flatnonzero(~self.home)
        newcomers = np.flatnonzero((self.old < 0) & ~np.isin(self.group, self.fresh))
        came = np.bincount(self.claimant, weights=self.count, minlength=len(self.names)).astype(np.int64)
        retired = np.flatnonzero(came == 0)
        first = self.records.take(pa.array(self.first[self.fresh]))
        changes = [
            self._rows("merged", self._now(merged), self._then(merged), None, came[self.claimant[merged]], "came from it"),
            self._rows("split", self._then(split), self._now(split), None, self.count[split], "left it"),
            self._rows("created", self.of_cluster.take(pa.array(self.fresh)), None, first, self.size[self.fresh], "in it"),
            self._rows("joined", self.of_cluster.take(pa.array(self.group[newcomers])), None, self.records.take(pa.array(newcomers))),
            self._rows("left", self.names.take(pa.array(self.gone_code)), None, self.former.column("record_id").take(pa.array(self.gone))),
            self._rows("retired", self.names.take(pa.array(retired)), None, None),
        ]
        return Named(self.of_cluster.take(pa.array(self.group)), pa.concat_tables(changes))

    def _now(self, claims: Array) -> Any:
        return self.of_cluster.take(pa.array(self.claimed[claims]))

    def _then(self, claims: Array) -> Any:
        return self.names.take(pa.array(self.claimant[claims]))

    def _rows(self, kind: str, cluster: Any, other: Any, record: Any, count: Array | None = None, what: str = "") -> pa.Table:
        rows = len(cluster)
        nothing = pa.nulls(rows, pa.string())
        fixed = {"left": "the record is gone", "retired": "its last record is gone", "joined": "a new record"}.get(kind, "")
        reason = pa.array([fixed]).take(pa.array(np.zeros(rows, dtype=np.int64))) if count is None else _counted(count, what)
        columns = [pa.array([kind]).take(pa.array(np.zeros(rows, dtype=np.int64))), cluster, other, record, reason]
        return pa.table([nothing if column is None else flat(column) for column in columns], schema=CHANGES)


def _counted(count: Array, what: str) -> pa.Array:
    noun = pc.if_else(pa.array(count == 1), "record", "records")
    return pc.binary_join_element_wise(pa.array(count).cast(pa.string()), noun, what, " ")


def _leaders(order: Array, key: Array) -> Array:
    """A flag per item: whether it comes first of its key in `order`."""
    found: Array = np.zeros(len(key), dtype=bool)
    if len(order):
        sorted_key = key[order]
        found[order[np.r_[True, sorted_key[1:] != sorted_key[:-1]]]] = True
    return found
