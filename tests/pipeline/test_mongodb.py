"""The declared source of MongoDB, through the pipeline: tested, read whole, read by changes, swept, killed behind each commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest
from bson import ObjectId
from pymongo import MongoClient

from spine.control.airflow_state import ConnectionInfo
from spine.control.variables import MemoryVariables
from spine.core import clock
from spine.core.names import connection_id
from spine.pipeline.probe import probe
from spine.pipeline.services import Services
from tests.pipeline.conftest import Spine
from tests.pipeline.killing import Process
from tests.servers.conftest import SERVERS, free_ports, started, stopped

PROVES = "mongo-java-server, an emulator by others"
pytestmark = [pytest.mark.postgres, pytest.mark.slow]
START = clock.parse("2026-01-01T00:00:00Z")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    if not (SERVERS / "lib.sh").exists():
        pytest.skip("SPINE_SERVERS names no folder with the servers' start scripts")
    port, process = started("start_mongo.sh", str(free_ports(1)))
    yield port
    stopped(process)


@pytest.fixture
def shop(port: int) -> Iterator[Any]:
    """A database with 1500 customers, whose ids are of several types and whose cursors have no order."""
    with MongoClient("127.0.0.1", port) as client:
        client.drop_database("shop")
        client["shop"]["customers"].insert_many([
            {
                "_id": number if number % 3 == 0 else f"c{number}" if number % 3 == 1 else ObjectId(f"{number:024x}"),
                "number": number, "name": {"first": "Ann", "last": f"Né {number}"}, "contact": {"email": f"ann{number}@example.com"},
                "updated_at": START + timedelta(minutes=number * 7 % 1500), "note": "x" * 500,
            }
            for number in range(1500)
        ])  # fmt: skip
        yield client["shop"]


def test_a_collection_is_tested_read_and_swept(port, shop, database, lake, home):
    tenant = f"t{uuid4().hex[:10]}"
    info = ConnectionInfo(connection_id("mongodb", tenant), "mongo", "127.0.0.1", port, "shop", extra={"auth": "nobody"})
    spine = Spine(None, Services(database, MemoryVariables(), {info.conn_id: info}.__getitem__), lake, [tenant])  # type: ignore[arg-type]
    tested = probe("mongodb", tenant, spine.services, "test", ["customers"])
    assert (tested.error, tested.streams[0].fields[0]) == (None, "_id")
    assert spine.sync("mongodb", "r1", streams=["customers"])[0]["rows"] == 1500
    shop["customers"].update_many({"number": {"$lt": 5}}, {"$set": {"updated_at": clock.now(), "contact.email": "new@example.com"}})
    assert spine.sync("mongodb", "r2", streams=["customers"])[0]["rows"] == 5
    shop["customers"].delete_many({"number": {"$gte": 1490}})
    assert spine.sync("mongodb", "r3", streams=["customers"], mode="full")[0]["deletes"] == 10
    rows = spine.bronze("mongodb", "customers", ("run_id", "payload"))
    assert {orjson.loads(payload)["contact"]["email"] for run, payload in rows if run == "r2"} == {"new@example.com"}


def test_a_collection_killed_behind_each_commit_ends_as_the_undisturbed_run(run_program, port, shop, database, lake, tmp_path):
    account = {"host": "127.0.0.1", "port": port, "schema": "shop", "extra": {"auth": "nobody"}}
    small = {"SPINE_FLUSH_BYTES": "150000", "SYNC_BATCH_SIZE": "200"}
    calm, rough = (Process(run_program, database, tmp_path / name, "mongodb.customers", account, **small) for name in ("calm", "rough"))
    kills = 0
    for run_id, mode in (("r1", "full"), ("r2", "incremental"), ("r3", "full")):
        assert calm.run(run_id, mode) == 0
        kills += rough.killed(run_id, mode)
        assert rough.rows() == calm.rows(), run_id
        if run_id == "r1":
            shop["customers"].update_many({"number": {"$mod": [2, 0]}}, {"$set": {"updated_at": START + timedelta(days=30)}})
        else:
            shop["customers"].delete_many({"number": {"$gte": 1300}})
    assert set(rough.rows().values()) == {1}
    assert kills >= 9
    counts = Counter((row[4], row[1]) for row in rough.rows())
    assert counts == {("r1", "upsert"): 1500, ("r2", "upsert"): 750, ("r3", "upsert"): 1300, ("r3", "delete"): 200}
