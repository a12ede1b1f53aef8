"""The page about a matching run, made from Gold: what the identity job decided for one tenant, its weights and its entities.

Reads columns, not rows: waterfalls are fetched only for the pairs that are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from spine.core.entities import Entity
from spine.core.errors import ConfigError
from spine.gold.store import matched_entity, newest_model
from spine.identity import engine
from spine.identity.explaining.shortfalls import in_words, of_model
from spine.identity.golden import overrides
from spine.identity.learning.model import Model
from spine.identity.learning.score import probability
from spine.identity.matching import threshold_weight
from spine.lake import gold
from spine.lake.reading import dataset, open_table, reading
from spine.matching import report_data as data
from spine.matching.calibration import FROM, Calibration, calibration
from spine.matching.report import write_page

Array: TypeAlias = Any  # numpy arrays of many element types
_PAIRS = ("left_ref", "right_ref", "entity_id", "probability", "weight", "decision", "reason", "blocking_rule")


def gold_report(path: Path, entity: str, tenant: str) -> None:
    """Writes the report of one tenant's Gold to `path`, whole or not at all. Raises ConfigError if there is nothing yet, LakeError."""
    declared = matched_entity(entity)
    source = _Gold(declared, tenant)
    links = source.read(gold.LINKS, ("record_ref", "entity_id", "confidence"))
    model = newest_model(declared, tenant)
    if not links.num_rows or model is None:
        raise ConfigError(f"tenant {tenant} has no golden records of {entity}", hint=f"Run `spine resolve {entity}` first")
    write_page(path, _facts(source, links, model))


class _Gold:
    """One tenant's partition of an entity's Gold tables."""

    def __init__(self, entity: Entity, tenant: str) -> None:
        self.entity, self.tenant = entity, tenant

    def read(self, name: str, columns: Sequence[str], where: pads.Expression | None = None) -> pa.Table:
        """Some columns; no rows if there is no table."""
        table = open_table(name)
        if table is None:
            return pa.table({column: pa.array([], pa.string()) for column in columns})
        partition = {"tenant_id": self.tenant} | ({"entity": self.entity.entity} if name in gold.SCHEMAS else {})
        for column, value in partition.items():
            term = pads.field(column) == value
            where = term if where is None else where & term
        with reading(name):
            return dataset(table, [(column, "=", value) for column, value in partition.items()]).to_table(list(columns), where)


def _facts(source: _Gold, links: pa.Table, model: Model) -> data.Facts:
    assert source.entity.matching is not None
    plan = engine.make_plan(source.entity.matching)
    pairs = source.read(gold.MATCHES, _PAIRS)
    weight, probability = (np.asarray(pairs[name].cast(pa.float64())) for name in ("weight", "probability"))
    limit, disputed = threshold_weight(plan.matching.threshold), _is(pairs, "conflict")
    entities = links["entity_id"].combine_chunks().dictionary_encode()
    counts = np.bincount(np.bincount(np.asarray(entities.indices), minlength=1))
    by_rule = dict(zip(*(column.to_pylist() for column in pc.value_counts(pairs["blocking_rule"]).flatten()), strict=True))
    names = engine.rule_names(plan)
    joined = _is(pairs, "accepted")
    shown = _Shown(source, links, entities, pairs)
    return data.Facts(
        title=f"{source.entity.label} of tenant {source.tenant}", threshold=plan.matching.threshold, records=links.num_rows,
        entities=int(counts[1:].sum()), several=int(counts[2:].sum()), linked=int(joined.sum()),
        apart=int(((weight >= limit - 1e-9) & ~joined).sum()), promised=float(probability[joined].mean()) if joined.any() else None,
        histogram=data.histogram(weight, limit), bands=data.bands(probability),
        sizes=[(int(size), int(counts[size])) for size in np.flatnonzero(counts) if size],
        compared=None, prior=model.prior, weights=data.learned(plan, model),
        rules=data.rule_facts(plan, model.heavy, [by_rule.get(name, 0) for name in names], [None] * len(names)),
        surest=shown.pairs(np.where(joined, -weight, np.inf)), doubtful=shown.pairs(np.abs(weight - limit)), largest=shown.largest(),
        conflict_count=int(disputed.sum()), conflicts=shown.conflicts(disputed), plan_text="", seconds=None,
        calibration=_judged(source, pairs), could_not=in_words(of_model(model)),
        weights_of=data.weights_of(model),
    )  # fmt: skip


