"""Many sources and tenants at once in one process, over real sockets: nobody waits for anybody else. Counted, not timed."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from deltalake import DeltaTable

from spine.control.airflow_state import ConnectionInfo
from spine.control.database import Database
from spine.control.variables import MemoryVariables
from spine.core.errors import RateLimited
from spine.core.names import connection_id
from spine.pipeline import closing, extract
from spine.pipeline.services import Services
from spine.pipeline.work import StreamWork, Sync
from tests.http.conftest import Answer, make_vendor

pytestmark = pytest.mark.postgres
__all__ = ["make_vendor"]
PAGES = 3
SPEC = """\
source: {name}
label: Toys
domain: revops
auth: {{type: bearer}}
streams:
  - name: things
    path: /{name}
    records: items
    key: [id]
    paging: {{type: next_token, next: next, param: after}}
"""


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[str]]:
    """Declares so many sources; their names."""

    def make(count: int) -> list[str]:
        names = [f"toys{number}" for number in range(count)]
        for name in names:
            (tmp_path / f"{name}.yaml").write_text(SPEC.format(name=name))
        monkeypatch.setenv("SPINE_SOURCES", str(tmp_path))
        return names

    return make


def page(seen: Any) -> Answer:
    number = int(seen.query.get("after", 0))
    items = [{"id": f"{seen.path}-{number}-{one}"} for one in range(2)]
    return Answer(json={"items": items, "next": str(number + 1) if number + 1 < PAGES else None})


def planned(names: list[str], tenants: list[str], url: str, database: Database) -> tuple[list[StreamWork], Services]:
    connections = {
        connection_id(name, tenant): ConnectionInfo(name, host=url, password=tenant) for name in names for tenant in tenants
    }  # fmt: skip
    services = Services(database, MemoryVariables(), connections.__getitem__)
    return [work for name in names for work in extract.plan(Sync(name, "r1", tenants), services)], services


def test_nine_sources_are_all_asked_at_once(declared, make_vendor, database, lake):
    """A vendor answers when all nine wait for it: if anything in this process let one wait for another, none would ever be answered."""
    together = threading.Barrier(9)

    def told(seen: Any, number: int) -> Answer:
        together.wait(60)
        return page(seen)

    vendor, tenant = make_vendor(told), f"t{uuid4().hex[:10]}"
    works, services = planned(declared(9), [tenant], vendor.url, database)
    with ThreadPoolExecutor(9) as threads:
        rows = list(threads.map(lambda work: extract.extract(work, services).counts.rows, works))
    assert rows == [PAGES * 2] * 9
    assert Counter(seen.path for seen in vendor.seen) == {f"/toys{number}": PAGES for number in range(9)}


@pytest.mark.parametrize(("headers", "count"), [({"Retry-After": "3600"}, 25), ({}, 4)], ids=["until when", "without a word"])
def test_a_tenant_whose_vendor_only_limits_it_slows_no_other(declared, make_vendor, database, lake, headers, count):
    tenants = [f"{letter}{uuid4().hex[:10]}" for letter in "abcd"]
    *good, limited = tenants

    def told(seen: Any, number: int) -> Answer:
        return Answer(429, headers=headers) if seen.headers["authorization"] == f"Bearer {limited}" else page(seen)

    vendor, names = make_vendor(told), declared(count)
    works, services = planned(names, tenants, vendor.url, database)
    slept: dict[str, list[float]] = defaultdict(list)
    refused: list[str] = []

    def read(work: StreamWork) -> None:
        try:
            extract.extract(work, replace(services, sleep=slept[work.tenant].append))
        except RateLimited:
            refused.append(work.tenant)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(read, works))
    asked = Counter((seen.path, seen.headers["authorization"].removeprefix("Bearer ")) for seen in vendor.seen)
    assert all(not slept[tenant] for tenant in good), "nobody else has waited"
    assert {asked[f"/{name}", tenant] for name in names for tenant in good} == {PAGES}
    assert refused == [limited] * len(names)
    if headers:
        assert not slept[limited], "its tasks end, and come back then, in place of holding their slots"
        calls = [asked[f"/{name}", limited] for name in names]
        assert max(calls) == 1
        assert sum(calls) <= 8, "the account is left alone once it is known; a call of each slot may be on its way by then"
    for name in names:
        closed = closing.finish(name, "r1", tenants, services)
        assert [closed.tenants[tenant].status for tenant in tenants] == ["success", "success", "success", "failed"]
        rows = Counter(DeltaTable(f"{lake}/raw_{name}_things").to_pyarrow_table(columns=["tenant_id"])["tenant_id"].to_pylist())
        assert rows == dict.fromkeys(good, PAGES * 2)
