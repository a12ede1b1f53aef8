"""Mode resync: a stream is read anew beside its rows, which stay readable until the new ones take their place at once."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import orjson
import pytest
from deltalake import DeltaTable

from spine.core.errors import ConfigError, DeleteSweepRefused, SourceUnavailable
from spine.lake import amounts
from spine.lake.generations import swaps
from spine.lake.paths import table_uri
from spine.pipeline.normalize import normalize
from tests.pipeline.test_parts import ACCOUNTS, PROGRAM, Shop, Vendor, vendor

pytestmark = [pytest.mark.slow, pytest.mark.spark]
__all__ = ["vendor"]
STREAM = {name: value for name, value in ACCOUNTS.items() if name != "deletes"}


@pytest.fixture
def shop(vendor: tuple[Vendor, str], tmp_path: Path, database: Any, lake: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    folder = tmp_path / "sources"
    folder.mkdir()
    monkeypatch.setenv("SPINE_SOURCES", str(folder))
    found = Shop(*vendor, folder, database)
    found.declare(STREAM, retry={"max_retries": 0})
    return found


def sync(shop: Shop, run: str, **options: Any) -> dict[str, Any]:
    return shop.sync(run, "accounts", **options)


def put(shop: Shop, **days: int) -> None:
    """The accounts that the vendor has, each with the day of its change; they say how often they were put."""
    shop.vendor.puts = getattr(shop.vendor, "puts", 0) + 1  # type: ignore[attr-defined]
    shop.vendor.rows["/accounts"] = [
        {"id": name, "at": f"2026-01-{day:02d}T00:00:00Z", "put": shop.vendor.puts} for name, day in days.items()  # type: ignore[attr-defined]
    ]  # fmt: skip


def bronze() -> int:
    uri = table_uri("raw_shop_accounts")
    return DeltaTable(uri).to_pyarrow_table().num_rows if DeltaTable.is_deltatable(uri) else 0


def silver(spark: Any) -> dict[str, Any]:
    """Each account's put, `gone` if it is marked as deleted."""
    normalize(spark, "shop", "n")
    rows = DeltaTable(table_uri("shop_accounts")).to_pyarrow_table().to_pylist()
    return {row["record_id"]: "gone" if row["is_deleted"] else row["put"] for row in rows}


@pytest.mark.parametrize("few_rows", [0, amounts.FEW_ROWS], ids=["Spark", "delta-rs"])
def test_new_rows_take_the_place_of_all_that_was_there(spark: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch, few_rows: int) -> None:
    monkeypatch.setattr(amounts, "FEW_ROWS", few_rows)
    put(shop, a=5, b=6, c=7, d=8)
    sync(shop, "r1")
    assert silver(spark) == {"a": 1, "b": 1, "c": 1, "d": 1}
    # The vendor has restored a backup: some records are older than we know them, some are gone, and an ordinary full read does not see it.
    put(shop, a=2, b=6, e=1)
    sync(shop, "r2", mode="full")
    assert silver(spark) == {"a": 1, "b": 2, "c": 1, "d": 1, "e": 2}
    done = sync(shop, "r3", mode="resync")
    assert (done["rows"], done["deletes"]) == (5, 2)
    assert silver(spark) == {"a": 2, "b": 2, "c": "gone", "d": "gone", "e": 2}
    assert list(swaps(table_uri("raw_shop_accounts"))) == [shop.connection]
    assert not [path for path in Path(table_uri("_next")).rglob("*") if path.is_file()]
    # What comes later is newer than what came with it, and older than that is old again.
    put(shop, a=9, b=1)
    sync(shop, "r4")
    assert silver(spark) == {"a": 3, "b": 2, "c": "gone", "d": "gone", "e": 2}
    normalize(spark, "shop", "again", renormalize=True)
    assert silver(spark) == {"a": 3, "b": 2, "c": "gone", "d": "gone", "e": 2}


def test_until_it_is_whole_nobody_sees_it_and_a_failed_one_goes_on(spark: Any, shop: Shop) -> None:
    put(shop, a=5, b=6, c=7, d=8)
    sync(shop, "r1")
    before = (bronze(), silver(spark))
    put(shop, a=2, b=2, c=2, d=2, e=2)
    answer = shop.vendor.answer

    def failing(path: str, query: dict[str, str]) -> tuple[int, Any]:
        return (503, {}) if query.get("skip") == "4" else answer(path, query)

    shop.vendor.answer = failing  # type: ignore[method-assign]
    with pytest.raises(SourceUnavailable):
        sync(shop, "r2", mode="resync")
    assert (bronze(), silver(spark)) == before
    # An ordinary run meanwhile adds to what is there.
    shop.vendor.answer = answer  # type: ignore[method-assign]
    put(shop, a=2, b=2, c=2, d=2, f=9)
    sync(shop, "r3")
    assert silver(spark) == {"a": 1, "b": 1, "c": 1, "d": 1, "f": 3}
    sync(shop, "r4", mode="resync")
    assert silver(spark) == dict.fromkeys("abcdf", 3)


@pytest.mark.parametrize(
    "failpoint",
    ["extract.after_page_commit:1", "extract.after_page_commit:3", "resync.before_swap", "resync.after_swap", "extract.before_cursor"],
)
def test_killed_it_leaves_the_former_rows_or_has_swapped_them(
    spark: Any, shop: Shop, tmp_path: Path, run_program: Any, control_url: str, failpoint: str
) -> None:
    put(shop, a=5, b=6, c=7, d=8)
    sync(shop, "r1")
    put(shop, a=2, b=2, c=2, e=2, f=2)
    order = {
        "folder": str(tmp_path), "connections": shop.connections, "database": control_url, "source": "shop", "run_id": "r2",
        "tenant": shop.tenant, "stream": "accounts", "mode": "resync",
    }  # fmt: skip
    path = tmp_path / "order.json"
    path.write_bytes(orjson.dumps(order))
    environment = os.environ | {"SPINE_FLUSH_BYTES": "1"}
    assert run_program(PROGRAM, str(path), env=environment | {"SPINE_FAILPOINT": failpoint}).returncode == -signal.SIGKILL
    swapped = failpoint in ("resync.after_swap", "extract.before_cursor")
    assert bronze() == (4 + 6 if swapped else 4)
    done = run_program(PROGRAM, str(path), env=environment)
    assert done.returncode == 0, done.stderr
    assert bronze() == 4 + 6  # five that are there, one that is gone; nothing twice
    assert silver(spark) == {"a": 2, "b": 2, "c": 2, "d": "gone", "e": 2, "f": 2}


def test_a_source_without_a_record_replaces_nothing(spark: Any, shop: Shop) -> None:
    put(shop, a=5)
    sync(shop, "r1")
    silver(spark)
    shop.vendor.rows["/accounts"] = []
    with pytest.raises(DeleteSweepRefused, match="no record at all, and 1 are known"):
        sync(shop, "r2", mode="resync")
    assert silver(spark) == {"a": 1}
    with pytest.raises(ConfigError, match="an interval has no meaning"):
        sync(shop, "r3", mode="resync", interval_start=_day(1), interval_end=_day(2))


def _day(number: int) -> Any:
    import datetime as dt

    return dt.datetime(2026, 1, number, tzinfo=dt.UTC)
