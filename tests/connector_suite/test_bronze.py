"""Every source into Bronze and on: a late record, a delete, drift of each kind; and no secret in the lake, the state or the log.

On one stream of each source: the one that tells of deletes, if it has one. No JVM.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from deltalake import DeltaTable

from spine.control import drift
from spine.control.airflow_state import ConnectionInfo
from spine.control.variables import MemoryVariables
from spine.core import clock
from spine.core.declarations import load_declaration
from spine.core.masking import forms
from spine.core.names import bronze_table, connection_id
from spine.lake.paths import table_uri
from spine.pipeline import closing, extract
from spine.pipeline.services import Services
from spine.pipeline.work import Sync
from spine.sandbox.vendor import NotCovered, Vendor, VendorServer
from spine.sources.spec import Source, Stream
from tests.connector_suite.bench import environment
from tests.connector_suite.test_sources import OURS, SMALL

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def chosen(source: Source) -> Stream | None:
    """The stream that is tried: of those whose answers are whole documents, the one that tells most."""
    fit = [
        stream for stream in source.streams
        if not (stream.parent or stream.partitions or stream.job or stream.paging.short or stream.field_list or stream.later)
        and stream.response.type == "json" and isinstance(stream.key, tuple) and not stream.map_key and not stream.columns
        and not stream.found and not (stream.cursor and (stream.cursor.windows or stream.cursor.type == "number"))
    ]  # fmt: skip
    return max(fit, key=lambda stream: (stream.deletes.detect != "none", stream.cursor is not None), default=None)


def made() -> list[Any]:
    """Sources and their stream."""
    found = []
    for path in (*OURS, *SMALL):
        source = load_declaration(path, Source)
        stream = chosen(source) if source.kind == "generic" and source.reader is None else None
        if stream is not None:
            found.append(pytest.param(path, source, stream, id=f"{source.source}.{stream.name}"))
    return found


class Syncing:
    """Runs of one stream, with the vendor that they ask."""

    def __init__(self, database: Any, source: Source, stream: Stream) -> None:
        self.source, self.stream, self.tenant = source, stream, f"t{uuid4().hex[:10]}"
        self.vendor = Vendor(source, count=24, few=24, size=10)
        self.vendor.expect(stream.name)
        holder, self.name = self.vendor.holder, connection_id(source.source, self.tenant)
        extra = dict(holder.extra)
        info = ConnectionInfo(self.name, "generic", self.vendor.base, login=holder.login, password=holder.password, extra=extra)
        self.variables = MemoryVariables()
        self.services = Services(database, self.variables, {self.name: info}.__getitem__, lambda seconds: None)

    def run(self, run_id: str, mode: str = "incremental") -> list[dict[str, Any]]:
        for work in extract.plan(Sync(self.source.source, run_id, [self.tenant], [self.stream.name], mode), self.services):
            extract.extract(work, self.services)
        closing.finish(self.source.source, run_id, [self.tenant], self.services)
        assert self.vendor.fault() == ""
        rows = DeltaTable(table_uri(bronze_table(self.source.source, self.stream.name))).to_pyarrow_table().to_pylist()
        return [row for row in rows if row["run_id"] == run_id]


@pytest.mark.parametrize(("path", "source", "stream"), made())
def test_what_happens_at_a_source_is_in_bronze(path, source, stream, database, lake, home, monkeypatch, caplog):
    monkeypatch.setenv("SPINE_SOURCES", str(path.parent))
    caplog.set_level(logging.DEBUG)
    syncing = Syncing(database, source, stream)
    vendor, table = syncing.vendor, syncing.vendor.tables[stream.name]
    vendor.change = lambda of, record: {**record, "flip": 1}
    with VendorServer(vendor) as server, environment(SPINE_PROXY=server.proxy, REQUESTS_CA_BUNDLE=server.bundle):
        try:
            first = syncing.run("r1", "full")
        except Exception as error:
            if vendor.lacks:
                pytest.skip(str(NotCovered(vendor.lacks[0])))
            raise error
        assert len({row["record_id"] for row in first}) == 24
        assert {row["op"] for row in first} == {"upsert"}

        (scope,) = table.rows
        late = table.add(vendor.now - stream.cursor.lookback / 2 if stream.cursor else vendor.now, scope)
        gone = table.rows[scope][3]
        if stream.deletes.detect == "flag":
            table.flag(gone, clock.now().replace(microsecond=0))
        elif stream.deletes.detect == "sweep":
            table.drop(gone)
        second = syncing.run("r2", "full" if stream.deletes.detect == "sweep" else "incremental")
        assert any(late.name in row["payload"] for row in second), "the late record is lost"
        if stream.deletes.detect in ("flag", "sweep") and not stream.compute:
            assert [gone.name in row["record_id"] for row in second if row["op"] == "delete"] == [True]

        vendor.change = lambda of, record: {
            **{key: value for key, value in record.items() if key != "note"},
            "flip": "text",
            "brand_new": 1,
        }
        syncing.run("r3", "full")
    told = " ".join(record.getMessage() for record in caplog.records)
    changes = {(seen.drift.kind, seen.drift.field) for seen in drift.recent(database.of(syncing.tenant)) if seen.run_id == "r3"}
    assert {("added", "brand_new"), ("removed", "note"), ("retyped", "flip")} <= changes
    kept = "".join(syncing.variables.get(name) or "" for name in syncing.variables.keys(""))
    lake_text = "".join(file.read_bytes().decode("utf-8", "replace") for file in Path(lake).rglob("*.json"))
    rows = repr(DeltaTable(table_uri(bronze_table(source.source, stream.name))).to_pyarrow_table().to_pylist())
    for secret in vendor.secrets:
        assert not any(form in text for form in forms(secret) for text in (told, kept, lake_text, rows)), "a secret is kept or told"
