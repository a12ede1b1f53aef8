"""Every row that came in is in the layer's table, or it is said why not; a row that is lost on the way stops the run, with numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from spine.control import ledger
from spine.core.errors import ConservationFailed
from spine.lake import gold
from spine.lake.bronze import BronzeWriter
from spine.pipeline import resolve as module
from spine.pipeline.resolve import resolve, resolve_each

pytestmark = pytest.mark.postgres


def bronze_line(spine: Any, run_id: str) -> ledger.Line:
    (line,) = ledger.check(spine.services.database.of(spine.tenants[0]), run_id)
    return line


def test_the_records_that_were_read_are_in_bronze(make_spine):
    spine = make_spine()
    (result,) = spine.sync("hubspot", "r1", streams=["contacts"])
    rows = len(spine.bronze("hubspot", "contacts"))
    assert bronze_line(spine, "r1") == ledger.Line("bronze", "raw_hubspot_contacts", rows_in=rows, published=rows)
    assert result["rows"] == rows > 0


def test_what_the_look_back_reads_again_counts_as_published(make_spine):
    spine = make_spine(scale=120)
    spine.sync("hubspot", "r1", streams=["contacts"])
    spine.server.sandbox.advance(source="hubspot", stream="contacts", tenant=spine.tenants[0], changed=20)
    spine.sync("hubspot", "r2", streams=["contacts"])
    (result,) = spine.sync("hubspot", "r3", streams=["contacts"])
    assert result["rows"] == 0
    assert bronze_line(spine, "r3").published >= 20


def test_deletes_that_a_full_read_infers_are_counted(make_spine):
    spine = make_spine(scale=120)
    spine.sync("hubspot", "r1", streams=["contacts"])
    spine.server.sandbox.advance(source="hubspot", stream="contacts", tenant=spine.tenants[0], purged=4)
    spine.sync("hubspot", "r2", streams=["contacts"], mode="full")
    assert bronze_line(spine, "r2").rows_in == len([row for row in spine.bronze("hubspot", "contacts", ("run_id",)) if row == ("r2",)])


def test_a_record_that_is_lost_on_its_way_to_bronze_stops_the_stream_and_the_cursor(make_spine, monkeypatch):
    spine = make_spine()
    add = BronzeWriter.add
    with monkeypatch.context() as patch:
        patch.setattr(BronzeWriter, "add", lambda self, records, *rest, **more: add(self, records[:-1], *rest, **more))
        with pytest.raises(ConservationFailed, match=r"bronze raw_hubspot_deals: \d+ rows in, but") as caught:
            spine.sync("hubspot", "r1", streams=["deals"])
    assert "The cursor stays" in str(caught.value)
    assert spine.cursor("hubspot", "deals") is None
    spine.sync("hubspot", "r2", streams=["deals"])
    assert bronze_line(spine, "r2").published == len({row[0] for row in spine.bronze("hubspot", "deals")})


def test_a_record_that_bronze_has_twice_stops_the_stream_too(make_spine, monkeypatch):
    spine = make_spine()
    add = BronzeWriter.add

    def twice(batch):
        return batch.take(pa.array([*range(batch.num_rows), *range(min(batch.num_rows, 1))], pa.int64()))

    monkeypatch.setattr(BronzeWriter, "add", lambda self, batch, *rest, **more: add(self, twice(batch), *rest, **more))
    with pytest.raises(ConservationFailed, match="rows in, but"):
        spine.sync("hubspot", "r1", streams=["deals"])


def test_every_record_of_silver_is_linked_or_deleted(people, database):
    people.put("salesforce", [{"id": "1", **people.JANE}, {"id": "2", **people.JIM}, {"id": "3", **people.JIM, "is_deleted": True}])
    resolve(None, "person", "r1", database=database)
    (line,) = ledger.check(database.of("default"), "r1")
    assert line == ledger.Line("gold", "gold_party_person", rows_in=3, published=2, filtered=1)


def test_a_record_that_resolving_loses_leaves_its_tenants_gold_as_it_was(people, database, monkeypatch):
    people.put("salesforce", [{"id": "1", **people.JANE}])
    resolve(None, "person", "r1", database=database)
    people.put("hubspot", [{"id": "8", **people.JIM}, {"id": "9", **people.JANE}])
    before = people.rows(gold.LINKS)
    whole = module.resolve_tenant

    def losing(*arguments: Any, **options: Any) -> Any:
        outcome = whole(*arguments, **options)
        return replace(outcome, links=outcome.links.slice(1))

    with monkeypatch.context() as patch:
        patch.setattr(module, "resolve_tenant", losing)
        (failure,) = resolve_each(None, "person", "r2", database=database)["failures"]
    assert (failure["code"], failure["where"]["tenant"]) == ("CONSERVATION_FAILED", "default")
    assert "gold gold_party_person: 3 rows in, but 2 published" in failure["message"]
    assert people.rows(gold.LINKS) == before
    resolve(None, "person", "r3", database=database)
    assert {row["record_ref"] for row in people.rows(gold.LINKS)} == {"salesforce:contacts:1", "hubspot:contacts:8", "hubspot:contacts:9"}
