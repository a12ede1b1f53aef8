"""Whatever order and whatever batches rows reach Bronze in, Silver and quarantine end the same."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spine.core.settings import PROJECT
from spine.lake.paths import table_uri
from spine.pipeline.normalize import normalize

pytestmark = [pytest.mark.spark, pytest.mark.slow]
START = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
KINDS = st.sampled_from(["good", "good", "bad", "delete"])
# A record is the kinds of its versions; a version may be read several times, as a lookback does.
VERSIONS = st.lists(st.tuples(KINDS, st.integers(1, 2)), min_size=1, max_size=4)


def row(record: int, cursor: int, kind: str, reading: int) -> dict[str, Any]:
    email = "nobody" if kind == "bad" else f"{record}.{cursor}@b.org"
    return {
        "record_id": str(record),
        "cursor": f"2026-01-31T{cursor:02d}:00:00.000000Z",
        "emitted_at": START + dt.timedelta(hours=cursor, minutes=reading),
        "op": "delete" if kind == "delete" else "upsert",
        "payload": {"LastName": f"version {cursor}", "Email": email},
    }


def expected(records: list[list[tuple[str, int]]]) -> tuple[dict[str, tuple[str, bool]], set[tuple[str, str]]]:
    """(name and deleted by record, quarantined record and version) as a reader of the rules would work it out."""
    silver: dict[str, tuple[str, bool]] = {}
    quarantined = set()
    for record, versions in enumerate(records):
        for cursor, (kind, _) in enumerate(versions):
            if kind == "bad":
                quarantined.add((str(record), f"version {cursor}"))
            else:
                silver[str(record)] = (f"version {cursor}", kind == "delete")
    return silver, quarantined


def _without_limit(folder: Path) -> Path:
    """The declared entities, but any share of rows may be quarantined."""
    folder.mkdir()
    for path in (PROJECT / "include" / "entities").glob("*.yaml"):
        (folder / path.name).write_text(path.read_text().replace("quarantined_share, max: 0.2", "quarantined_share, max: 1.0"))
    return folder


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(records=st.lists(VERSIONS, min_size=12, max_size=40), data=st.data())
def test_any_order_and_any_batches_give_the_same_silver(
    spark: Any, bronze: Any, monkeypatch: pytest.MonkeyPatch, records: list[list[tuple[str, int]]], data: st.DataObject
) -> None:
    rows = [
        row(record, cursor, kind, reading)
        for record, versions in enumerate(records)
        for cursor, (kind, readings) in enumerate(versions)
        for reading in range(readings)
    ]
    shuffled = data.draw(st.permutations(rows))
    batches: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for one in shuffled:
        batches[data.draw(st.integers(0, 2))].append(one)
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("SPINE_LAKE", str(Path(folder) / "lake"))
        monkeypatch.setenv("SPINE_HOME", str(Path(folder) / "home"))
        monkeypatch.setenv("SPINE_ENTITIES", str(_without_limit(Path(folder) / "entities")))
        for number, batch in batches.items():
            bronze("salesforce", "contacts", batch)
            normalize(spark, "salesforce", f"run{number}")
        silver, quarantined = expected(records)
        found = DeltaTable(table_uri("salesforce_person")).to_pyarrow_table().to_pylist()
        assert {one["record_id"]: (one["family_name"], one["is_deleted"]) for one in found} == silver
        assert len(found) == len(silver)
        uri = table_uri("quarantine_salesforce_person")
        kept = DeltaTable(uri).to_pyarrow_table().to_pylist() if DeltaTable.is_deltatable(uri) else []
        assert len(kept) == len(quarantined)
        assert {(one["record_id"], one["payload"].split('"')[3]) for one in kept} == quarantined
