"""A golden record as it is, or as it was at a time past: values, where each came from, its records. Reads Gold's own history.

The history is rows of Gold, not old versions of tables, so the answer is the same after any vacuum. No Spark.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from spine.core import clock
from spine.core.entities import Entity
from spine.core.errors import ConfigError
from spine.core.names import require_tenant
from spine.gold.stewardship import current_id, entity_of_ids
from spine.gold.store import matched_entity
from spine.lake import gold

_FACTS = ("record_count", "source_count", "confidence", "schema_version", "first_seen_at", "updated_at", "run_id")


def golden_record(entity_id: str, *, tenant: str, entity: str | None = None, moment: datetime | None = None) -> dict[str, Any]:
    """The golden record of an id, now or as of `moment`; a former id leads to the one that stood for it at that time.

    Returns `asked` (the id), `entity_id`, `entity`, `as_of`, `values` (field: value, source, record, strategy), `records` (references) and
    what else is known of the record. Raises ConfigError where the id is unknown, was not there yet, or had come to an end.
    """
    declared = matched_entity(entity or entity_of_ids([entity_id]))
    tenant = require_tenant(tenant)
    row = _now(declared, tenant, entity_id) if moment is None else _then(declared, tenant, entity_id, moment)
    provenance = orjson.loads(row["provenance"] or "{}")
    values = {
        name: {
            "value": row.get(name), "source": provenance.get(name, {}).get("source"), "record": provenance.get(name, {}).get("record_ref"),
            "strategy": provenance.get(name, {}).get("strategy"),
        }
        for name in declared.fields
    }  # fmt: skip
    return {
        "asked": entity_id, "entity_id": row["entity_id"], "entity": declared.entity, "tenant": tenant,
        "as_of": clock.to_text(moment) if moment else None, "values": values, "records": sorted(row["records"] or ()),
        **{name: row.get(name) for name in _FACTS},
    }  # fmt: skip


def _now(entity: Entity, tenant: str, asked: str) -> dict[str, Any]:
    entity_id = current_id(entity.entity, tenant, asked)
    rows = gold.read_rows(gold.golden_table(entity), [("tenant_id", "=", tenant), ("entity_id", "=", entity_id)])
    if not rows:
        past = _past(entity, tenant, entity_id)
        raise _ended(entity_id, past[-1]["valid_from"]) if past else _unknown(entity, tenant, asked)
    where: list[tuple[str, str, Any]] = [("tenant_id", "=", tenant), ("entity", "=", entity.entity), ("entity_id", "=", entity_id)]
    return {**rows[0], "records": [row["record_ref"] for row in gold.read_rows(gold.LINKS, where, ["record_ref"])]}


def _then(entity: Entity, tenant: str, asked: str, moment: datetime) -> dict[str, Any]:
    at, seen = asked, {asked}
    while True:
        past = _past(entity, tenant, at)
        if not past:
            raise _unknown(entity, tenant, at)
        known = [row for row in past if row["valid_from"] <= moment]
        if not known:
            first = clock.to_text(past[0]["valid_from"])
            raise ConfigError(f"{at} was not there yet at {clock.to_text(moment)}", hint=f"It is known from {first} on", tenant=tenant)
        row = known[-1]
        if not row["ended"]:
            return row
        at = row["redirect_to"]
        if at is None or at in seen:
            raise _ended(row["entity_id"], row["valid_from"])
        seen.add(at)


def _past(entity: Entity, tenant: str, entity_id: str) -> list[dict[str, Any]]:
    """All that was ever known of an id, oldest first."""
    rows = gold.read_rows(gold.history_table(entity), [("tenant_id", "=", tenant), ("entity_id", "=", entity_id)])
    return sorted(rows, key=lambda row: row["valid_from"])


def _ended(entity_id: str, when: datetime) -> ConfigError:
    return ConfigError(
        f"{entity_id} came to an end at {clock.to_text(when)}: its last record was deleted", hint="`--as-of` an earlier time shows it"
    )


def _unknown(entity: Entity, tenant: str, entity_id: str) -> ConfigError:
    hint = f'`spine query "FROM {gold.golden_table(entity)}"` lists them'
    return ConfigError(f"Tenant {tenant} has no {entity.entity} {entity_id}", hint=hint)
