"""History mode: every version of a record with the time it was valid, beside a Silver table that is what it is without."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from spine.core.errors import ConfigError
from spine.core.settings import PROJECT
from spine.lake import amounts
from spine.lake.paths import table_uri
from spine.pipeline import quarantine
from spine.pipeline.normalize import normalize
from spine.sources.spec import load_source

pytestmark = [pytest.mark.spark, pytest.mark.slow]
DAY = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
JOB = PROJECT / "spark_jobs" / "normalize.py"
Bronze = Callable[..., None]
PERSON = {"entity": "person", "mapping": {"fields": {"family_name": "name", "email": {"from": "mail", "transform": "email"}}}}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> Callable[..., None]:
    """Declares a source `shop` with the stream `orders`, whose history is kept."""
    folder = tmp_path / "sources"
    folder.mkdir()
    monkeypatch.setenv("SPINE_SOURCES", str(folder))

    def declare(**words: Any) -> None:
        stream = {"name": "orders", "key": ["id"], "history": True, **words}
        content = {"source": "shop", "label": "Shop", "domain": "finops", "streams": [stream]}
        (folder / "shop.yaml").write_text(json.dumps(content))
        os.utime(folder / "shop.yaml", ns=(0, random.randrange(10**15)))

    declare()
    return declare


def at(hour: int) -> dt.datetime:
    return DAY + dt.timedelta(hours=hour)


def order(record: str, changed: int | None, seen: int, *, op: str = "upsert", tenant: str = "acme", **fields: Any) -> dict[str, Any]:
    """A version of a record, changed at an hour at the source and read at another."""
    return {
        "tenant_id": tenant, "record_id": record, "emitted_at": at(seen), "op": op, "payload": fields,
        "cursor": None if changed is None else f"{at(changed):%Y-%m-%dT%H:%M:%S.%fZ}",
    }  # fmt: skip


def history(*columns: str, record: str | None = None) -> list[tuple[Any, ...]]:
    rows = DeltaTable(table_uri("shop_orders_history")).to_pyarrow_table().to_pylist()
    found = sorted((row for row in rows if record in (None, row["record_id"])), key=lambda row: (row["record_id"], row["_valid_from"]))
    return [tuple(_hour(row[name]) if name.startswith("_valid") else row[name] for name in columns) for row in found]


def _hour(moment: dt.datetime | None) -> int | None:
    return None if moment is None else round((moment - DAY) / dt.timedelta(hours=1))


def run(spark: Any, number: int, **options: Any) -> Any:
    (found,) = normalize(spark, "shop", f"run{number}", **options).entities.values()
    return found


@pytest.mark.parametrize("few_rows", [0, amounts.FEW_ROWS], ids=["Spark", "delta-rs"])
def test_each_version_has_its_time_and_silver_is_what_it_was(
    spark: Any, bronze: Bronze, shop: Any, monkeypatch: pytest.MonkeyPatch, few_rows: int
) -> None:
    monkeypatch.setattr(amounts, "FEW_ROWS", few_rows)
    bronze("shop", "orders", [order("1", 1, 2, id=1, total=3), order("2", 1, 2, id=2, total=3)])
    run(spark, 1)
    bronze("shop", "orders", [order("1", 5, 6, id=1, total=4), order("1", 7, 8, id=1, total=5.5), order("2", 1, 8, op="delete")])
    run(spark, 2)
    spoken = ("record_id", "total", "is_deleted", "_valid_from", "_valid_to", "_is_current")
    wanted = [
        ("1", 3.0, False, 1, 5, False), ("1", 4.0, False, 5, 7, False), ("1", 5.5, False, 7, None, True),
        ("2", 3.0, False, 1, 8, False), ("2", 3.0, True, 8, None, True),
    ]  # fmt: skip
    assert history(*spoken) == wanted
    plain = DeltaTable(table_uri("shop_orders")).to_pyarrow_table().sort_by("record_id").to_pylist()
    assert [(row["record_id"], row["total"], row["is_deleted"]) for row in plain] == [("1", 5.5, False), ("2", 3.0, True)]
    assert not {name for name in plain[0] if name.startswith("_")}

    # A late version takes its place; the same one twice, or one that says the same, is none; what comes back lives again.
    bronze("shop", "orders", [order("1", 6, 9, id=1, total=9), order("1", 7, 9, id=1, total=5.5), order("2", 1, 9, id=2, total=3)])
    run(spark, 3)
    wanted[1:2] = [("1", 4.0, False, 5, 6, False), ("1", 9.0, False, 6, 7, False)]
    wanted[-1:] = [("2", 3.0, True, 8, 9, False), ("2", 3.0, False, 9, None, True)]
    assert history(*spoken) == wanted

    # Nothing new: nothing is written. Everything once more: it is the same.
    version = DeltaTable(table_uri("shop_orders_history")).version()
    run(spark, 4)
    run(spark, 5, renormalize=True)
    assert (DeltaTable(table_uri("shop_orders_history")).version(), history(*spoken)) == (version, wanted)


def expected(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The history that versions of records make, told without a frame."""
    found: list[tuple[Any, ...]] = []
    for record in sorted({row["record_id"] for row in rows}):
        versions: list[dict[str, Any]] = []
        total, said = None, None
        for row in sorted((row for row in rows if row["record_id"] == record), key=lambda row: (row["cursor"] or "", row["emitted_at"])):
            total = row["payload"].get("total", total)
            if (total, row["op"]) != said:
                said = (total, row["op"])
                first = not versions or versions[-1]["cursor"] != row["cursor"]
                changed = dt.datetime.fromisoformat(row["cursor"]) if row["cursor"] else None
                moment = changed if first and changed else max(row["emitted_at"], changed or row["emitted_at"])
                versions.append({"cursor": row["cursor"], "total": total, "deleted": row["op"] == "delete", "from": moment})
        ends = [None, *[version["from"] for version in versions[::-1]]]
        for number, version in enumerate(reversed(versions)):
            least = min(end for end in ends[: number + 2] if end is not None)
            after = None if number == 0 else min(end for end in ends[1 : number + 1] if end is not None)
            found.append((record, version["total"], version["deleted"], _hour(least), _hour(after), after is None))
    return sorted(found, key=repr)


