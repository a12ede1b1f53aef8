"""Whatever order and whatever batches rows reach Bronze in, and however rows move, Silver and quarantine end the same."""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from spine.core.settings import PROJECT
from spine.lake import amounts
from spine.lake.paths import table_uri
from spine.pipeline.normalize import normalize

pytestmark = [pytest.mark.spark, pytest.mark.slow]
START = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
SEED, TENANTS = 20260131, 12


def row(tenant: str, record: int, cursor: int, kind: str, reading: int) -> dict[str, Any]:
    email = "nobody" if kind == "bad" else f"{record}.{cursor}@b.org"
    return {
        "tenant_id": tenant,
        "record_id": str(record),
        "cursor": f"2026-01-31T{cursor:02d}:00:00.000000Z",
        "emitted_at": START + dt.timedelta(hours=cursor, minutes=reading),
        "op": "delete" if kind == "delete" else "upsert",
        "payload": {"LastName": f"version {cursor}", "Email": email},
    }


def versions(draw: random.Random) -> list[tuple[str, int]]:
    """A record: the kind of each version, and how often it is read, as a lookback reads some twice."""
    return [(draw.choice(["good", "good", "bad", "delete"]), draw.randint(1, 2)) for _ in range(draw.randint(1, 4))]


def shuffled(draw: random.Random, records: dict[str, list[list[tuple[str, int]]]]) -> list[dict[str, Any]]:
    """Every reading of every version of every tenant's records, in any order."""
    rows = [
        row(tenant, record, cursor, kind, reading)
        for tenant, mine in records.items()
        for record, seen in enumerate(mine)
        for cursor, (kind, readings) in enumerate(seen)
        for reading in range(readings)
    ]
    return draw.sample(rows, len(rows))


def expected(records: list[list[tuple[str, int]]]) -> tuple[dict[str, tuple[str, bool]], set[tuple[str, str]]]:
    """(name and deleted by record, quarantined record and version) as a reader of the rules would work it out."""
    silver: dict[str, tuple[str, bool]] = {}
    quarantined = set()
    for record, seen in enumerate(records):
        for cursor, (kind, _) in enumerate(seen):
            if kind == "bad":
                quarantined.add((str(record), f"version {cursor}"))
            else:
                silver[str(record)] = (f"version {cursor}", kind == "delete")
    return silver, quarantined


def _without_limit(folder: Path) -> Path:
    """The declared entities, but any share of rows may be quarantined."""
    folder.mkdir()
    for path in (PROJECT / "include" / "entities").glob("*.yaml"):
        (folder / path.name).write_text(
            path.read_text().replace("max: 0.2, min_rows: 50, fails: 0.5", "max: 0.99, min_rows: 50, fails: 1.0")
        )
    return folder


@pytest.mark.parametrize("few_rows", [amounts.FEW_ROWS, -1], ids=["passed", "by spark"])
def test_any_order_and_any_batches_give_the_same_silver(
    few_rows: int, spark: Any, bronze: Any, lake: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every tenant has records, an order and batches of its own, so that three runs judge them all."""
    monkeypatch.setattr(amounts, "FEW_ROWS", few_rows)
    monkeypatch.setenv("SPINE_ENTITIES", str(_without_limit(tmp_path / "entities")))
    draw = random.Random(SEED)
    records = {f"t{number}": [versions(draw) for _ in range(draw.randint(12, 40))] for number in range(TENANTS)}
    batches: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for one in shuffled(draw, records):
        batches[draw.randrange(3)].append(one)
    for number, batch in batches.items():
        bronze("salesforce", "contacts", batch)
        normalize(spark, "salesforce", f"run{number}")
    found = DeltaTable(table_uri("salesforce_person")).to_pyarrow_table().to_pylist()
    kept = DeltaTable(table_uri("quarantine_salesforce_person")).to_pyarrow_table().to_pylist()
    for tenant, mine in records.items():
        silver, quarantined = expected(mine)
        rows = [one for one in found if one["tenant_id"] == tenant]
        assert {one["record_id"]: (one["family_name"], one["is_deleted"]) for one in rows} == silver
        assert len(rows) == len(silver)
        held = [one for one in kept if one["tenant_id"] == tenant]
        assert len(held) == len(quarantined)
        assert {(one["record_id"], one["payload"].split('"')[3]) for one in held} == quarantined
