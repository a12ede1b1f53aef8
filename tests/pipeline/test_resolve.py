"""Silver to Gold on real Spark and real Delta: incremental, no-op, deletions, tenants apart, kills between tables, other readers."""

from __future__ import annotations

import os
import shutil

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable

from spine.core.errors import ConfigError, QualityFailed
from spine.core.settings import PROJECT
from spine.identity.golden import limits
from spine.lake import amounts, gold
from spine.lake.paths import table_uri
from spine.pipeline import resolve as module
from spine.pipeline.resolve import resolve

pytestmark = [pytest.mark.spark, pytest.mark.slow]
TABLES = (gold.LINKS, gold.MATCHES, gold.CHANGES, gold.REDIRECTS, gold.MODELS, "gold_party_person", "gold_party_person_history")

# Ways to write one person so that no record is a copy of another: copies count once in the limit of an entity's size.
OTHERWISE: list[dict[str, str | None]] = [{}, {"postcode": None}, {"given_name": "J."}, {"city": None}]


def test_a_first_run_makes_golden_records_that_other_engines_read(spark, people):
    people.put("salesforce", [{"id": "1", **people.JANE}, {"id": "2", **people.JIM}])
    people.put("hubspot", [{"id": "9", **people.JANE, "given_name": "J.", "phone": "+441132000123"}])
    result = resolve(spark, "person", "r1")
    assert (result["records"], result["entities"], result["created"], result["accepted"], result["no_op"]) == (3, 2, 2, 1, False)
    jane = people.links()["1"]
    assert people.links()["9"] == jane != people.links()["2"]
    golden = {row["entity_id"]: row for row in people.rows("gold_party_person")}[jane]
    assert (golden["family_name"], golden["phone"], golden["record_count"], golden["source_count"]) == ("Okonkwo", "+441132000123", 2, 2)
    assert '"hubspot:contacts:9"' in golden["provenance"]
    assert 0.85 <= golden["confidence"] < 1
    uri = table_uri("gold_party_person")
    dataset = DeltaTable(uri).to_pyarrow_dataset()  # noqa: F841  (DuckDB finds it by name)
    assert duckdb.sql("SELECT count(*) FROM dataset").fetchall() == [(2,)]
    assert pl.scan_delta(uri).select(pl.len()).collect().item() == 2


def test_only_what_changed_is_written_and_no_change_writes_nothing(spark, people):
    people.put("salesforce", [{"id": "1", **people.JANE}, {"id": "2", **people.JIM}])
    resolve(spark, "person", "r1")
    before, ids = people.versions(), people.links()
    result = resolve(spark, "person", "r2")
    assert result["no_op"]
    assert people.versions() == before
    people.put("hubspot", [{"id": "9", **people.JANE}])
    result = resolve(spark, "person", "r3")
    assert (result["changed_records"], result["created"]) == (1, 0)
    assert people.links() == {**ids, "9": ids["1"]}
    assert {row["run_id"] for row in pl.read_delta(table_uri("gold_party_person")).to_dicts() if row["entity_id"] == ids["2"]} == {"r1"}
    kinds = [row["kind"] for row in people.rows(gold.CHANGES)]
    assert sorted(kinds) == ["created", "created", "joined"]


def test_deleted_records_leave_and_an_empty_entity_is_retired(spark, people):
    people.put("salesforce", [{"id": "1", **people.JANE}, {"id": "2", **people.JIM}])
    people.put("hubspot", [{"id": "9", **people.JANE}])
    resolve(spark, "person", "r1")
    ids = people.links()
    people.put("salesforce", [{"id": "1", **people.JANE, "is_deleted": True}, {"id": "2", **people.JIM, "is_deleted": True}])
    result = resolve(spark, "person", "r2")
    assert result["retired"] == 1
    assert people.links() == {"9": ids["1"]}
    assert [row["entity_id"] for row in people.rows("gold_party_person")] == [ids["1"]]
    assert {(row["kind"], row["entity_id"]) for row in people.rows(gold.CHANGES) if row["kind"] in ("left", "retired")} == {
        ("left", ids["1"]), ("left", ids["2"]), ("retired", ids["2"]),
    }  # fmt: skip


def test_a_merge_leaves_a_redirect(spark, people):
    other = people.JANE | {"email": "jo@old.com", "family_name": "Smith", "city": "York", "postcode": "YO1"}
    people.put("salesforce", [{"id": "1", **people.JANE}, {"id": "2", **other}])
    resolve(spark, "person", "r1")
    former = people.links()
    people.put("salesforce", [{"id": "2", **people.JANE}])
    assert resolve(spark, "person", "r2")["merged"] == 1
    (redirect,) = people.rows(gold.REDIRECTS)
    assert {redirect["from_id"], redirect["to_id"]} == set(former.values())
    assert set(people.links().values()) == {redirect["to_id"]}


def test_two_tenants_with_the_same_people_are_never_linked(spark, people):
    for tenant in ("default", "acme"):
        people.put("salesforce", [{"id": "1", **people.JANE}], tenant)
        people.put("hubspot", [{"id": "9", **people.JANE}], tenant)
    resolve(spark, "person", "r1")
    assert set(people.links("default").values()).isdisjoint(people.links("acme").values())
    assert all(row["record_count"] == 2 for row in people.rows("gold_party_person"))
    assert sorted(row["tenant_id"] for row in people.rows(gold.MODELS)) == ["acme", "default"]
    people.put("salesforce", [{"id": "1", **people.JANE, "phone": "+441132000123"}], "acme")
    resolve(spark, "person", "r2")
    assert {row["tenant_id"] for row in pl.read_delta(table_uri("gold_party_person")).to_dicts() if row["run_id"] == "r2"} == {"acme"}