def test_in_whatever_order_and_parts_versions_come_the_history_is_one(spark: Any, bronze: Bronze, shop: Any) -> None:
    """Random stories of records: late, doubled, deleted and revived ones, cut anywhere into runs, and judged anew at the end.

    Without that a late version comes after one that said the same as its former and was none: neither Silver nor a history knows of it.
    """
    chance = random.Random(5)
    rows = []
    for seen in range(40):
        changed = chance.choice([None, seen, seen - chance.randrange(9), seen - chance.randrange(9)])
        record = chance.choice("abcd")
        if chance.random() < 0.2:
            rows.append(order(record, changed, seen, op="delete"))
        else:
            rows.append(order(record, changed, seen, id=record, total=chance.randrange(3)))
    shuffled = chance.sample(rows, len(rows))
    for number, start in enumerate(range(0, 40, 10)):
        bronze("shop", "orders", shuffled[start : start + 10])
        run(spark, number)
    run(spark, 9, renormalize=True)
    spoken = ("record_id", "total", "is_deleted", "_valid_from", "_valid_to", "_is_current")
    assert sorted(history(*spoken), key=repr) == expected(rows)
    current = {(row[0], row[2]) for row in history(*spoken) if row[5]}
    silver = DeltaTable(table_uri("shop_orders")).to_pyarrow_table().to_pylist()
    assert current == {(row["record_id"], row["is_deleted"]) for row in silver}


def test_of_an_entity_with_a_change_of_its_mapping_and_a_row_from_quarantine(spark: Any, bronze: Bronze, shop: Any) -> None:
    shop(**PERSON)
    bronze("shop", "orders", [order("1", 1, 2, id=1, name="Lee", mail="a@b.org"), order("1", 3, 4, id=1, name="Lee", mail="nobody")])
    assert run(spark, 1).quarantined == 1
    bronze("shop", "orders", [order("1", 5, 6, id=1, name="Roe", mail="a@b.org", city="Rome")])
    run(spark, 2)
    assert history("family_name", "_valid_from", "_valid_to") == [("Lee", 1, 5), ("Roe", 5, None)]
    custom = [json.loads(row[0]) for row in history("custom_fields")]
    assert custom == [{"id": 1}, {"id": 1, "city": "Rome"}]

    # The mapping no longer takes the address that could not be read: replayed, that version has its place among the others. It differs by
    # the address, which is kept as it came.
    fields = {"family_name": "name", "city": "city"}
    shop(entity="person", mapping={"version": 2, "fields": fields})
    assert quarantine.replay(spark, "shop", "person", None, "again").to_json()["still_open"] == 0
    run(spark, 3, renormalize=True)
    spoken = ("family_name", "email", "city", "mapping_version", "_valid_from", "_valid_to")
    assert history(*spoken) == [("Lee", None, None, 2, 1, 3), ("Lee", None, None, 2, 3, 5), ("Roe", None, "Rome", 2, 5, None)]


