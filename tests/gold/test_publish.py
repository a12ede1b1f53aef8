"""A publication shows analysts exactly what Gold holds, whole or not at all, and touches only what differs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from deltalake import DeltaTable

from spine.core.errors import ConfigError, ControlPlaneUnavailable, PublishFailed
from spine.core.settings import settings
from spine.gold.publish import publish
from spine.lake.paths import table_uri

pytestmark = pytest.mark.postgres
Gold = Callable[..., None]


@pytest.fixture
def ask(admin_url: str) -> Callable[[str], list[tuple[Any, ...]]]:
    """Rows of a query, by somebody who sees everything."""

    def run(query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(admin_url) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

    return run


@pytest.fixture
def entities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the entity declarations that a test may change."""
    folder = tmp_path / "entities"
    folder.mkdir()
    for path in settings().entities.glob("*.yaml"):
        (folder / path.name).write_text(path.read_text())
    monkeypatch.setenv("SPINE_ENTITIES", str(folder))
    return folder


TABLES = ("party_person", "party_organization", "identity_links", "identity_matches", "identity_changes", "identity_redirects")


def fingerprints(ask: Callable[[str], list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """Where every row lies and which transaction wrote it: changes if anything was written at all."""
    found = {}
    for table in TABLES:
        if ask(f"SELECT to_regclass('gold.{table}')")[0][0]:
            found[table] = ask(f"SELECT ctid::text, xmin::text, xmax::text FROM gold.{table} ORDER BY 1")
    return found


def test_an_analyst_reads_golden_records_sources_and_reasons(url: str, gold: Gold, ask: Any) -> None:
    gold("person", {"default": 2})
    result = publish("person", "run-1", url=url)
    assert (result["published"], result["inserted"], result["updated"], result["deleted"]) == (True, 12, 0, 0)
    assert ask("SELECT entity_id, family_name, birth_date::text, do_not_contact FROM gold.person ORDER BY 1") == [
        ("per_default_0", "text", "1980-02-29", True),
        ("per_default_1", "text", "1980-02-29", True),
    ]
    assert ask("SELECT provenance -> 'family_name' ->> 'record_ref' FROM gold.person LIMIT 1") == [("salesforce:contacts:1",)]
    assert (
        len(ask("SELECT source, stream, record_id, confidence, linked_at FROM gold.person_sources WHERE entity_id = 'per_default_0'")) == 2
    )
    why = ask("SELECT why, waterfall -> 0 ->> 'attribute' FROM gold.person_matches LIMIT 1")
    assert why == [("97.0 %: email same (+12.3), city differs (-1.5)", "city")]
    assert len(ask("SELECT * FROM gold.changes")) == 2
    assert ask("SELECT run_id, rows ->> 'party_person', entity FROM gold.publications") == [("run-1", "2", "person")]


def test_numbers_and_times_arrive_as_they_are(url: str, gold: Gold, ask: Any) -> None:
    from decimal import Decimal

    for value in (Decimal("-0.000001"), Decimal("99999999999999.25"), Decimal(0), None):
        gold("organization", annual_revenue=value)
        publish("organization", "run", url=url)
        assert ask("SELECT DISTINCT annual_revenue FROM gold.organization") == [(value,)]
    assert ask("SELECT DISTINCT source_created_at AT TIME ZONE 'UTC' = '2026-01-31 08:15' FROM gold.organization") == [(True,)]


def test_the_same_versions_are_not_published_twice(url: str, gold: Gold, ask: Any) -> None:
    gold("person")
    publish("person", "run-1", url=url)
    before = fingerprints(ask)
    assert publish("person", "run-2", url=url)["published"] is False
    assert fingerprints(ask) == before
    assert ask("SELECT count(*) FROM gold.publications") == [(1,)]


def test_equal_rows_of_a_new_version_are_not_written(url: str, gold: Gold, ask: Any) -> None:
    gold("person")
    publish("person", "run-1", url=url)
    before = fingerprints(ask)
    gold("person")
    again = publish("person", "run-2", url=url)
    assert (again["published"], again["inserted"], again["updated"], again["deleted"]) == (True, 0, 0, 0)
    assert fingerprints(ask) == before


def test_only_differences_are_written(url: str, gold: Gold, ask: Any) -> None:
    gold("person", {"default": 5})
    publish("person", "run-1", url=url)
    gold("person", {"default": 4}, city="Ulm")
    result = publish("person", "run-2", url=url)
    assert result["tables"]["party_person"] == {"rows": 4, "deleted": 1, "updated": 4, "inserted": 0}
    assert result["tables"]["identity_links"] == {"rows": 8, "deleted": 2, "updated": 0, "inserted": 0}
    assert ask("SELECT count(*), min(city) FROM gold.person") == [(4, "Ulm")]


def test_entities_are_published_apart(url: str, gold: Gold, ask: Any) -> None:
    gold("person")
    gold("organization")
    publish("person", "run-1", url=url)
    assert ask("SELECT DISTINCT entity FROM gold.identity_links") == [("person",)]
    publish("organization", "run-2", url=url)
    before = ask("SELECT * FROM gold.organization_sources ORDER BY record_ref")
    gold("person", {"default": 1})
    publish("person", "run-3", url=url)
    assert ask("SELECT * FROM gold.organization_sources ORDER BY record_ref") == before
    assert ask("SELECT count(*) FROM gold.person_sources") == [(2,)]


def test_an_older_version_can_be_named(url: str, gold: Gold, ask: Any) -> None:
    gold("person", {"default": 2})
    older = {name: DeltaTable(table_uri(name)).version() for name in ("gold_party_person", "gold_identity_links")}
    gold("person", {"default": 7})
    result = publish("person", "run-1", url=url, versions=older)
    assert result["versions"]["gold_party_person"] == older["gold_party_person"]
    assert ask("SELECT count(*) FROM gold.person") == [(2,)]


def test_a_new_field_of_an_entity_becomes_a_column(url: str, gold: Gold, ask: Any, entities: Path) -> None:
    gold("person")
    publish("person", "run-1", url=url)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("SET ROLE spine_publisher")
        connection.execute("CREATE VIEW gold.built_on_ours AS SELECT entity_id, city FROM gold.person")
    declared = yaml.safe_load((entities / "person.yaml").read_text())
    declared["version"] = 3
    declared["fields"] = {"nickname": {"description": "What friends say", "since": 3}, **declared["fields"]}
    (entities / "person.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    assert publish("person", "run-2", url=url)["published"] is True
    assert ask("SELECT DISTINCT nickname FROM gold.person") == [(None,)]
    gold("person")
    publish("person", "run-3", url=url)
    assert ask("SELECT DISTINCT nickname FROM gold.person") == [("text",)]
    assert ask("SELECT count(*) FROM gold.built_on_ours") == [(3,)]


def test_a_field_that_goes_or_changes_its_type_is_made_anew(url: str, gold: Gold, ask: Any, entities: Path) -> None:
    gold("organization")
    publish("organization", "run-1", url=url)
    declared = yaml.safe_load((entities / "organization.yaml").read_text())
    del declared["fields"]["industry"]
    declared["fields"]["country"]["type"] = "integer"
    (entities / "organization.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    gold("organization")
    publish("organization", "run-2", url=url)
    columns = dict(ask("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'organization'"))
    assert "industry" not in columns
    assert columns["country"] == "bigint"
    assert ask("SELECT DISTINCT country FROM gold.organization") == [(1,)]


def test_gold_of_another_declaration_is_refused(url: str, gold: Gold, entities: Path) -> None:
    gold("organization")
    declared = yaml.safe_load((entities / "organization.yaml").read_text())
    declared["fields"]["country"]["type"] = "integer"
    (entities / "organization.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    with pytest.raises(Exception, match=r"LAKE_FAILED.*gold_party_organization.country"):
        publish("organization", "run-1", url=url)


def test_every_table_view_and_column_says_what_it_is(url: str, gold: Gold, ask: Any) -> None:
    for entity in ("person", "organization"):
        gold(entity)
        publish(entity, "run", url=url)
    silent = ask("""
        SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'gold'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
          AND c.relname NOT IN ('publication_state', 'tenant_access')
          AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)
    """)
    assert silent == []
    assert "Date of birth" in ask("SELECT col_description('gold.person'::regclass, (SELECT attnum FROM pg_attribute "
                                  "WHERE attrelid = 'gold.person'::regclass AND attname = 'birth_date'))")[0][0]  # fmt: skip


def test_redirects_are_followed_to_the_end(url: str, gold: Gold, ask: Any) -> None:
    gold("person", {"default": 1})
    publish("person", "run", url=url)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("SET ROLE spine_publisher")
        connection.execute("INSERT INTO gold.identity_redirects VALUES ('default', 'person', 'oldest', 'old_per_default_0')")
        connection.execute(
            "INSERT INTO gold.identity_redirects VALUES ('default', 'person', 'l1', 'l2'), ('default', 'person', 'l2', 'l1')"
        )
    assert ask("SELECT gold.current_id('oldest'), gold.current_id('per_default_0'), gold.current_id('nobody')") == [
        ("per_default_0", "per_default_0", None)
    ]
    assert ask("SELECT gold.current_id('l1')") == [(None,)]  # a ring ends, and nobody has those ids


def test_a_resolution_that_was_cut_short_is_not_published(url: str, gold: Gold, ask: Any) -> None:
    from spine.core.entities import load_entity
    from spine.lake import gold as journal

    gold("person", {"default": 2})
    journal.ensure_tables(load_entity("person"))
    entry = journal.Entry(1, "run-1", "staged", {}, "", {}, {})
    journal.write_entry("person", entry)
    with pytest.raises(PublishFailed, match="spine resolve person"):
        publish("person", "run-1", url=url)
    journal.write_entry("person", journal.Entry(**{**vars(entry), "status": "applied"}))
    assert publish("person", "run-1", url=url)["published"] is True


def test_no_gold_yet_says_what_to_run(url: str, lake: str) -> None:
    with pytest.raises(ConfigError, match="spine resolve person"):
        publish("person", "run", url=url)


def test_an_absent_server_is_reported_without_a_password(gold: Gold, tmp_path: Path) -> None:
    gold("person")
    with pytest.raises(ControlPlaneUnavailable) as caught:
        publish("person", "run", url=f"postgresql+psycopg://spine_app:hidden@/spine?host={tmp_path}")
    assert "hidden" not in str(caught.value)


def test_a_key_that_is_there_twice_stops_the_publication(url: str, gold: Gold, ask: Any) -> None:
    from deltalake import write_deltalake

    gold("person")
    publish("person", "run-1", url=url)
    table = DeltaTable(table_uri("gold_party_person"))
    write_deltalake(table, table.to_pyarrow_table().slice(0, 1), mode="append")
    with pytest.raises(PublishFailed, match="holds a key twice") as caught:
        publish("person", "run-2", url=url)
    assert "per_default" not in str(caught.value)
    assert ask("SELECT count(*) FROM gold.person") == [(3,)]


def _publish_in_process(url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = f"from spine.gold.publish import publish; print(publish('person', 'run-2', url={url!r}))"
    return subprocess.run([sys.executable, "-c", code], env={**os.environ, **environment}, text=True, capture_output=True, check=False)


@pytest.mark.parametrize("place", ["publish.after_staging", "publish.before_swap"])
@pytest.mark.parametrize("first", [True, False], ids=["first-publication", "later-publication"])
def test_a_killed_publication_leaves_the_former_one_whole(url: str, gold: Gold, ask: Any, place: str, first: bool) -> None:
    if not first:
        gold("person", {"default": 3})
        publish("person", "run-1", url=url)
        before = ask("SELECT * FROM gold.person ORDER BY 1"), ask("SELECT * FROM gold.person_sources ORDER BY record_ref")
    gold("person", {"default": 6}, city="Ulm")
    killed = _publish_in_process(url, SPINE_FAILPOINT=place)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if first:
        assert ask("SELECT to_regclass('gold.person')") == [(None,)]
    else:
        assert (ask("SELECT * FROM gold.person ORDER BY 1"), ask("SELECT * FROM gold.person_sources ORDER BY record_ref")) == before
    result = publish("person", "run-2", url=url)
    assert result["published"] is True
    assert ask("SELECT count(*), min(city) FROM gold.person") == [(6, "Ulm")]
    assert ask("SELECT relname FROM pg_class WHERE relname LIKE 'staged%'") == []


def test_publications_wait_for_each_other(url: str, gold: Gold, ask: Any) -> None:
    gold("person", {"default": 20})
    gold("organization", {"default": 20})
    results: list[Any] = []

    def run(entity: str, number: int) -> None:
        results.append(publish(entity, f"run-{number}", url=url))

    threads = [threading.Thread(target=run, args=(entity, n)) for n in range(3) for entity in ("person", "organization")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(r["published"] for r in results) == [False] * 4 + [True] * 2
    assert ask("SELECT count(*) FROM gold.person_sources") == ask("SELECT count(*) FROM gold.organization_sources") == [(40,)]
