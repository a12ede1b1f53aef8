"""Files that records refer to, through the real steps: in the lake once, told in their records, and never in the way of the others."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson
import pytest
from deltalake import DeltaTable

from spine.control.airflow_state import ConnectionInfo
from spine.core.names import connection_id
from spine.lake.paths import table_uri
from spine.pipeline import closing, extract
from spine.pipeline.services import Services
from spine.pipeline.work import Sync
from tests.http.conftest import Answer, make_vendor

__all__ = ["make_vendor"]
pytestmark = pytest.mark.slow
PDF, LONG = b"%PDF-1.7 one", b"x" * 1_100_000
STREAM = {
    "name": "docs", "path": "/docs", "records": "items", "key": ["id"], "deletes": {"detect": "flag", "field": "gone"}, "drop": ["url"],
    "download": {"path": "{item.url}", "types": ["application/pdf", "image/*"], "megabytes": 1},
}  # fmt: skip


def answer(seen: Any, number: int) -> Answer:
    if seen.path == "/docs":
        here = f"http://{seen.headers['host']}"
        urls = {
            "a": f"{here}/files/one.pdf", "b": "/files/one.pdf", "c": "/files/long.pdf", "d": "/files/page.txt", "e": "/files/none.pdf",
            "f": "http://203.0.113.7/x.pdf", "g": "file:///etc/passwd", "h": None,
        }  # fmt: skip
        items = [{"id": name, "url": url, "gone": False} for name, url in urls.items()]
        return Answer(json={"items": [*items, {"id": "i", "url": "/files/one.pdf", "gone": True}]})
    if seen.path.endswith("none.pdf"):
        return Answer(404, json={"message": "no"})
    if seen.path.endswith("page.txt"):
        return Answer(body=b"text", headers={"Content-Type": "text/plain"})
    body = LONG if seen.path.endswith("long.pdf") else PDF
    return Answer(body=body, headers={"Content-Type": "application/pdf; x=1"})


@pytest.fixture
def read(tmp_path: Path, lake: str, home: Path, database: Any, monkeypatch: pytest.MonkeyPatch, make_vendor: Any) -> Any:
    folder = tmp_path / "sources"
    folder.mkdir()
    monkeypatch.setenv("SPINE_SOURCES", str(folder))
    content = {"source": "shelf", "label": "Shelf", "domain": "itops", "retry": {"max_retries": 0}, "streams": [STREAM]}
    (folder / "shelf.yaml").write_bytes(orjson.dumps(content))
    vendor = make_vendor(answer)

    def run(tenant: str, **options: Any) -> tuple[Any, dict[str, Any]]:
        info = ConnectionInfo(connection_id("shelf", tenant), "http", vendor.url)
        from spine.control.variables import MemoryVariables

        services = Services(database, MemoryVariables(), {info.conn_id: info}.__getitem__, lambda seconds: None)
        (work,) = extract.plan(Sync("shelf", f"{tenant}-r1", [tenant], mode="full", **options), services)
        done = extract.extract(work, services)
        closing.finish("shelf", f"{tenant}-r1", [tenant], services)
        if options:
            return done, {}
        table = DeltaTable(table_uri("raw_shelf_docs")).to_pyarrow_table(columns=["tenant_id", "record_id", "payload"]).to_pylist()
        return done, {row["record_id"]: orjson.loads(row["payload"]) for row in table if row["tenant_id"] == tenant}

    return run


def test_each_content_is_in_the_lake_once_and_each_record_says_where_or_why_not(read: Any, lake: str) -> None:
    done, rows = read("north")
    digest = hashlib.sha256(PDF).hexdigest()
    kept = {"path": f"_files/north/shelf/{digest[:2]}/{digest}", "size": len(PDF), "sha256": digest, "type": "application/pdf"}
    assert rows["a"]["download"] == rows["b"]["download"] == kept
    assert (Path(lake) / kept["path"]).read_bytes() == PDF
    assert [file for file in Path(lake, "_files").rglob("*") if file.is_file()] == [Path(lake) / kept["path"]]
    reasons = {name: rows[name]["download"]["error"] for name in "cdefg"}
    assert "more than" in reasons["c"]
    assert "is text/plain, which `types` does not list" in reasons["d"]
    assert "404" in reasons["e"]
    assert "another host" in reasons["f"]
    assert "another host" in reasons["g"]
    assert rows["h"] == {"id": "h", "gone": False, "download": None}
    assert "download" not in rows["i"], "it is gone"
    assert not any("url" in row for row in rows.values())
    assert not any(told in reason for reason in reasons.values() for told in ("files", "pdf", "txt", "127.0.0.1", "203.0.113.7"))
    assert "5 files were not fetched: their records say why" in done.notes
    assert done.counts.rows == 9


def test_files_of_tenants_are_apart_and_a_dry_run_keeps_none(read: Any, lake: str) -> None:
    read("west", dry_run=True)
    assert not Path(lake, "_files").exists()
    read("north")
    read("south")
    assert sorted(path.name for path in Path(lake, "_files").iterdir()) == ["north", "south"]


def test_a_file_that_was_torn_while_it_was_kept_is_kept_anew(read: Any, lake: str) -> None:
    _, rows = read("north")
    path = Path(lake, rows["a"]["download"]["path"])
    path.write_bytes(b"torn")
    read("south")
    from spine.lake.blobs import keep_file

    with Path(lake, read("east")[1]["a"]["download"]["path"]).open("rb") as file:
        keep_file("north", "shelf", file)
    assert path.read_bytes() == PDF