def test_relearning_keeps_ids_and_makes_a_new_model(spark, people):
    people.put("salesforce", [{"id": "1", **people.JANE}, {"id": "2", **people.JIM}])
    people.put("hubspot", [{"id": "9", **people.JANE}])
    resolve(spark, "person", "r1")
    ids = people.links()
    resolve(spark, "person", "r2", relearn="always")
    assert people.links() == ids
    assert [row["model_version"] for row in people.rows(gold.MODELS)] == [1, 2]


def test_the_gate_keeps_gold_as_it_was_and_names_the_cause(spark, people, monkeypatch):
    people.put("salesforce", [{"id": "1", **people.JANE}])
    resolve(spark, "person", "r1")
    before = people.versions()
    people.put("hubspot", [{"id": str(number), **people.JANE, **other} for number, other in enumerate(OTHERWISE)])
    with monkeypatch.context() as strict:
        strict.setattr(limits, "LARGEST_ENTITY", 2)
        strict.setattr(limits, "SIZE_JUMP", 1.0)
        with pytest.raises(QualityFailed, match="cluster_size_jump"):
            resolve(spark, "person", "r2")
    assert {name: version for name, version in people.versions().items() if name.startswith("gold")} == {
        name: version for name, version in before.items() if name.startswith("gold")
    }
    assert resolve(spark, "person", "r3")["entities"] == 1


def test_a_tenant_beyond_the_limits_holds_up_nobody_and_is_tried_again(spark, people, monkeypatch):
    people.put("salesforce", [{"id": "1", **people.JANE}])
    people.put("salesforce", [{"id": "1", **people.JIM}], tenant="north")
    resolve(spark, "person", "r1")
    people.put("hubspot", [{"id": f"h{number}", **people.JANE, **other} for number, other in enumerate(OTHERWISE)])
    people.put("hubspot", [{"id": "9", **people.JIM}], tenant="north")
    with monkeypatch.context() as strict:
        strict.setattr(limits, "LARGEST_ENTITY", 3)
        strict.setattr(limits, "SIZE_JUMP", 1.0)
        for run in ("r2", "r3"):  # and nothing new does not make it good
            with pytest.raises(QualityFailed, match="cluster_size_jump") as caught:
                resolve(spark, "person", run)
            assert caught.value.where["tenant"] == "default"
    assert (len(people.links()), len(people.links("north"))) == (1, 2)
    done = resolve(spark, "person", "r4")
    assert (done["entities"], done["no_op"]) == (1, False)
    assert len(set(people.links().values())) == 1
    assert len(people.links()) == 5
    assert resolve(spark, "person", "r5")["no_op"]


def test_spark_makes_and_merges_the_same_entities_as_this_process(spark, people, monkeypatch):
    people.put("salesforce", [{"id": "1", **people.JANE}, {"id": "2", **people.JIM}, {"id": "3", **people.JIM, "email": None}])
    people.put("hubspot", [{"id": "9", **people.JANE, "given_name": "J."}, {"id": "8", **people.JIM, "given_name": "James"}])
    resolve(spark, "person", "r1")
    here = {table: people.rows(table) for table in (gold.LINKS, gold.MATCHES, "gold_party_person")}
    shutil.rmtree(table_uri("_identity_journal"))
    for table in TABLES:
        shutil.rmtree(table_uri(table))
    monkeypatch.setattr(module, "LOCAL_RECORDS", 0)
    monkeypatch.setattr(amounts, "MERGED_ROWS", 0)
    resolve(spark, "person", "r1")
    assert {table: people.rows(table) for table in here} == here


def test_an_entity_without_matching_rules_is_refused(spark, people):
    with pytest.raises(ConfigError, match="no matching rules"):
        resolve(spark, "opportunity", "r1")


@pytest.mark.parametrize(
    "place",
    [
        "resolve.before_stage",
        "resolve.staged",
        "resolve.before_links",
        "resolve.after_links",
        "resolve.before_golden",
        "resolve.before_applied",
    ],
)
def test_a_kill_between_two_tables_does_no_harm(spark, run_program, people, lake, place, tmp_path, monkeypatch):
    """The killed run is rolled forward by the next one, also when Silver has moved on meanwhile."""
    people.put("salesforce", [{"id": "1", **people.JANE}, {"id": "2", **people.JIM}])
    people.put("hubspot", [{"id": "9", **people.JANE}])
    calm = tmp_path / "calm"
    shutil.copytree(lake, calm)
    job = PROJECT / "spark_jobs" / "match_identities.py"
    killed = run_program(job, "--entity", "person", "--run-id", "r1", env=os.environ | {"SPINE_FAILPOINT": place})
    assert killed.returncode == -9, killed.stderr[-2000:]
    result = resolve(spark, "person", "r1")
    assert (result["no_op"], result["entities"]) == (False, 2)
    disturbed = {table: people.rows(table) for table in TABLES}
    assert resolve(spark, "person", "r2")["no_op"]
    monkeypatch.setenv("SPINE_LAKE", str(calm))
    resolve(spark, "person", "r1")
    assert {table: people.rows(table) for table in TABLES} == disturbed
