"""Bronze to Silver: newest version wins, bad rows are quarantined, the gate guards the table, a second run writes nothing."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from spine.control import ledger
from spine.control.database import Database
from spine.core.entities import load_entity
from spine.core.errors import ConservationFailed, QualityFailed
from spine.lake import amounts
from spine.lake.paths import table_uri
from spine.pipeline import normalize as module
from spine.pipeline import quarantine
from spine.pipeline.normalize import normalize, normalize_each

pytestmark = [pytest.mark.spark, pytest.mark.slow]
Bronze = Callable[..., None]
START = dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC)


def contact(
    number: int, cursor: int = 0, *, tenant: str = "acme", op: str = "upsert", payload: Any = None, **fields: Any
) -> dict[str, Any]:
    """A Bronze row of a Salesforce contact; `cursor` is the hour of its last change."""
    body = {"Id": f"003{number}", "FirstName": "Ada", "LastName": f"Lee{number}", "Email": f"a{number}@b.org"} | fields
    moment = f"2026-01-31T{cursor:02d}:00:00.000000Z"
    return {
        "tenant_id": tenant,
        "record_id": f"003{number}",
        "cursor": moment,
        "emitted_at": START + dt.timedelta(hours=cursor),
        "op": op,
        "payload": body if payload is None else payload,
    }


def table(name: str = "salesforce_person") -> list[dict[str, Any]]:
    return DeltaTable(table_uri(name)).to_pyarrow_table().sort_by([("tenant_id", "ascending"), ("record_ref", "ascending")]).to_pylist()


def version(name: str = "salesforce_person") -> int:
    return DeltaTable(table_uri(name)).version()


def outcome(spark: Any, run_id: str, **options: Any) -> dict[str, Any]:
    return normalize(spark, "salesforce", run_id, **options).entities["person"].to_json()


def counts(found: dict[str, Any]) -> tuple[int, ...]:
    return tuple(found[name] for name in ("rows_in", "published", "unchanged", "quarantined", "superseded", "filtered", "deleted"))


def test_a_run_is_incremental_and_a_second_one_writes_nothing(spark: Any, bronze: Bronze, home: Path) -> None:
    assert counts(outcome(spark, "run0")) == (0, 0, 0, 0, 0, 0, 0)
    bronze("salesforce", "contacts", [contact(1), contact(2), contact(2, 1, FirstName="Bob")])
    first = outcome(spark, "run1")
    assert counts(first) == (3, 2, 0, 0, 1, 0, 0)
    assert (first["version"], first["silver_table"]) == (1, "salesforce_person")
    assert [(row["given_name"], row["run_id"]) for row in table()] == [("Ada", "run1"), ("Bob", "run1")]
    before = table()
    assert counts(outcome(spark, "run2")) == (0, 0, 0, 0, 0, 0, 0)

    bronze("salesforce", "contacts", [contact(1) | {"emitted_at": START + dt.timedelta(days=1)}])  # read again, as a lookback does
    assert counts(outcome(spark, "run3")) == (1, 0, 1, 0, 0, 0, 0)
    assert (version(), table()) == (1, before)

    bronze("salesforce", "contacts", [contact(1, 2, FirstName="Eve"), contact(3)])
    assert counts(outcome(spark, "run4")) == (3, 2, 0, 0, 1, 0, 0)
    assert [(row["given_name"], row["run_id"]) for row in table()] == [("Eve", "run4"), ("Bob", "run1"), ("Ada", "run4")]

    assert outcome(spark, "run5", renormalize=True)["published"] == 0
    assert version() == 2


def test_a_late_older_version_is_superseded(spark: Any, bronze: Bronze, home: Path) -> None:
    bronze("salesforce", "contacts", [contact(1, 5, FirstName="New")])
    outcome(spark, "run1")
    bronze("salesforce", "contacts", [contact(1, 4, FirstName="Old") | {"emitted_at": START + dt.timedelta(days=9)}])
    assert counts(outcome(spark, "run2")) == (1, 0, 0, 0, 1, 0, 0)
    assert [row["given_name"] for row in table()] == ["New"]


def test_a_version_between_two_that_say_the_same_is_superseded_when_it_comes_late(spark: Any, bronze: Bronze, home: Path) -> None:
    bronze("salesforce", "contacts", [contact(1, 1)])
    outcome(spark, "run1")
    bronze("salesforce", "contacts", [contact(1, 3)])
    assert counts(outcome(spark, "run2")) == (1, 1, 0, 0, 0, 0, 0)
    bronze("salesforce", "contacts", [contact(1, 2, FirstName="Old") | {"emitted_at": START + dt.timedelta(days=9)}])
    assert counts(outcome(spark, "run3")) == (1, 0, 0, 0, 1, 0, 0)
    assert [(row["given_name"], row["source_cursor"][11:13]) for row in table()] == [("Ada", "03")]


def test_deletes_mark_the_row_and_keep_its_values(spark: Any, bronze: Bronze, home: Path) -> None:
    bronze("salesforce", "contacts", [contact(1), contact(2), contact(2, 1, op="delete", payload={"Id": "0032"})])
    assert counts(outcome(spark, "run1")) == (3, 2, 0, 0, 1, 0, 1)
    bronze("salesforce", "contacts", [contact(1, 1, op="delete", payload={}), contact(3, 1, op="delete", payload={})])
    assert counts(outcome(spark, "run2")) == (2, 2, 0, 0, 0, 0, 2)
    found = [(row["given_name"], row["is_deleted"], row["source_cursor"][11:13]) for row in table()]
    assert found == [("Ada", True, "01"), ("Ada", True, "01"), (None, True, "01")]
    bronze("salesforce", "contacts", [contact(1, 1, op="delete", payload={}), contact(2, 2, FirstName="Back")])
    assert counts(outcome(spark, "run3")) == (2, 1, 1, 0, 0, 0, 0)
    assert [(row["given_name"], row["is_deleted"]) for row in table()] == [("Ada", True), ("Back", False), (None, True)]


@pytest.fixture
def own_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes a source `salesforce` with one stream `contacts` of the test's own making."""
    folder = tmp_path / "sources"
    folder.mkdir()
    monkeypatch.setenv("SPINE_SOURCES", str(folder))

    def declare(deletes: str = "soft_delete", fields: dict[str, Any] | None = None, **mapping: Any) -> None:
        names = {"given_name": "FirstName", "family_name": "LastName", "email": "Email"} if fields is None else fields
        stream = {
            "name": "contacts",
            "key": ["Id"],
            "entity": "person",
            "deletes": {"mode": deletes},
            "mapping": {"fields": names, **mapping},
        }
        others = [stream | {"name": "leads"}]
        content = {"source": "salesforce", "label": "S", "domain": "revops", "streams": [stream, *others]}
        (folder / "salesforce.yaml").write_text(json.dumps(content))

    return declare


