"""One record's values -> the golden records it could be, from published Gold alone, with the weights and kernels of matching.

A `Lookup` stays warm: it keeps the learned weights until a publication brings others. A question takes three small reads: the buckets
that hold the values' blocking keys, the standardised records that share the rarest of them, and the golden records found.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, column, select, table, text
from sqlalchemy.exc import ProgrammingError

from spine.control.database import Database
from spine.core.entities import load_entity
from spine.core.errors import ConfigError
from spine.core.names import DEFAULT_TENANT
from spine.gold.lookup_stamp import stamp_of
from spine.identity import engine, matching
from spine.identity.blocking import postings
from spine.identity.composites.person_name import person_name
from spine.identity.explaining import narrate
from spine.identity.learning import model
from spine.identity.learning.possible import fits
from spine.identity.standardize.text import SEP

Array: TypeAlias = Any  # numpy arrays of many element types
_MODEL = text("SELECT stamp, model_version, buckets, records FROM gold.lookup_models WHERE tenant_id = :tenant AND entity = :entity")
_PARAMETERS = text("SELECT parameters FROM gold.lookup_models WHERE tenant_id = :tenant AND entity = :entity")
_POSTINGS = text(
    "SELECT postings FROM gold.lookup_keys WHERE tenant_id = :tenant AND entity = :entity AND bucket = ANY(CAST(:wanted AS bigint[]))"
)
_RECORDS = text(
    "SELECT number, record_ref, entity_id, features FROM gold.lookup_records "
    "WHERE tenant_id = :tenant AND entity = :entity AND number = ANY(CAST(:wanted AS bigint[]))"
)
HIDDEN = ("tenant_id", "provenance", "run_id", "schema_version", "first_seen_at", "updated_at", "confidence")


@dataclass(frozen=True)
class Hit:
    """A golden record that the values could be: its nearest source record, and the evidence for that one.

    `decision` is accepted, review or rejected (below every threshold, or a value that excludes it); `records` are those of it compared.
    """

    entity_id: str
    probability: float
    weight: float
    decision: str
    record_ref: str
    records: int
    waterfall: list[dict[str, Any]]
    golden: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """Hits, the best first; how many records share a key with the values, how many of them were compared, and the time it took."""

    hits: list[Hit]
    sharing: int
    compared: int
    milliseconds: float
    model_version: int


class Lookup:
    """Finds the golden records of one tenant's entity by values. Threads may share one. Raises ConfigError for an unknown entity."""

    def __init__(self, database: Database, entity: str, tenant: str = DEFAULT_TENANT) -> None:
        self.entity = load_entity(entity)
        if self.entity.matching is None:
            raise ConfigError(f"entity {entity} has no matching rules", hint="Add a matching block with attribute kinds")
        self.database, self.tenant = database, tenant
        self.plan, self.rules = engine.make_plan(self.entity.matching), self.entity.matching
        self.threshold = matching.threshold_weight(self.rules.threshold)
        self._loaded: tuple[str, model.Model] | None = None

    def load(self) -> None:
        """Read the learned weights now rather than at the first question. Raises ConfigError where nothing is published."""
        with self.database.of(self.tenant).reading_gold() as connection:
            self._model(connection)

    def find(self, values: Mapping[str, Any], limit: int = 5) -> Answer:
        """The `limit` most probable golden records for `values` by attribute of the entity.

        Raises ConfigError for an unknown attribute or where nothing is published, ControlPlaneUnavailable.
        """
        started = time.perf_counter()
        query = self._query(values)
        with self.database.of(self.tenant).reading_gold() as connection:
            learned, state = self._model(connection)
            _, wanted = postings.keys(query, learned)
            found = self._ask(connection, _POSTINGS, np.unique(postings.bucket_of(wanted, state.buckets)))
            numbers, sharing = postings.likely(wanted, postings.unpack([row.postings for row in found]), state.records)
            candidates = self._ask(connection, _RECORDS, numbers)
            hits = self._hits(query, candidates, learned)[:limit]
            golden = self._golden(connection, [hit.entity_id for hit in hits])
        full = [Hit(**{**vars(hit), "golden": golden.get(hit.entity_id, {})}) for hit in hits]
        return Answer(full, sharing, len(candidates), (time.perf_counter() - started) * 1000, state.model_version)

    def _query(self, values: Mapping[str, str | None]) -> engine.Records:
        unknown = sorted(set(values) - set(self.rules.attributes))
        if unknown:
            raise ConfigError(f"{self.entity.entity} is not matched by {unknown[0]}", hint=f"It is by {', '.join(self.rules.attributes)}")
        raw = pa.table({name: pa.array([str(values[name]) if values.get(name) else None], pa.string()) for name in self.rules.attributes})
        query = engine.prepare(raw, self.plan)
        if not any(codes[0] >= 0 for codes, _ in query.features.values()):
            raise ConfigError("no value to look for", hint=f"Give at least one of {', '.join(self.rules.attributes)} that says something")
        return query

    def _ask(self, connection: Connection, statement: Any, wanted: Array) -> list[Any]:
        if not len(wanted):
            return []
        return list(connection.execute(statement, {"tenant": self.tenant, "entity": self.entity.entity, "wanted": wanted.tolist()}))

    def _model(self, connection: Connection) -> tuple[model.Model, Any]:
        """The published weights, read only if they are not the former ones, and the row that describes them."""
        mine = {"tenant": self.tenant, "entity": self.entity.entity}
        hint = f"Run `spine resolve {self.entity.entity}` and `spine publish {self.entity.entity}`"
        try:
            state = connection.execute(_MODEL, mine).first()
        except ProgrammingError:
            state = None  # nothing was ever published, or the tenant has no analysts' role
        if state is None:
            raise ConfigError(f"No {self.entity.entity} of tenant {self.tenant} is published for lookups", hint=hint)
        if state.stamp != stamp_of(self.entity, state.model_version):
            raise ConfigError(f"The rules of {self.entity.entity} changed since it was published", hint=hint)
        if self._loaded is None or self._loaded[0] != state.stamp:
            learned = model.Model.from_json(connection.execute(_PARAMETERS, mine).scalar_one())
            if not fits(self.plan, learned):  # published by this version, learned by an earlier one
                raise ConfigError(f"The weights of {self.entity.entity} are of an earlier version", hint=hint)
            self._loaded = (state.stamp, learned)
        return self._loaded[1], state

    def _hits(self, query: engine.Records, candidates: list[Any], learned: model.Model) -> list[Hit]:
        if not candidates:
            return []
        records, judged = postings.against(query, [row.features for row in candidates], learned)
        scored, apart = judged.scored, judged.apart
        order = np.lexsort((-scored.weight, apart))
        best: dict[str, Hit] = {}
        counts: dict[str, int] = {}
        for place in order.tolist():
            row = candidates[place]
            counts[row.entity_id] = counts.get(row.entity_id, 0) + 1
            if row.entity_id in best:
                continue
            steps = narrate.steps(records, learned, scored, place, 0, place + 1)
            weight = float(scored.weight[place])
            best[row.entity_id] = Hit(
                row.entity_id, float(scored.probability[place]), weight, self._decision(weight, bool(apart[place])), row.record_ref, 0,
                steps,
            )  # fmt: skip
        return [Hit(**{**vars(hit), "records": counts[hit.entity_id]}) for hit in best.values()]

    def _decision(self, weight: float, apart: bool) -> str:
        if apart or weight < matching.threshold_weight(matching.REVIEW):
            return "rejected"
        return "accepted" if weight >= self.threshold - 1e-9 else "review"

    def _golden(self, connection: Connection, ids: list[str]) -> dict[str, dict[str, Any]]:
        if not ids:
            return {}
        golden = select(text("*")).select_from(table(self.entity.entity, schema="gold"))
        chosen = golden.where(column("entity_id").in_(ids), column("tenant_id") == self.tenant)
        rows = connection.execute(chosen).mappings()
        return {row["entity_id"]: {name: value for name, value in row.items() if name not in HIDDEN} for row in rows}


