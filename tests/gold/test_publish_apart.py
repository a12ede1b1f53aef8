"""One tenant whose rows PostgreSQL refuses keeps its former publication; everybody else's new one is that of a run without it."""

from __future__ import annotations

import datetime as dt
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from spine.core.errors import PublishFailed, SpineError, error_from_dict
from spine.gold.publish import publish, publish_each
from spine.lake.paths import table_uri

pytestmark = pytest.mark.postgres
GOOD = ("a-good", "m-good", "z-good")
HOSTILE = "h-hostile"
ALL = dict.fromkeys([*GOOD, HOSTILE], 2)


@pytest.fixture
def seen(admin_url: str) -> Callable[[str], dict[str, list[str]]]:
    """A tenant's published rows by table, without times and runs."""

    def look(tenant: str) -> dict[str, list[str]]:
        found = {}
        with psycopg.connect(admin_url) as connection:
            for table in ("party_person", "identity_links", "identity_matches", "identity_changes", "identity_redirects"):
                query = f"SELECT (to_jsonb(t) - 'run_id')::text FROM gold.{table} AS t WHERE tenant_id = %s ORDER BY 1"
                found[table] = [row[0] for row in connection.execute(query, [tenant])]  # type: ignore[arg-type]
        return found

    return look


def rewritten(table: str, **changed: Any) -> None:
    """The hostile tenant's rows of a Gold table, changed; nobody else's."""
    uri = table_uri(table)
    rows = DeltaTable(uri).to_pyarrow_table().filter(pa.compute.equal(pa.compute.field("tenant_id"), HOSTILE))
    for name, value in changed.items():
        place = rows.schema.get_field_index(name)
        column = value if isinstance(value, pa.Array) else pa.array([value] * rows.num_rows, rows.schema.field(name).type)
        rows = rows.set_column(place, rows.schema.field(name), column)
    write_deltalake(uri, rows, mode="overwrite", predicate=f"tenant_id = '{HOSTILE}'")


def doubled() -> None:
    rows = DeltaTable(table_uri("gold_identity_links")).to_pyarrow_table()
    mine = rows.filter(pa.compute.equal(pa.compute.field("tenant_id"), HOSTILE))
    write_deltalake(table_uri("gold_identity_links"), mine, mode="append")


def damaged() -> None:
    uri = table_uri("gold_party_person")
    for file in DeltaTable(uri).file_uris([("tenant_id", "=", HOSTILE)]):
        path = Path(file.removeprefix("file://"))
        path.write_bytes(b"PAR1" + os.urandom(64))


# How the hostile tenant's Gold is made worse, and what it is told.
POISON: dict[str, tuple[Callable[[], None], type[SpineError], str]] = {
    "a key beyond what an index holds": (
        lambda: rewritten("gold_identity_links", record_ref=pa.array([f"s:c:{secrets.token_hex(9000)}" for _ in range(4)])),
        PublishFailed, "54000",
    ),
    "a key twice": (doubled, PublishFailed, "23505"),
    "U+0000 in a text": (lambda: rewritten("gold_party_person", family_name="a\x00b"), PublishFailed, "22021"),
    "U+0000 in JSON": (lambda: rewritten("gold_party_person", provenance='{"a": "\\u0000"}'), PublishFailed, "22P05"),
    "what is no JSON": (lambda: rewritten("gold_identity_matches", waterfall="[{"), PublishFailed, "22P02"),
    "no id": (lambda: rewritten("gold_identity_links", entity_id=None, record_ref=None), PublishFailed, "23502"),
    "a file that is no Parquet": (damaged, PublishFailed, ""),
}  # fmt: skip


@pytest.mark.parametrize("what", POISON)
def test_everybody_else_is_published(url: str, gold: Callable[..., None], seen: Any, what: str) -> None:
    poison, kind, state = POISON[what]
    gold("person", ALL)
    publish("person", "r1", url=url)
    former = seen(HOSTILE)
    gold("person", ALL, given_name="New", updated_at=dt.datetime(2026, 2, 1, tzinfo=dt.UTC))
    poison()
    result = publish_each("person", "r2", url=url)
    (error,) = [error_from_dict(found) for found in result["failures"]]
    assert isinstance(error, kind)
    assert error.where["tenant"] == HOSTILE
    assert error.where.get("sqlstate", "") == state
    assert result["tables"]["party_person"]["updated"] == 2 * len(GOOD)
    assert seen(HOSTILE) == former
    after = {tenant: seen(tenant) for tenant in GOOD}
    assert all('"given_name": "New"' in row for tenant in GOOD for row in after[tenant]["party_person"])
    with pytest.raises(kind):  # and it is said again until it is mended, though nothing is new
        publish("person", "r3", url=url)
    gold("person", {tenant: 2 for tenant in GOOD}, given_name="New", updated_at=dt.datetime(2026, 2, 1, tzinfo=dt.UTC))
    publish("person", "r4", url=url)
    assert {tenant: seen(tenant) for tenant in GOOD} == after, "as a run alone"
    assert seen(HOSTILE)["party_person"] == [], "and whoever has left Gold leaves the publication"


def test_a_first_publication_makes_tables_for_the_others(url: str, gold: Callable[..., None], seen: Any) -> None:
    gold("person", ALL)
    rewritten("gold_party_person", family_name="a\x00b")
    result = publish_each("person", "r1", url=url)
    assert [error_from_dict(found).where["tenant"] for found in result["failures"]] == [HOSTILE]
    assert [len(seen(tenant)["party_person"]) for tenant in (*GOOD, HOSTILE)] == [2, 2, 2, 0]


def test_what_fails_for_all_is_raised_and_changes_nothing(url: str, gold: Callable[..., None], seen: Any) -> None:
    gold("person", {HOSTILE: 2})
    publish("person", "r1", url=url)
    former = seen(HOSTILE)
    rewritten("gold_party_person", family_name="a\x00b")
    with pytest.raises(PublishFailed) as caught:
        publish_each("person", "r2", url=url)
    assert caught.value.where["sqlstate"] == "22021"
    assert seen(HOSTILE) == former