def test_hard_deletes_remove_and_ignored_deletes_do_nothing(spark: Any, bronze: Bronze, home: Path, own_sources: Any) -> None:
    own_sources("ignore")
    bronze("salesforce", "contacts", [contact(1), contact(2), contact(2, 1, op="delete")])
    assert counts(outcome(spark, "run1")) == (3, 2, 0, 0, 0, 1, 0)
    own_sources("hard_delete")
    bronze("salesforce", "contacts", [contact(1, 2, op="delete"), contact(9, 1, op="delete")])
    assert counts(outcome(spark, "run2")) == (2, 1, 1, 0, 0, 0, 1)
    assert [row["record_id"] for row in table()] == ["0032"]


class TestWithdrawnRows:
    """What Silver does when a record still exists and yet no longer belongs there."""

    @pytest.mark.parametrize("mode", ["soft_delete", "hard_delete", "ignore"])
    def test_a_record_that_stops_passing_a_filter_goes_as_a_delete(
        self, spark: Any, bronze: Bronze, home: Path, own_sources: Any, mode: str
    ) -> None:
        own_sources(mode, filters=[{"field": "Type", "none_of": ["test"]}])
        bronze("salesforce", "contacts", [contact(1, Type="person"), contact(2, Type="test"), contact(3, Type="person")])
        assert counts(outcome(spark, "run1")) == (3, 2, 0, 0, 0, 1, 0)
        bronze("salesforce", "contacts", [contact(1, 2, Type="test", FirstName="Hidden"), contact(2, 2, Type="test")])
        assert counts(outcome(spark, "run2")) == (2, 1, 0, 0, 0, 1, 1)
        living = [("Ada", False)]
        assert [(row["given_name"], row["is_deleted"]) for row in table()] == (
            living if mode == "hard_delete" else [("Ada", True), *living]
        )
        bronze("salesforce", "contacts", [contact(1, 3, Type="test")])
        assert counts(outcome(spark, "run3")) == (1, 0, 0, 0, 0, 1, 0)
        assert outcome(spark, "run4", renormalize=True)["published"] == 0
        bronze("salesforce", "contacts", [contact(1, 4, Type="person", FirstName="Back")])
        outcome(spark, "run5")
        assert [(row["given_name"], row["is_deleted"]) for row in table()] == [("Back", False), ("Ada", False)]

    def test_a_new_filter_withdraws_by_renormalization_what_stood_before_and_brings_it_back(
        self, spark: Any, bronze: Bronze, home: Path, own_sources: Any
    ) -> None:
        own_sources()
        bronze("salesforce", "contacts", [contact(1, Type="test"), contact(2, Type="test"), contact(2, 1, Type="person")])
        outcome(spark, "run1")
        own_sources(filters=[{"field": "Type", "none_of": ["test"]}])
        outcome(spark, "run2", renormalize=True)
        assert [row["is_deleted"] for row in table()] == [True, False]
        own_sources()
        outcome(spark, "run3", renormalize=True)
        assert [(row["given_name"], row["is_deleted"]) for row in table()] == [("Ada", False), ("Ada", False)]

    def people(self, cursor: int, *names: str | None, op: str = "upsert", **more: Any) -> dict[str, Any]:
        payload = {"company": "Acme", "people": [{"name": name} for name in names]} | more
        return contact(1, cursor, op=op, payload=payload)

    def living(self) -> dict[str, str]:
        return {row["record_id"].partition("#")[2]: row["family_name"] for row in table() if not row["is_deleted"]}

    @pytest.fixture
    def split(self, own_sources: Any) -> None:
        own_sources(fields={"family_name": "people.name", "employer": "company"}, split="people")

    def test_elements_go_when_their_array_shrinks(self, spark: Any, bronze: Bronze, home: Path, split: None) -> None:
        bronze("salesforce", "contacts", [self.people(1, "Lee", "Ray", "Kim")])
        assert counts(outcome(spark, "run1")) == (3, 3, 0, 0, 0, 0, 0)
        bronze("salesforce", "contacts", [self.people(2, "Lee", "Roy")])
        assert outcome(spark, "run2")["deleted"] == 1
        assert self.living() == {"1": "Lee", "2": "Roy"}
        assert outcome(spark, "run3", renormalize=True)["published"] == 0
        bronze("salesforce", "contacts", [contact(1, 3, payload={"_error": "torn"}), contact(1, 4, payload={"people": "many"})])
        outcome(spark, "run4")
        assert self.living() == {"1": "Lee", "2": "Roy"}  # a row that cannot be read says nothing of its elements
        bronze("salesforce", "contacts", [self.people(5)])
        assert outcome(spark, "run5")["deleted"] == 2
        assert self.living() == {}
        bronze("salesforce", "contacts", [self.people(6, "New")])
        outcome(spark, "run6")
        assert self.living() == {"1": "New"}

    @pytest.mark.parametrize("payload", [{}, {"company": "Acme", "people": None}, {"company": "Acme", "people": [{"name": "Lee"}]}])
    def test_elements_go_with_their_parent(self, spark: Any, bronze: Bronze, home: Path, split: None, payload: dict[str, Any]) -> None:
        bronze("salesforce", "contacts", [self.people(1, "Lee", "Ray")])
        outcome(spark, "run1")
        bronze("salesforce", "contacts", [contact(1, 2, op="delete", payload=payload)])
        assert outcome(spark, "run2")["deleted"] == 2
        assert self.living() == {}
        assert [row["family_name"] for row in table() if row["record_id"].endswith("#2")] == ["Ray"]

    def test_an_array_without_end_is_one_row_of_quarantine_and_changes_nothing(
        self, spark: Any, bronze: Bronze, home: Path, split: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A mebibyte of a vendor's would be as many rows as it has commas, each with the whole of it."""
        monkeypatch.setenv("SPINE_BOUNDS", "elements=3")
        bronze("salesforce", "contacts", [self.people(1, "Lee", "Ray", "Kim"), contact(2, payload={"people": [{"name": "Ann"}] * 4})])
        found = outcome(spark, "run1")
        assert (found["rows_in"], found["published"], found["quarantined"]) == (4, 3, 1)
        held = quarantine.list_rows("salesforce", "person")
        assert [(row["record_ref"], [reason["reason"] for reason in row["reasons"]]) for row in held] == [
            ("salesforce:contacts:0032", ["`people` has 4 elements, more than 3 (`elements` of SPINE_BOUNDS)"])
        ]
        bronze("salesforce", "contacts", [self.people(2, *["New"] * 4)])
        assert counts(outcome(spark, "run2"))[:3] == (1, 0, 0)
        assert self.living() == {"1": "Lee", "2": "Ray", "3": "Kim"}, "as after a row that cannot be read"
        monkeypatch.setenv("SPINE_BOUNDS", "elements=4")
        outcome(spark, "run3", renormalize=True)
        assert [row["family_name"] for row in table() if row["record_ref"].startswith("salesforce:contacts:0032#")] == ["Ann"] * 4
        monkeypatch.setenv("SPINE_BOUNDS", "elements=3")
        bronze("salesforce", "contacts", [self.people(3, *["New"] * 9, op="delete")])
        assert outcome(spark, "run4")["deleted"] == 4, "a delete is one of the elements that there are"

    def test_an_id_of_the_vendor_that_ends_with_a_number_makes_no_rows(
        self, spark: Any, bronze: Bronze, home: Path, own_sources: Any
    ) -> None:
        """It stood in Silver before the mapping split anything; two thousand million elements would follow from it."""
        own_sources(fields={"family_name": "name", "employer": "company"})
        bronze("salesforce", "contacts", [contact(1, payload={"name": "Lee"}) | {"record_id": "a#2000000000"}])
        outcome(spark, "run1")
        own_sources(fields={"family_name": "people.name", "employer": "company"}, split="people")
        bronze("salesforce", "contacts", [self.people(2, "Ray") | {"record_id": "a"}])
        assert counts(outcome(spark, "run2"))[:2] == (1, 1)

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    @pytest.mark.parametrize("together", [True, False])
    def test_the_newest_array_decides_in_whatever_order_and_batches_rows_come(
        self, spark: Any, bronze: Bronze, home: Path, split: None, order: tuple[int, int], together: bool
    ) -> None:
        rows = [self.people(1, "Lee", "Ray", "Kim"), self.people(2, "Leo")]
        arriving = [rows[place] for place in order]
        for number, batch in enumerate([arriving] if together else [[row] for row in arriving]):
            bronze("salesforce", "contacts", batch)
            outcome(spark, f"run{number}")
        assert self.living() == {"1": "Leo"}


def test_a_record_that_one_full_read_missed_and_the_next_saw_unchanged_is_alive(spark: Any, bronze: Bronze, home: Path) -> None:
    later = [START + dt.timedelta(days=day) for day in range(1, 4)]
    bronze("salesforce", "contacts", [contact(1), contact(1, op="delete", payload={}) | {"emitted_at": later[0]}])
    outcome(spark, "run1")
    assert [row["is_deleted"] for row in table()] == [True]
    bronze("salesforce", "contacts", [contact(1) | {"emitted_at": later[1]}])
    outcome(spark, "run2")
    assert [(row["given_name"], row["is_deleted"]) for row in table()] == [("Ada", False)]


def test_a_name_with_a_zero_character_is_cleaned_and_counted(spark: Any, bronze: Bronze, home: Path) -> None:
    bronze("salesforce", "contacts", [contact(1, FirstName="A\0nn"), contact(2)])
    result = outcome(spark, "run1")
    assert (result["published"], result["cleaned"]) == (2, 1)
    assert [row["given_name"] for row in table()] == ["Ann", "Ada"]


def test_a_column_whose_name_has_a_dot_comes_before_a_path(spark: Any, bronze: Bronze, home: Path, own_sources: Any) -> None:
    own_sources(fields={"family_name": "LastName", "employer": "Account.Name"})
    payloads = [{"LastName": "Lee", "Account.Name": "Flat"}, {"LastName": "Ray", "Account": {"Name": "Deep", "Size": 3}}]
    bronze("salesforce", "contacts", [contact(number, payload=payload) for number, payload in enumerate(payloads, 1)])
    outcome(spark, "run1")
    assert [(row["employer"], json.loads(row["custom_fields"])) for row in table()] == [("Flat", {}), ("Deep", {"Account": {"Size": 3}})]


@pytest.mark.parametrize("passed", [True, False], ids=["little", "much"])
def test_far_times_reach_every_reader(
    spark: Any, bronze: Bronze, home: Path, own_sources: Any, monkeypatch: pytest.MonkeyPatch, passed: bool
) -> None:
    monkeypatch.setattr(amounts, "FEW_ROWS", amounts.FEW_ROWS if passed else 0)
    own_sources(fields={"family_name": "LastName", "source_created_at": "At"})
    moments = ["0001-01-01T00:00:00", "9999-12-31T23:59:59"]
    bronze("salesforce", "contacts", [contact(number, At=moment) for number, moment in enumerate(moments, 1)])
    outcome(spark, "run1")
    assert [row["source_created_at"].replace(tzinfo=None).isoformat() for row in table()] == moments


def test_rows_of_former_file_drops_lose_against_those_with_a_time(spark: Any, bronze: Bronze, home: Path) -> None:
    bronze("salesforce", "contacts", [contact(1) | {"cursor": "people_9.csv"}, contact(2) | {"cursor": "z.parquet"}])
    outcome(spark, "run1")
    bronze("salesforce", "contacts", [contact(1, 1, FirstName="New"), contact(2, 1, FirstName="New")])
    assert outcome(spark, "run2")["published"] == 2
    assert [row["given_name"] for row in table()] == ["New", "New"]


def test_streams_of_one_entity_share_a_table_and_keep_their_own_positions(spark: Any, bronze: Bronze, home: Path, own_sources: Any) -> None:
    own_sources(filters=[{"field": "LastName", "none_of": ["Lee7"]}])
    bronze("salesforce", "contacts", [contact(1), contact(7)])
    assert counts(outcome(spark, "run1")) == (2, 1, 0, 0, 0, 1, 0)
    bronze("salesforce", "leads", [contact(1, FirstName="Lead")])
    assert counts(outcome(spark, "run2")) == (1, 1, 0, 0, 0, 0, 0)
    bronze("salesforce", "contacts", [contact(2)])
    bronze("salesforce", "leads", [contact(2)])
    assert counts(outcome(spark, "run3")) == (2, 2, 0, 0, 0, 0, 0)
    refs = ["salesforce:contacts:0031", "salesforce:contacts:0032", "salesforce:leads:0031", "salesforce:leads:0032"]
    assert [row["record_ref"] for row in table()] == refs


def test_bad_rows_go_to_quarantine_with_every_reason_and_the_good_version_stays(spark: Any, bronze: Bronze, home: Path) -> None:
    bronze("salesforce", "contacts", [contact(1)])
    outcome(spark, "run1")
    bad = contact(1, 1, Email="nobody", CreatedDate="yesterday")
    bronze("salesforce", "contacts", [bad, contact(2, payload="{broken"), contact(3, payload={"_error": "no columns"}), contact(4)])
    found = outcome(spark, "run2")
    assert counts(found) == (4, 1, 0, 3, 0, 0, 0)
    assert [(row["record_id"], row["email"]) for row in table()] == [("0031", "a1@b.org"), ("0034", "a4@b.org")]
    rows = table("quarantine_salesforce_person")
    assert [[reason["rule"] for reason in row["reasons"]] for row in rows] == [["type", "email_is_valid"], ["readable"], ["readable"]]
    assert json.loads(rows[0]["payload"]) == bad["payload"]
    assert rows[1]["payload"] == "{broken"
    assert {(row["status"], row["run_id"]) for row in rows} == {("open", "run2")}
    page = Path(found["validation"]["page"]).read_text()
    assert "the e-mail is not an address" in page
    assert "nobody" not in page

    before = version("quarantine_salesforce_person")
    bronze("salesforce", "contacts", [bad | {"emitted_at": START + dt.timedelta(days=1)}])
    assert counts(outcome(spark, "run3")) == (1, 0, 0, 1, 0, 0, 0)
    assert version("quarantine_salesforce_person") == before


def test_the_gate_keeps_the_old_version_readable(spark: Any, bronze: Bronze, home: Path) -> None:
    bronze("salesforce", "contacts", [contact(number) for number in range(3)])
    outcome(spark, "run1")
    bronze("salesforce", "contacts", [contact(number, 1, Email="bad") for number in range(60)])
    bronze("salesforce", "accounts", [{"record_id": "001", "payload": {"Name": "Acme"}}])
    with pytest.raises(QualityFailed, match=r"few_rows_quarantined: quarantined share is 1, allowed at most 0\.2") as caught:
        outcome(spark, "run2")
    assert version() == 1
    assert not DeltaTable.is_deltatable(table_uri("quarantine_salesforce_person"))
    assert "the e-mail is not an address" in Path(caught.value.where["page"]).read_text()
    assert [row["name"] for row in table("salesforce_organization")] == ["Acme"]  # one entity's failure does not stop the others

    bronze("salesforce", "contacts", [contact(number, 2) for number in range(300)])  # the next run sees both
    assert outcome(spark, "run3")["quarantined"] == 60


def test_two_tenants_with_the_same_ids_never_mix(spark: Any, bronze: Bronze, home: Path, database: Database) -> None:
    rows = [contact(1), contact(1, tenant="north", FirstName="Nora"), contact(2, tenant="north", Email="wrong")]
    bronze("salesforce", "contacts", rows)
    found = outcome(spark, "run1", database=database)
    assert counts(found) == (3, 2, 0, 1, 0, 0, 0)
    assert [(row["tenant_id"], row["given_name"]) for row in table()] == [("acme", "Ada"), ("north", "Nora")]
    pages = {tenant: Path(page).read_text() for tenant, page in found["validation"]["pages"].items()}
    assert "the e-mail is not an address" not in pages["acme"]
    assert "the e-mail is not an address" in pages["north"]

    lines = {tenant: [vars(line) for line in ledger.check(database.of(tenant), "run1")] for tenant in ("acme", "north")}
    common = {"layer": "silver", "table_name": "salesforce_person", "superseded": 0, "filtered": 0}
    assert lines == {
        "acme": [common | {"rows_in": 1, "published": 1, "quarantined": 0}],
        "north": [common | {"rows_in": 2, "published": 1, "quarantined": 1}],
    }


def test_a_run_for_one_tenant_leaves_the_others_for_the_next(spark: Any, bronze: Bronze, home: Path) -> None:
    bronze("salesforce", "contacts", [contact(1), contact(1, tenant="north")])
    assert counts(outcome(spark, "run1", tenants=["north"])) == (1, 1, 0, 0, 0, 0, 0)
    assert counts(outcome(spark, "run2")) == (1, 1, 0, 0, 0, 0, 0)
    assert [row["run_id"] for row in table()] == ["run2", "run1"]
    assert counts(outcome(spark, "run3")) == (0, 0, 0, 0, 0, 0, 0)


def test_a_tenant_that_fails_its_gate_holds_up_nobody_and_is_read_again(
    spark: Any, bronze: Bronze, home: Path, database: Database, tenant: str
) -> None:
    bad = [contact(number, 1, tenant=tenant, Email="bad") for number in range(60)]
    bronze("salesforce", "contacts", [contact(1), *bad])
    with pytest.raises(QualityFailed, match="few_rows_quarantined") as caught:
        outcome(spark, "run1", database=database)
    assert caught.value.where["tenant"] == tenant
    assert [row["tenant_id"] for row in table()] == ["acme"], "the other tenant's rows are published"
    assert not DeltaTable.is_deltatable(table_uri("quarantine_salesforce_person")), "of the failed one nothing is written"
    assert ledger.check(database.of(tenant), "run1") == []

    bronze("salesforce", "contacts", [contact(2)])
    done = normalize_each(spark, "salesforce", "run2")
    assert [(error.code, error.where["tenant"]) for error in done.failures] == [("QUALITY_FAILED", tenant)]
    assert counts(done.entities["person"].to_json()) == (1, 1, 0, 0, 0, 0, 0), "the other tenant's rows are read once"

    bronze("salesforce", "contacts", [contact(number, 2, tenant=tenant) for number in range(300)])
    assert counts(outcome(spark, "run3"))[:4] == (360, 300, 0, 60)
    assert counts(outcome(spark, "run4")) == (0, 0, 0, 0, 0, 0, 0)


def test_renormalize_applies_the_present_mapping_to_everything(spark: Any, bronze: Bronze, home: Path, own_sources: Any) -> None:
    own_sources()
    bronze("salesforce", "contacts", [contact(1), contact(1, 1, Title="Dr"), contact(2, Email="ada at b.org")])
    outcome(spark, "run1")
    assert [(row["employer"], json.loads(row["custom_fields"])) for row in table()] == [(None, {"Id": "0031", "Title": "Dr"})]
    own_sources(fields={"given_name": "FirstName", "family_name": "LastName", "employer": "Title"}, version=2)
    assert counts(outcome(spark, "run2")) == (0, 0, 0, 0, 0, 0, 0)
    assert counts(outcome(spark, "run3", renormalize=True)) == (3, 2, 0, 0, 1, 0, 0)
    found = [(row["employer"], row["email"], row["mapping_version"], row["run_id"]) for row in table()]
    assert found == [("Dr", None, 2, "run3"), (None, None, 2, "run3")]
    assert [row["status"] for row in table("quarantine_salesforce_person")] == ["replayed"]
    before = version()
    assert counts(outcome(spark, "run4", renormalize=True)) == (3, 0, 2, 0, 1, 0, 0)
    assert version() == before


def test_lost_rows_stop_the_run_before_anything_is_written(spark: Any, bronze: Bronze, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bronze("salesforce", "contacts", [contact(1), contact(2)])
    honest = module.newest
    monkeypatch.setattr(module, "newest", lambda rows, entity, **words: honest(rows, entity, **words).where("record_id <> '0032'"))
    with pytest.raises(ConservationFailed, match="silver salesforce_person: 2 rows in, but 1 published"):
        outcome(spark, "run1")
    assert version() == 0


def test_several_failures_are_told_together(spark: Any, bronze: Bronze, home: Path) -> None:
    bronze("salesforce", "contacts", [contact(number, Email="bad") for number in range(60)])
    bronze("salesforce", "accounts", [{"record_id": str(number), "payload": {}} for number in range(60)])
    with pytest.raises(QualityFailed, match=r"organization, acme: .* person, acme: "):
        outcome(spark, "run1")


def test_silver_has_the_entity_fields_in_their_order(spark: Any, bronze: Bronze, home: Path) -> None:
    bronze("salesforce", "contacts", [contact(1)])
    outcome(spark, "run1")
    names = [field.name for field in DeltaTable(table_uri("salesforce_person")).schema().fields]
    assert names[6 : 6 + len(load_entity("person").fields)] == list(load_entity("person").fields)
