"""Records of a few people or companies as tables, and one call that resolves them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from spine.core.entities import Entity, load_entity
from spine.identity.golden.former import FormerGold, recalled
from spine.identity.golden.orders import Order
from spine.identity.golden.overrides import Override
from spine.identity.golden.resolution import resolve_tenant
from spine.identity.golden.scope import ResolveRun, Scope
from spine.identity.learning.model import Model

MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
MICROSECONDS = pa.timestamp("us", "UTC")


def table(rows: Sequence[dict[str, Any]], entity: Entity) -> pa.Table:
    """Rows (with `ref`, optionally `source`) as the engine reads them from Silver."""
    keys = [(row.get("source", "salesforce"), str(row["ref"])) for row in rows]
    columns: dict[str, Any] = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in entity.fields}
    columns |= {
        "tenant_id": ["default"] * len(rows), "record_ref": [f"{source}:contacts:{ref}" for source, ref in keys],
        "source": [source for source, _ in keys], "stream": ["contacts"] * len(rows), "record_id": [ref for _, ref in keys],
        "connection_id": [source for source, _ in keys], "source_cursor": [row.get("cursor") for row in rows],
    }  # fmt: skip
    found = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    return found.append_column("emitted_at", pa.array([row.get("emitted_at", MOMENT) for row in rows], pa.timestamp("us", "UTC")))


_KEYS = {
    "links": ("record_ref",), "matches": ("left_ref", "right_ref"), "golden": ("entity_id",), "redirects": ("from_id",),
    "overrides": ("override_id",), "changes": ("change_id",),
    "frequencies": ("model_version", "comparison", "level", "value"), "history": ("entity_id", "valid_from"), "models": ("model_version",),
}  # fmt: skip


class Resolver:
    """Resolves rows; keeps what Gold would hold, so that a second call is the next run."""

    def __init__(self, entity: Entity, tenant: str = "default") -> None:
        self.entity, self.tenant, self.number = entity, tenant, 0
        self.model: Model | None = None
        self.rows: dict[str, dict[str, Any]] = {}
        self.gold: dict[str, list[dict[str, Any]]] = {name: [] for name in _KEYS}

    @property
    def matches(self) -> list[dict[str, Any]]:
        return self.gold["matches"]

    def run(self, rows: Sequence[dict[str, Any]] = (), *, gone: Sequence[str] = (), **options: Any) -> SimpleNamespace:
        """Add or replace `rows`, remove the refs in `gone`, resolve incrementally; the outcome's rows by table, and its counts."""
        fresh = {f"{row.get('source', 'salesforce')}:contacts:{row['ref']}": row for row in rows}
        self.rows.update(fresh)
        for ref in gone:
            del self.rows[f"salesforce:contacts:{ref}"]
        self.number += 1
        run = ResolveRun(self.number, f"run{self.number}", MOMENT + timedelta(hours=self.number))
        scope = Scope(self.tenant, self.entity, run)
        outcome = resolve_tenant(scope, table(list(self.rows.values()), self.entity), self.former, set(fresh), **options)
        found = {name: [] if (rows := getattr(outcome, name)) is None else rows.to_pylist() for name in _KEYS}
        for name, key in _KEYS.items():
            kept = {tuple(row[part] for part in key): row for row in [*self.gold[name], *found[name]]}
            self.gold[name] = [row for row in kept.values() if row.get("op") != "delete"]
        if found["models"]:
            self.model = Model.from_json(found["models"][0]["parameters"])
        return SimpleNamespace(**found, counts=outcome.counts, relearned=outcome.relearned)

    def steward(self, verb: Any, *refs: str, entities: Sequence[str] = (), **options: Any) -> SimpleNamespace:
        """A steward's order about the short refs of Salesforce records, and what it makes of Gold."""
        records = tuple(f"salesforce:contacts:{ref}" for ref in refs)
        return self.run(order=Order(verb, "anna", "I asked them", records, tuple(entities), **options))

    def undo(self, change_id: str) -> SimpleNamespace:
        """Reverse a change, as the pipeline asks for it: with what history knows of the entities before."""
        change = next(row for row in self.gold["changes"] if row["change_id"] == change_id)
        same = [row for row in self.gold["changes"] if row["run_id"] == change["run_id"]]
        about = {row[name] for row in same for name in ("entity_id", "other_entity_id")}
        then = [row for row in self.gold["history"] if row["valid_from"] < change["changed_at"] and row["entity_id"] in about]
        last = {row["entity_id"]: row for row in sorted(then, key=lambda row: row["valid_from"])}
        former = {ref: entity_id for entity_id, row in last.items() for ref in row["records"] or ()}
        born = {entity_id: row["first_seen_at"] for entity_id, row in last.items() if not row["ended"]}
        return self.run(order=Order("undo", "ben", "it was wrong", change=change, former=former, born=born))

    @property
    def former(self) -> FormerGold:
        """Gold as the next run finds it."""
        parts: dict[str, Any] = {}
        for name in ("links", "matches", "golden"):
            rows = [{key: value for key, value in row.items() if key not in ("op", "waterfall")} for row in self.gold[name]]
            if rows:
                empty = getattr(FormerGold(), name).schema
                parts[name] = pa.Table.from_pylist(rows, self._schema(rows, empty))
        frequencies = pa.Table.from_pylist(self.gold["frequencies"], FormerGold().frequencies.schema)
        model = None if self.model is None else recalled(self.model, frequencies)
        return FormerGold(
            **parts, overrides=[Override.of(row) for row in self.gold["overrides"]], model=model, frequencies=frequencies
        )  # fmt: skip

    @staticmethod
    def _schema(rows: Sequence[dict[str, Any]], known: pa.Schema) -> pa.Schema:
        names = [*dict.fromkeys(name for row in rows for name in row)]
        found = pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows]).schema
        kinds = {"record_count": pa.int32(), "source_count": pa.int32(), "schema_version": pa.int32()}
        types = {field.name: pa.string() if pa.types.is_null(field.type) else field.type for field in found} | kinds
        types |= {field.name: field.type for field in known} | {"updated_at": MICROSECONDS}
        return pa.schema([(name, types[name]) for name in names])

    @property
    def ids(self) -> dict[str, str]:
        """Entity id by the short ref of each record."""
        return {link["record_id"]: link["entity_id"] for link in self.gold["links"]}

    @property
    def clusters(self) -> set[frozenset[str]]:
        """The entities as sets of short refs."""
        groups: dict[str, set[str]] = {}
        for ref, entity_id in self.ids.items():
            groups.setdefault(entity_id, set()).add(ref)
        return {frozenset(group) for group in groups.values()}

    def probability(self, one: str, other: str) -> float:
        """The stored probability of a pair, 0 if it was not worth keeping."""
        for match in self.matches:
            if {match["left_ref"].split(":")[-1], match["right_ref"].split(":")[-1]} == {one, other}:
                return float(match["probability"])
        return 0.0