def values_by_kind(entity: str, given: Mapping[str, str | None]) -> dict[str, str]:
    """Values given by kind (`name`, `email`, …) as attributes of the entity; a person's whole name is parted as matching does it.

    Raises ConfigError if the entity is not matched by a kind that was given.
    """
    rules = load_entity(entity).matching
    by_kind = {kind: name for name, kind in reversed(list(rules.attributes.items()))} if rules else {}
    found: dict[str, str] = {}
    for kind, value in given.items():
        if not value:
            continue
        if kind == "name":
            found |= _name(by_kind, value)
        elif kind in by_kind:
            found[by_kind[kind]] = value
        else:
            raise ConfigError(f"{entity} is not matched by {kind}", hint=f"It is matched by {', '.join(rules.attributes if rules else ())}")
    return found


def _name(by_kind: Mapping[Any, str], value: str) -> dict[str, str]:
    whole = next((by_kind[kind] for kind in ("full_name", "organization", "title") if kind in by_kind), None)
    if whole:
        return {whole: value}
    first, _, last = (person_name(None, None, value) or SEP).partition(SEP)
    last = last.replace(SEP, " ").strip()  # with its generation (`Lee jr`)
    if not last and "surname" in by_kind:
        first, last = "", first
    return {by_kind[kind]: part for kind, part in (("forename", first), ("surname", last)) if part and kind in by_kind}
