"""Silver -> Gold of an entity without identity: the union of its sources, with where each row came from and which golden records it means.

Reads what Silver's change feeds name since the versions that Gold has consumed; where identity has moved, compares ids of golden records.
Without a change nothing is read beyond table versions, and nothing is committed. No Spark: delta-rs and DuckDB do it in this process.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from spine.control import ledger
from spine.control.ledger import Line
from spine.core import clock
from spine.core.entities import Entity, load_entity
from spine.core.errors import ConfigError, ControlPlaneUnavailable, QualityFailed, SpineError, as_ours, error_from_dict, together
from spine.core.screen import logger
from spine.gold.records import changed_refs, silver_tables, tenants_of
from spine.gold.uniting import Difference, Lake, difference, relinked
from spine.lake import unions
from spine.lake.gold import LINKS
from spine.lake.reading import open_table, storage
from spine.lake.unions import Consumed
from spine.quality import gate
from spine.quality.metrics import VOCABULARY
from spine.quality.profile import OUTCOMES, Profile

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from spine.control.database import Database

log = logger(__name__)


def unite(entity: str, run_id: str, *, database: Database | None = None) -> dict[str, Any]:
    """Bring an entity's Gold up to date with Silver as `unite_each` does, and raise at the end what failed.

    Raises ConfigError, LakeError, QualityFailed and ConservationFailed (then the Gold of the tenants that it names is as it was).
    """
    result = unite_each(entity, run_id, database=database)
    if result.get("failures"):
        raise together([error_from_dict(found) for found in result["failures"]])
    return result


@storage("Gold")
def unite_each(entity: str, run_id: str, *, database: Database | None = None) -> dict[str, Any]:
    """Make an entity's Gold the living records of all its sources, of every tenant.

    Returns counts (`new`, `changed`, `removed`, `records` looked at), the table's `version` (None: there is none), `no_op`, and `failures`
    of tenants whose rows failed the gate, did not balance or could not be read: their Gold stays as it was, and the next run looks at all
    of it. Raises ConfigError where the entity is matched, LakeError.
    """
    declared = _unmatched(entity)
    lake = Lake(silver_tables(entity), open_table(LINKS) if declared.references else None, open_table(declared.gold_table))
    former, rules = unions.consumed_by(lake.union), rules_of(declared)
    inputs = {name: _position(table) for name, table in sorted(lake.silver.items())}
    inputs |= {LINKS: _position(lake.links)} if lake.links else {}
    if not lake.silver or (former.inputs == inputs and former.rules == rules):
        return _result(declared, Counter(), no_op=True)
    found, failures = _unite_tenants(declared, lake, former, rules, (run_id, clock.now()), database)
    if failures:
        inputs = {name: {**known, "behind": sorted(failures)} for name, known in inputs.items()}
    rows = [_signed(declared, one.rows, run_id) for one in found.values() if one.rows.num_rows]
    if rows:
        unions.ensure_union(declared)
        unions.write_union(declared, pa.concat_tables(rows), Consumed(inputs, rules))
    total = Counter({"records": sum(one.living.num_rows for one in found.values())})
    for one in found.values():
        total.update(one.outcomes)
    result = _result(declared, total, no_op=not rows)
    return result | ({"failures": [error.as_dict() for error in failures.values()]} if failures else {})


def _unmatched(entity: str) -> Entity:
    declared = load_entity(entity)
    if declared.matching is not None:
        raise ConfigError(f"{entity} has identity rules", hint=f"Its Gold is made by `spine resolve {entity}`")
    return declared


def rules_of(entity: Entity) -> str:
    """A fingerprint of the declaration: when it changes, all rows are compared."""
    kept = entity.model_dump_json(include={"entity", "domain", "plural", "version", "fields"})
    return hashlib.sha256(kept.encode()).hexdigest()[:16]


def _position(table: DeltaTable) -> dict[str, Any]:
    return {"id": str(table.metadata().id), "version": table.version()}


def _unite_tenants(
    entity: Entity, lake: Lake, former: Consumed, rules: str, run: tuple[str, datetime], database: Database | None
) -> tuple[dict[str, Difference], dict[str, SpineError]]:
    """What each tenant's Gold must become, and why it must not. `run` is its id and moment."""
    known = {name: position for name, position in former.inputs.items() if name != LINKS}
    whole = former.rules != rules or lake.union is None or set(lake.silver) != set(known)
    changed = None if whole else changed_refs(lake.silver, known)
    moved = lake.links is not None and former.inputs.get(LINKS) != _position(lake.links)
    tenants = {tenant for table in (*lake.silver.values(), lake.union) if table is not None for tenant in tenants_of(table)}
    found: dict[str, Difference] = {}
    failures: dict[str, SpineError] = {}
    for tenant in sorted(tenants):
        try:
            refs = None if changed is None or tenant in former.behind else changed.get(tenant, set())
            if refs is not None and moved:
                refs = refs | relinked(entity, lake, tenant)
            if refs is None or refs:
                found[tenant] = _of_tenant(entity, lake, tenant, refs, run)
                if database is not None:
                    ledger.record(database.of(tenant), run[0], _line(entity, found[tenant]))
        except ControlPlaneUnavailable:
            raise
        except Exception as error:  # a file or a record of this tenant alone
            log.warning("%s of %s was not united", entity.entity, tenant, exc_info=not isinstance(error, SpineError))
            found.pop(tenant, None)
            failures[tenant] = as_ours(error, tenant=tenant, entity=entity.entity)
    return found, failures