@pytest.fixture
def person() -> Resolver:
    return Resolver(load_entity("person"))


@pytest.fixture
def organization() -> Resolver:
    return Resolver(load_entity("organization"))


@pytest.fixture
def resolver() -> Callable[..., Resolver]:
    return Resolver


@pytest.fixture
def crowd() -> list[dict[str, Any]]:
    """Sixty people who have nothing to do with each other, so that rarity means something."""
    given = "Anna Bruno Chiara Dmitri Elena Farid Greta Hugo Ines Jonas Katia Lars Mona Nils Olga Pavel Quentin Rosa Sven Tara"
    family = (
        "Abel Brandt Costa Dubois Ekman Ferrari Gruber Haas Iversen Jansen Keller Lund Moreau Novak Olsen Petrov Quist Rossi Sato Thoma"
    )
    firsts, lasts = given.split(" "), family.split(" ")
    rows = []
    for number in range(60):
        first, last = firsts[number % 20], lasts[(number * 7 + number // 20) % 20]
        rows.append({
            "ref": f"c{number:02}", "given_name": first, "family_name": last,
            "email": f"{first}.{last}{number}@firm{number % 9}.com".lower(),
            "phone": f"+4930{number * 91373 + 1000003}", "birth_date": f"19{50 + number % 45}-0{1 + number % 9}-{10 + number % 18}",
            "street": f"{number + 3} {lasts[number % 20]} Street", "city": ["Berlin", "Oslo", "Lyon", "Turin"][number % 4],
            "postcode": f"{10100 + number * 37}",
        })  # fmt: skip
    return rows
