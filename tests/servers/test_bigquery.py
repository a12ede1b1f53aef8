"""BigQuery from a small vendor of our own: queries that take their time, pages at another address, rows of any type."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from spine.core.errors import SourceRejected
from spine.sources.custom.bigquery import _record
from tests.http.conftest import Answer, Seen
from tests.servers.test_own_vendors import make_vendor, served  # noqa: F401  # fixtures

PROVES = "a server of ours"

FIELDS = [{"name": "id", "type": "INTEGER", "mode": "REQUIRED"}, {"name": "at", "type": "TIMESTAMP"}]


class BigQuery:
    """Results of two rows a page, of jobs that are done when they were asked `patience` times."""

    def __init__(self, patience: int = 0) -> None:
        self.rows = {"SELECT * FROM `shop.orders`": 5, "SELECT 1, 2": 1}
        self.patience, self.jobs, self.asked, self.lost = patience, {}, [], False  # type: ignore[var-annotated]

    def __call__(self, seen: Seen) -> Any:
        base = "/bigquery/v2/projects/acme"
        if seen.path == f"{base}/datasets":
            return {"datasets": [{"id": "acme:shop", "datasetReference": {"datasetId": "shop"}}]}
        if seen.path == f"{base}/datasets/shop/tables":
            number = int(seen.query.get("pageToken", 0))
            more = {"nextPageToken": str(number + 1)} if number < 2 else {}
            return {"tables": [{"id": f"acme:shop.t{number}", "tableReference": {"tableId": f"t{number}"}}], **more}
        if seen.path == f"{base}/queries":
            said = orjson.loads(seen.body)
            self.asked.append(said)
            if said["query"] not in self.rows:
                return Answer(403, {"error": {"code": 403, "errors": [{"reason": "accessDenied"}], "message": "Access Denied"}})
            name = f"job{len(self.jobs)}"
            self.jobs[name] = [self.rows[said["query"]], self.patience]
            return self.told(name, 0)
        name = seen.path.removeprefix(f"{base}/queries/")
        if self.lost:
            self.lost = False
            return Answer(404, {"error": {"code": 404, "errors": [{"reason": "notFound"}], "message": f"Not found: Job acme:{name}"}})
        assert seen.query["location"] == "EU"
        return self.told(name, int(seen.query.get("pageToken", "p0")[1:]))

    def told(self, name: str, start: int) -> Any:
        job, head = (
            self.jobs[name],
            {"kind": "bigquery#queryResponse", "jobReference": {"projectId": "acme", "jobId": name, "location": "EU"}},
        )
        if job[1]:
            job[1] -= 1
            return {**head, "jobComplete": False}
        rows = [{"f": [{"v": str(number)}, {"v": f"1769847300{number:06}"}]} for number in range(job[0])]
        more = {"pageToken": f"p{start + 2}"} if start + 2 < len(rows) else {}
        return {
            **head,
            "jobComplete": True,
            "schema": {"fields": FIELDS},
            "rows": rows[start : start + 2],
            "totalRows": str(len(rows)),
            **more,
        }


def account(**extra: Any) -> dict[str, Any]:
    return {"extra": {"access_token": "x", "project": "acme", "tables": "shop.orders", **extra}}


@pytest.mark.parametrize("patience", [0, 3])
def test_tables_are_read_to_the_end_when_the_query_is_done(reading, served, patience) -> None:  # noqa: F811
    vendor = BigQuery(patience)
    bigquery = reading("bigquery", f"{served(vendor)}/bigquery/v2", **account())
    found = bigquery.sync("datasets", "tables", "rows")
    assert {name: result["rows"] for name, result in found.items()} == {"datasets": 1, "tables": 3, "rows": 5}
    assert sorted(record["id"] for record in bigquery.records("rows")) == [0, 1, 2, 3, 4]
    assert {record["table_name"] for record in bigquery.records("rows")} == {"shop.orders"}
    assert "2026-01-31T08:15:00.000003Z" in {record["at"] for record in bigquery.records("rows")}
    assert [said["maxResults"] for said in vendor.asked] == [5000]
    vendor.rows["SELECT * FROM `shop.orders`"] = 4
    bigquery.sync("rows")
    assert [record["_op"] for record in bigquery.records("rows", run=2)].count("delete") == 1


def test_results_that_are_not_kept_any_more_are_asked_for_anew(reading, served) -> None:  # noqa: F811
    vendor = BigQuery()
    bigquery = reading("bigquery", f"{served(vendor)}/bigquery/v2", **account())
    vendor.lost = True
    bigquery.sync("rows")
    assert (len(vendor.jobs), len(set(bigquery.keys("rows")))) == (2, 5)


def test_queries_have_commas_and_what_is_refused_is_told(reading, served) -> None:  # noqa: F811
    vendor = BigQuery()
    url = f"{served(vendor)}/bigquery/v2"
    assert reading("bigquery", url, **account(queries=["SELECT 1, 2"], max_bytes="1000")).sync("results")["results"]["rows"] == 1
    assert vendor.asked[-1]["maximumBytesBilled"] == "1000"
    bigquery = reading("bigquery", url, **account(tables="shop.orders, shop.secret"))
    assert (bigquery.sync("rows")["rows"]["rows"], bigquery.results["rows"]["skips"]) == (5, 1)
    with pytest.raises(SourceRejected, match="every request was refused"):
        reading("bigquery", url, **account(tables="shop.secret")).sync("rows")


def test_a_stream_of_one_s_own_asks_for_changes(reading, served) -> None:  # noqa: F811
    """As the file's remark shows it."""
    vendor = BigQuery()
    vendor.rows["SELECT * FROM shop.orders WHERE at > @start"] = 3

    def edit(streams: dict[str, dict[str, Any]], _: Any) -> None:
        rows = streams["rows"]
        for word in ("partitions", "compute", "deletes"):
            del rows[word]
        rows["body"]["json"]["query"] = "SELECT * FROM shop.orders WHERE at > @start"
        start = {"name": "start", "parameterType": {"type": "TIMESTAMP"}, "parameterValue": {"value": "{start}"}}
        rows["body"]["json"]["queryParameters"] = [start]
        rows |= {"key": ["id"], "cursor": {"field": "at", "since": None, "start": "2020-01-01", "lookback": "0s"}}

    bigquery = reading("bigquery", f"{served(vendor)}/bigquery/v2", edit, **account())
    assert bigquery.sync("rows")["rows"]["rows"] == 3
    bigquery.sync("rows")
    told = [said["queryParameters"][0]["parameterValue"]["value"] for said in vendor.asked]
    assert told == ["2020-01-01T00:00:00.000000Z", "2026-01-31T08:15:00.000002Z"]