def _of_tenant(entity: Entity, lake: Lake, tenant: str, refs: set[str] | None, run: tuple[str, datetime]) -> Difference:
    """A tenant's difference, if it balances and passes the gate. Raises ConservationFailed, QualityFailed, LakeError."""
    found = difference(entity, lake, tenant, refs)
    if refs is not None and _line(entity, found).missing:
        log.warning("Gold of %s of %s does not balance by its changes alone: all of it is compared", entity.entity, tenant)
        found = difference(entity, lake, tenant, None)
    _line(entity, found).require_balance(run[0], tenant=tenant)
    if found.rows.num_rows:
        _ask_gate(entity, _profile(entity, tenant, found), run[1])
    return found


def _line(entity: Entity, found: Difference) -> Line:
    """A tenant's rows in the ledger: all (and the deleted ones) that Silver has, and those that Gold will have."""
    return Line("gold", entity.gold_table, rows_in=found.silver[0], published=found.after, filtered=found.silver[1])


def _profile(entity: Entity, tenant: str, found: Difference) -> Profile:
    """What table rules judge: the records that this run looked at."""
    rows, fields = found.living, sorted({rule.field for rule in entity.table_rules if rule.field})
    return Profile(
        tenant_id=tenant,
        outcomes=dict.fromkeys(OUTCOMES, 0) | found.outcomes,
        deleted=found.outcomes["removed"],
        staged=rows.num_rows,
        live=rows.num_rows,
        distinct_keys=pc.count_distinct(rows.column("record_ref")).as_py(),
        newest=pc.max(rows.column("seen_at")).as_py(),
        nulls={name: rows.column(name).null_count for name in fields},
        distincts={name: pc.count_distinct(rows.column(name)).as_py() for name in fields},
    )


def _ask_gate(entity: Entity, profile: Profile, moment: datetime) -> None:
    """The entity's table rules, as before Silver; rules on how many rows a run has do not fit a union, of which a run looks at a part."""
    rules = [rule for rule in entity.table_rules if VOCABULARY[rule.metric].measure is None]
    judgements = gate.judge(entity.model_copy(update={"table_rules": tuple(rules)}), [profile], moment)[profile.tenant_id]
    failed = sorted({found.sentence() for found in judgements if not found.passed and found.severity == "error"})
    if failed:
        raise QualityFailed(
            f"{entity.gold_table} failed {'; '.join(failed)}",
            hint="The tenant keeps what it had. Correct the source, the mapping or the rule, then run again",
            entity=entity.entity,
            tenant=profile.tenant_id,
        )


def _signed(entity: Entity, rows: pa.Table, run_id: str) -> pa.Table:
    """With the run that writes them and when, in the order of Gold's columns."""
    moment = pa.array([clock.now()] * rows.num_rows, pa.timestamp("us", "UTC"))
    signed = rows.append_column("updated_at", moment).append_column("run_id", pa.array([run_id] * rows.num_rows, pa.string()))
    return signed.select([*unions.union_schema(entity).names, "op"])


def _result(entity: Entity, counts: Counter[str], *, no_op: bool) -> dict[str, Any]:
    table = open_table(entity.gold_table)
    words: Sequence[str] = ("records", "new", "changed", "unchanged", "removed")
    version = None if table is None else table.version()
    return {"entity": entity.entity, **{word: counts[word] for word in words}, "version": version, "no_op": no_op}
