"""The declared source of a database, through the pipeline: tested, read whole, read by changes, swept."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import orjson
import psycopg
import pytest

from spine.control.airflow_state import ConnectionInfo
from spine.control.variables import MemoryVariables
from spine.core.names import connection_id
from spine.pipeline import closing, extract
from spine.pipeline.probe import probe
from spine.pipeline.services import Services
from spine.pipeline.work import Sync
from spine.sources.spec import load_source
from tests.pipeline.conftest import Spine
from tests.relay import Relay

PROVES = "PostgreSQL itself"
pytestmark = pytest.mark.postgres
COLUMNS = "id int PRIMARY KEY, first_name text, email text, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()"


@pytest.fixture
def shop(database, lake, home, admin_url):
    """A tenant whose database has customers and orders."""
    parts, tenant = urlsplit(admin_url), f"t{uuid4().hex[:10]}"
    folder = Path(parse_qs(parts.query)["host"][0])
    relay = Relay(str(next(path for path in folder.glob(".s.PGSQL.*") if path.suffix != ".lock")))
    name = connection_id("database", tenant)
    info = ConnectionInfo(name, "spine", "127.0.0.1", relay.port, parts.path.strip("/"), "postgres", "secret-of-the-shop")
    with psycopg.connect(admin_url, autocommit=True) as made:
        made.execute(f"DROP TABLE IF EXISTS customers, orders; CREATE TABLE customers ({COLUMNS}); CREATE TABLE orders (LIKE customers)")
        made.execute("INSERT INTO customers SELECT n, 'Ann', 'ann' || n || '@example.com' FROM generate_series(1, 1500) n")
        services = Services(database, MemoryVariables(), {name: info}.__getitem__)
        yield Spine(None, services, lake, [tenant]), made  # type: ignore[arg-type]
    relay.close()


def test_a_table_is_tested_read_and_swept(shop, caplog):
    spine, made = shop
    tested = probe("database", spine.tenants[0], spine.services, "test", ["customers"])
    assert tested.error is None
    assert tested.streams[0].fields == ("created_at", "email", "first_name", "id", "updated_at")
    (first,) = spine.sync("database", "r1", streams=["customers"])
    assert first["rows"] == 1500
    made.execute("UPDATE customers SET email = 'new@example.com', updated_at = now() WHERE id <= 3; DELETE FROM customers WHERE id > 1490")
    (second,) = spine.sync("database", "r2", streams=["customers"])
    assert second["rows"] == 3
    (third,) = spine.sync("database", "r3", streams=["customers"], mode="full")
    assert third["deletes"] == 10
    rows = spine.bronze("database", "customers", ("run_id", "payload"))
    assert {orjson.loads(payload)["email"] for run, payload in rows if run == "r2"} == {"new@example.com"}
    assert "secret-of-the-shop" not in caplog.text


def test_a_table_that_is_not_there_fails_its_stream_alone(shop):
    spine, made = shop
    made.execute("DROP TABLE orders")
    found = {one.stream: one for one in probe("database", spine.tenants[0], spine.services, "test").streams}
    assert found["orders"].error is not None
    assert found["orders"].error.code == "SCHEMA_MISMATCH"
    assert found["customers"].records
    works = extract.plan(Sync("database", "r1", spine.tenants), spine.services)
    assert {work.stream for work in works} == {stream.name for stream in load_source("database").streams}
    closing.finish("database", "r1", spine.tenants, spine.services)
