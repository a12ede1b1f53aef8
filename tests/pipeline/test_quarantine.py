"""Quarantined rows can be listed, looked at and replayed through the present mapping, any number of times."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from spine.core.errors import ConfigError
from spine.lake.paths import table_uri
from spine.pipeline import quarantine
from spine.pipeline.normalize import normalize

pytestmark = [pytest.mark.spark, pytest.mark.slow]
FIELDS = {"given_name": "FirstName", "family_name": "LastName", "email": "Email"}


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    folder = tmp_path / "sources"
    folder.mkdir()
    monkeypatch.setenv("SPINE_SOURCES", str(folder))

    def write(**mapping: Any) -> None:
        stream = {"name": "contacts", "key": ["Id"], "entity": "person", "mapping": {"fields": FIELDS} | mapping}
        content = {"source": "crm", "label": "S", "domain": "revops", "streams": [stream]}
        (folder / "crm.yaml").write_text(json.dumps(content))

    write()
    return write


def row(number: int, cursor: int = 0, **payload: Any) -> dict[str, Any]:
    return {"record_id": str(number), "cursor": f"{cursor}", "payload": {"LastName": f"Lee{number}"} | payload}


def people() -> list[tuple[Any, ...]]:
    rows = DeltaTable(table_uri("crm_person")).to_pyarrow_table().sort_by("record_ref").to_pylist()
    return [(row["record_id"], row["email"], row["run_id"]) for row in rows]


def versions() -> tuple[int, int]:
    return DeltaTable(table_uri("crm_person")).version(), DeltaTable(table_uri("quarantine_crm_person")).version()


def test_replay_publishes_what_passes_now_and_is_idempotent(spark: Any, bronze: Any, home: Path, declare: Any) -> None:
    bronze("crm", "contacts", [row(1, Email="a@b.org"), row(1, 1, Email="a at b.org"), row(2, Email="c at d.org"), row(3, Email="?")])
    normalize(spark, "crm", "run1")
    assert people() == [("1", "a@b.org", "run1")]
    listed = quarantine.list_rows("crm", "person")
    assert {one["record_ref"] for one in listed} == {"crm:contacts:1", "crm:contacts:2", "crm:contacts:3"}
    assert "payload" not in listed[0]
    assert quarantine.replay(spark, "crm", "person", None, "idle").to_json()["still_open"] == 3
    before = versions()

    fixed = {
        "given_name": "FirstName",
        "family_name": "LastName",
        "email": {"from": "Email", "lookup": {"a at b.org": "a@b.com", "c at d.org": "c@d.org"}},
    }
    declare(fields=fixed, version=2)
    only = next(one["quarantine_id"] for one in listed if one["record_ref"].endswith(":2"))
    found = quarantine.replay(spark, "crm", "person", [only], "run2").to_json()
    assert (found["replayed"], found["still_open"], found["published"]) == (1, 0, 1)
    found = quarantine.replay(spark, "crm", "person", None, "run3").to_json()
    assert (found["replayed"], found["still_open"], found["published"]) == (1, 1, 1)
    assert people() == [("1", "a@b.com", "run3"), ("2", "c@d.org", "run2")]
    assert [one["record_ref"] for one in quarantine.list_rows("crm", "person")] == ["crm:contacts:3"]
    assert {one["status"] for one in quarantine.list_rows("crm", "person", status=None)} == {"open", "replayed"}
    assert versions() > before

    after = versions()
    assert quarantine.replay(spark, "crm", "person", None, "run4").to_json()["replayed"] == 0
    assert versions() == after
    bronze("crm", "contacts", [row(4)])
    assert normalize(spark, "crm", "run5").entities["person"].rows_in == 1  # a replay leaves the read position where it was


def test_a_replayed_row_that_is_not_the_newest_is_not_published(spark: Any, bronze: Any, home: Path, declare: Any) -> None:
    bronze("crm", "contacts", [row(1, 1, Email="old at b.org"), row(1, 2, Email="new@b.org")])
    normalize(spark, "crm", "run1")
    declare(fields=FIELDS | {"email": {"from": "Email", "lookup": {"old at b.org": "old@b.org"}}})
    found = quarantine.replay(spark, "crm", "person", None, "run2").to_json()
    assert (found["replayed"], found["superseded"], found["published"]) == (1, 1, 0)
    assert people() == [("1", "new@b.org", "run1")]


def test_a_row_that_still_fails_stays_open_with_its_present_reasons(spark: Any, bronze: Any, home: Path, declare: Any) -> None:
    bronze("crm", "contacts", [row(1, Email="?", Born="soon")])
    normalize(spark, "crm", "run1")
    declare(fields=FIELDS | {"birth_date": "Born"}, version=2)
    assert quarantine.replay(spark, "crm", "person", None, "run2").to_json()["still_open"] == 1
    (one,) = quarantine.list_rows("crm", "person")
    assert [reason["rule"] for reason in one["reasons"]] == ["type", "email_is_valid"]
    shown = quarantine.show("crm", "person", one["quarantine_id"][:8])
    assert json.loads(shown["payload"])["Born"] == "soon"
    assert shown["mapping_version"] == 2


def test_elements_of_a_split_array_are_replayed_one_by_one(spark: Any, bronze: Any, home: Path, declare: Any) -> None:
    fields = {"family_name": "people.name", "email": "people.mail"}
    declare(fields=fields, split="people")
    members = [{"name": "A", "mail": "a@b.org"}, {"name": "B", "mail": "b"}, {"name": "C", "mail": "c"}]
    bronze("crm", "contacts", [{"record_id": "1", "payload": {"people": members}}])
    found = normalize(spark, "crm", "run1").entities["person"].to_json()
    assert (found["rows_in"], found["published"], found["quarantined"]) == (3, 1, 2)
    declare(fields=fields | {"email": {"from": "people.mail", "lookup": {"b": "b@b.org"}}}, split="people")
    found = quarantine.replay(spark, "crm", "person", None, "run2").to_json()
    assert (found["replayed"], found["still_open"]) == (1, 1)
    assert people() == [("1#1", "a@b.org", "run1"), ("1#2", "b@b.org", "run2")]


def test_without_a_table_there_is_nothing(spark: Any, lake: str, declare: Any) -> None:
    assert quarantine.list_rows("crm", "person") == []
    assert quarantine.replay(spark, "crm", "person", None, "run").to_json()["replayed"] == 0
    with pytest.raises(ConfigError, match="0 quarantined rows"):
        quarantine.show("crm", "person", "abc")
    with pytest.raises(ConfigError, match="does not feed 'order'"):
        quarantine.list_rows("crm", "order")