def test_turned_on_later_it_begins_with_what_silver_has(spark: Any, bronze: Bronze, shop: Any) -> None:
    shop(history=False)
    bronze("shop", "orders", [order("1", 1, 2, id=1, total=3), order("2", 1, 2, id=2, total=3), order("2", 2, 2, tenant="north", id=2)])
    run(spark, 1)
    shop()
    bronze("shop", "orders", [order("1", 5, 6, id=1, total="x"), order("2", 5, 6, id=2, total=3, note="new")])
    run(spark, 2, tenants=["acme"])
    spoken = ("tenant_id", "record_id", "total", "note", "_valid_from", "_valid_to")
    wanted = [
        ("acme", "1", "3", None, 1, 5), ("acme", "1", "x", None, 5, None), ("acme", "2", "3", None, 1, 5),
        ("acme", "2", "3", "new", 5, None), ("north", "2", None, None, 2, None),
    ]  # fmt: skip
    assert sorted(history(*spoken), key=lambda row: (row[0], row[1], row[4])) == wanted


def test_a_filter_ends_a_version_and_what_it_never_let_pass_has_none(spark: Any, bronze: Bronze, shop: Any) -> None:
    shop(**PERSON | {"mapping": {**PERSON["mapping"], "filters": [{"field": "kind", "one_of": ["customer"]}]}})
    bronze("shop", "orders", [
        order("1", 1, 2, id=1, name="Lee", kind="customer"), order("2", 1, 2, id=2, name="Roe", kind="lead"),
        order("1", 3, 4, id=1, name="Lee", kind="lead"), order("2", 3, 4, id=2, name="Roe", kind="customer"),
    ])  # fmt: skip
    run(spark, 1)
    spoken = ("record_id", "family_name", "is_deleted", "_valid_from", "_valid_to")
    assert history(*spoken) == [("1", "Lee", False, 1, 3), ("1", "Lee", True, 3, None), ("2", "Roe", False, 3, None)]


def test_killed_between_history_and_silver_it_is_as_if_nothing_had_happened(
    spark: Any, run_program: Any, bronze: Bronze, shop: Any
) -> None:
    bronze("shop", "orders", [order("1", 1, 2, id=1, total=3)])
    run(spark, 1)
    bronze("shop", "orders", [order("1", 5, 6, id=1, total=4), order("2", 5, 6, id=2, total=4)])
    options = ("--source", "shop", "--run-id", "run2")
    assert run_program(JOB, *options, env=os.environ | {"SPINE_FAILPOINT": "normalize.after_history"}).returncode == -signal.SIGKILL
    spoken = ("record_id", "total", "_valid_from", "_valid_to")
    wanted = [("1", 3, 1, 5), ("1", 4, 5, None), ("2", 4, 5, None)]
    assert history(*spoken) == wanted
    assert DeltaTable(table_uri("shop_orders")).to_pyarrow_table().column("total").to_pylist() == [3]
    run(spark, 2)
    assert history(*spoken) == wanted
    assert sorted(DeltaTable(table_uri("shop_orders")).to_pyarrow_table().column("total").to_pylist()) == [4, 4]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"key": "hash"}, "a changed record is another one"),
        ({"deletes": {"detect": "flag", "field": "gone", "mode": "hard_delete"}}, "keeps what `hard_delete` takes away"),
    ],
)
def test_a_history_that_cannot_be_is_refused(shop: Any, words: dict[str, Any], why: str) -> None:
    shop(**words)
    with pytest.raises(ConfigError, match=why):
        load_source("shop")
