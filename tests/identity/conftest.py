"""Records of a few people or companies as tables, and one call that resolves them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from spine.core.entities import Entity, load_entity
from spine.identity.resolution import Before, Outcome, Run, resolve_tenant

MOMENT = datetime(2026, 1, 31, tzinfo=UTC)


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


class Resolver:
    """Resolves rows; keeps what Gold would hold, so that a second call is the next run."""

    def __init__(self, entity: Entity, tenant: str = "default") -> None:
        self.entity, self.tenant, self.before, self.number = entity, tenant, Before(), 0
        self.rows: dict[str, dict[str, Any]] = {}

    def run(self, rows: Sequence[dict[str, Any]], *, gone: Sequence[str] = (), **options: Any) -> Outcome:
        """Add or replace `rows`, remove the refs in `gone`, resolve incrementally."""
        fresh = {f"{row.get('source', 'salesforce')}:contacts:{row['ref']}": row for row in rows}
        self.rows.update(fresh)
        for ref in gone:
            del self.rows[f"salesforce:contacts:{ref}"]
        self.number += 1
        run = Run(self.number, f"run{self.number}", MOMENT)
        outcome = resolve_tenant(
            self.tenant, self.entity, table(list(self.rows.values()), self.entity), self.before, set(fresh), run, **options
        )
        self._apply(outcome)
        return outcome

    def _apply(self, outcome: Outcome) -> None:
        from spine.identity.model import Model

        links = {link["record_ref"]: link for link in self.before.links} | {link["record_ref"]: link for link in outcome.links}
        matches = {(row["left_ref"], row["right_ref"]): row for row in [*self.before.matches, *outcome.matches]}
        golden = self.before.golden | {row["entity_id"]: row for row in outcome.golden}
        model = Model.from_json(outcome.models[0]["parameters"]) if outcome.models else self.before.model
        self.before = Before(
            [link for link in links.values() if link.get("op") != "delete"],
            [match for match in matches.values() if match.get("op") != "delete"],
            {key: row for key, row in golden.items() if row.get("op") != "delete"},
            model,
        )

    @property
    def ids(self) -> dict[str, str]:
        """Entity id by the short ref of each record."""
        return {link["record_id"]: link["entity_id"] for link in self.before.links}

    @property
    def clusters(self) -> set[frozenset[str]]:
        """The entities as sets of short refs."""
        groups: dict[str, set[str]] = {}
        for ref, entity_id in self.ids.items():
            groups.setdefault(entity_id, set()).add(ref)
        return {frozenset(group) for group in groups.values()}

    def probability(self, one: str, other: str) -> float:
        """The stored probability of a pair, 0 if it was not worth keeping."""
        for match in self.before.matches:
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