@pytest.mark.parametrize(
    ("field", "sent", "read"),
    [
        ({"type": "INT64"}, "9007199254740993", 9007199254740993),
        ({"type": "FLOAT"}, "1.5", 1.5),
        ({"type": "FLOAT64"}, "NaN", "NaN"),
        ({"type": "BOOL"}, "true", True),
        ({"type": "BOOLEAN"}, "false", False),
        ({"type": "NUMERIC"}, "1.10", "1.10"),
        ({"type": "TIMESTAMP"}, "1769847300000001", "2026-01-31T08:15:00.000001Z"),
        ({"type": "TIMESTAMP"}, "1.7698473E9", "2026-01-31T08:15:00.000000Z"),
        ({"type": "DATE"}, "2026-01-31", "2026-01-31"),
        ({"type": "JSON"}, '{"a": [1]}', {"a": [1]}),
        ({"type": "STRING"}, None, None),
        ({"type": "INTEGER"}, "many", "many"),
        ({"type": "INTEGER", "mode": "REPEATED"}, [{"v": "1"}, {"v": None}], [1, None]),
        ({"type": "RECORD", "fields": [{"name": "b", "type": "BOOL"}]}, {"f": [{"v": "true"}]}, {"b": True}),
        ({"type": "STRUCT", "mode": "REPEATED", "fields": [{"name": "n", "type": "INT64"}]}, [{"v": {"f": [{"v": "7"}]}}], [{"n": 7}]),
    ],
)
def test_values_have_the_types_of_their_schema(field, sent, read) -> None:
    assert _record([{"name": "x", **field}], {"f": [{"v": sent}]}) == {"x": read}
