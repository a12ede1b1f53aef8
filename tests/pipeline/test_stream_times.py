"""How long one stream may take stands above what its source says, for requests and for the whole reading."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from spine.control.airflow_state import ConnectionInfo
from spine.control.variables import MemoryVariables
from spine.core.errors import SourceUnavailable
from spine.core.names import connection_id
from spine.pipeline import closing, extract
from spine.pipeline.services import Services
from spine.pipeline.work import Sync
from spine.sources.spec import load_source
from tests.http.conftest import Answer, make_vendor

__all__ = ["make_vendor"]
pytestmark = pytest.mark.slow
STREAM = {"path": "/slow", "records": "items", "key": ["id"]}
QUICK, PATIENT = {**STREAM, "name": "quick", "timeouts": {"read": 0.3, "stream": "20m"}}, {**STREAM, "name": "patient"}


def test_a_stream_of_its_own_times_fails_where_another_waits(
    tmp_path: Path, lake: str, home: Path, database: Any, monkeypatch: pytest.MonkeyPatch, make_vendor: Any
) -> None:  # fmt: skip
    content = {
        "source": "shop", "label": "Shop", "domain": "finops", "retry": {"max_retries": 0}, "timeouts": {"read": 10, "stream": "3h"},
        "streams": [QUICK, PATIENT],
    }  # fmt: skip
    (tmp_path / "shop.yaml").write_bytes(orjson.dumps(content))
    monkeypatch.setenv("SPINE_SOURCES", str(tmp_path))
    vendor = make_vendor(lambda seen, number: Answer(json={"items": [{"id": 1}]}, hang=1.0))
    info = ConnectionInfo(connection_id("shop", "acme"), "http", vendor.url)
    services = Services(database, MemoryVariables(), {info.conn_id: info}.__getitem__, lambda seconds: None)
    quick, patient = extract.plan(Sync("shop", "r1", ["acme"], mode="full"), services)
    began = time.monotonic()
    with pytest.raises(SourceUnavailable):
        extract.extract(quick, services)
    assert time.monotonic() - began < 5
    assert extract.extract(patient, services).counts.rows == 1
    closing.finish("shop", "r1", ["acme"], services)
    source = load_source("shop")
    assert [source.time_of(stream).total_seconds() for stream in source.streams] == [20 * 60, 3 * 3600]