def _judged(source: _Gold, pairs: pa.Table) -> Calibration | None:
    """How far stewards bear out the probabilities of the likely pairs that they spoke of; None if there are none.

    A probability is that of the newest run, or, where a pair is told no more, that of the moment when they spoke.
    """
    columns = ("kind", "left_ref", "right_ref", "weight")
    judged = source.read(gold.OVERRIDES, columns, pads.field("active") & pads.field("weight").is_valid()).to_pylist()
    spoken = pc.is_in(pairs["left_ref"].cast(pa.string()), pa.array([row["left_ref"] for row in judged], pa.string()))
    few = pairs.select(["left_ref", "right_ref", "probability"]).filter(spoken).to_pylist()
    told = {(row["left_ref"], row["right_ref"]): row["probability"] for row in few}
    known = [
        (told.get((row["left_ref"], row["right_ref"]), float(probability(np.asarray(row["weight"])))), row["kind"] == overrides.MUST)
        for row in judged
    ]
    likely = [pair for pair in known if pair[0] >= FROM]
    if not likely:
        return None
    chances, right = (np.asarray(column) for column in zip(*likely, strict=True))
    return calibration("stewards", chances, right.astype(bool), None, None)


def _is(pairs: pa.Table, decision: str) -> Array:
    return np.asarray(pc.fill_null(pc.equal(pairs["decision"], decision), False), dtype=bool)


def _among(column: str, values: Sequence[str]) -> pads.Expression:
    # The cast keeps Arrow from comparing the values with file statistics, for which it has no kernel where columns are string views.
    return pads.field(column).cast(pa.string()).isin(pa.array(values, pa.string()))


class _Shown:
    """Fetches and words the few pairs and entities that are shown."""

    def __init__(self, source: _Gold, links: pa.Table, entities: pa.DictionaryArray, stored: pa.Table) -> None:
        self.source, self.links, self.entities, self.stored = source, links, entities, stored
        refs = links["record_ref"].combine_chunks()
        self.sides = [self._entity_of(stored[side], refs) for side in ("left_ref", "right_ref")]

    def _entity_of(self, records: pa.ChunkedArray, refs: pa.Array) -> Array:
        place = np.asarray(pc.fill_null(pc.index_in(records, value_set=refs), -1), dtype=np.int64)
        return np.where(place >= 0, np.asarray(self.entities.indices, dtype=np.int64)[place], -1 - np.arange(len(place)))

    def pairs(self, distance: Array) -> Sequence[data.Pair]:
        """The pairs of least finite distance, one of each entity, with their waterfalls."""
        rows = data.choose(distance, *self.sides)
        chosen = self.stored.take(pa.array(rows, pa.int64())).to_pylist()
        wanted = _among("left_ref", [row["left_ref"] for row in chosen])
        found = self.source.read(gold.MATCHES, ("left_ref", "right_ref", "waterfall"), wanted).to_pylist()
        steps = {(row["left_ref"], row["right_ref"]): orjson.loads(row["waterfall"] or "[]") for row in found}
        return [
            data.Pair(
                data.cut(row["left_ref"], 80), data.cut(row["right_ref"], 80), row["probability"], row["weight"],
                row["entity_id"] is not None, steps[row["left_ref"], row["right_ref"]],
            )
            for row in chosen
        ]  # fmt: skip

    def largest(self) -> Sequence[data.Group]:
        """The entities of most records, with their golden record's confidence."""
        codes = np.asarray(self.entities.indices)
        sizes = np.bincount(codes)
        several = np.flatnonzero(sizes > 1)
        chosen = several[np.lexsort((several, -sizes[several]))[: data.SHOWN]]
        names = [self.entities.dictionary[int(code)].as_py() for code in chosen]
        golden = self.source.read(
            gold.golden_table(self.source.entity), ("entity_id", "confidence"), _among("entity_id", names)
        )  # fmt: skip
        weakest = dict(zip(golden["entity_id"].to_pylist(), golden["confidence"].to_pylist(), strict=True))
        return [self._group(name, np.flatnonzero(codes == code), weakest.get(name)) for name, code in zip(names, chosen, strict=True)]

    def _group(self, name: str, rows: Array, weakest: float | None) -> data.Group:
        members = self.links.take(pa.array(rows)).sort_by([("confidence", "descending"), ("record_ref", "ascending")]).to_pylist()
        shown = [data.Member(data.cut(row["record_ref"], 80), row["confidence"], ()) for row in members[: data.RECORDS_SHOWN]]
        return data.Group(data.cut(name, 80), len(rows), members[-1]["confidence"] if weakest is None else weakest, shown)

    def conflicts(self, which: Array) -> Sequence[data.Reason]:
        """Strong pairs that were left apart, by reason."""
        rows = self.stored.select(["left_ref", "right_ref", "reason"]).filter(pa.array(which)).to_pylist()
        return data.reasons([(row["reason"] or "IDENTITY_CONFLICT", row["left_ref"], [row["right_ref"]]) for row in rows])
