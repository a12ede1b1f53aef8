"""Salesforce's query jobs: ordered, polled, read as CSV by locators, ended, deleted.

Written after "Bulk API 2.0 and Bulk API Developer Guide" (developer.salesforce.com/docs/atlas.en-us.api_asynch.meta): Create a Query Job,
Get Information About a Query Job, Get Results for a Query Job, Abort a Query Job, Delete a Query Job, Limits.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from spine.core import clock
from spine.sandbox import salesforce, soql
from spine.sandbox.answers import json_answer
from spine.sandbox.faults import Fault
from spine.sandbox.salesforce import Salesforce
from spine.sandbox.soql import SoqlError

_POLLS = 1  # questions that a job is still at work for


@dataclass
class Job:
    """A job, and how often it was asked about. `error` is why it failed."""

    tenant: str
    operation: str
    query: str
    found: Any
    asked: int = 0
    state: str = "UploadComplete"
    error: str = ""
    made: str = field(default_factory=lambda: clock.to_text(clock.now()))


class BulkQueries:
    """The jobs of all tenants. `largest` is the most rows of one answer, whatever `maxRecords` asks for."""

    largest = 50_000

    def __init__(self, vendor: Salesforce) -> None:
        self._vendor, self.jobs = vendor, dict[str, Job]()

    def stream_of(self, request: Request, body: Any) -> str | None:
        """Our name of the stream that a request is about."""
        job = self.jobs.get(request.path_params.get("job", ""))
        text = job.query if job else str(body.get("query", "")) if isinstance(body, dict) else ""
        return salesforce.stream_named(text.upper().partition(" FROM ")[2].split(" ")[0])

    def answer(self, request: Request, tenant: str, body: Any, faults: list[Fault]) -> Response:
        """What the API says to any request under `jobs/query`."""
        name = request.path_params.get("job")
        if name is None:
            return self._create(request, tenant, body, faults)
        job = self.jobs.get(name)
        if job is None or job.tenant != tenant:
            return salesforce.error(404, "NOT_FOUND", "The requested resource does not exist")
        if request.url.path.endswith("/results"):
            return self._results(request, job, faults)
        if request.method == "DELETE":
            del self.jobs[name]
            return Response(status_code=204)
        if request.method == "PATCH":
            job.state = "Aborted"
        elif job.state in ("UploadComplete", "InProgress"):
            job.asked += 1
            job.state = "InProgress" if job.asked <= _POLLS else "JobComplete"
        if any(fault.kind == "job_failed" for fault in faults):
            job.state, job.error = "Failed", "TooManyRetries: the job was tried 15 times"
        return json_answer(self._told(name, job))

    def _create(self, request: Request, tenant: str, body: Any, faults: list[Fault]) -> Response:
        operation = body.get("operation") if isinstance(body, dict) else None
        if operation not in ("query", "queryAll"):
            return salesforce.error(400, "INVALIDJOB", "Unable to find a supported operation")
        try:
            query = soql.parse(str(body.get("query", "")))
            if query.counts or query.offset:
                raise SoqlError("API_ERROR", "Aggregate functions and OFFSET are not supported in Bulk Query")
            if any(name.endswith("Address") for name in query.fields):
                raise SoqlError("API_ERROR", "FeatureNotEnabled : Selecting compound data not supported in Bulk Query")
            found = self._vendor.run(query, tenant, operation == "queryAll", faults)
        except SoqlError as refusal:
            return salesforce.error(400, "API_ERROR", f"{refusal.code}: {refusal.message}")
        name = f"750Sb{next(self._vendor.sandbox.numbers):010d}AAA"
        self.jobs[name] = Job(tenant, str(operation), str(body["query"]), found)
        return json_answer(self._told(name, self.jobs[name]))

    def _told(self, name: str, job: Job) -> dict[str, Any]:
        told = {
            "id": name, "operation": job.operation, "object": job.found.table.stream.object, "createdDate": job.made, "state": job.state,
            "concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": 61.0, "lineEnding": "LF", "columnDelimiter": "COMMA",
        }  # fmt: skip
        return told | ({"numberRecordsProcessed": job.found.total} if job.state == "JobComplete" else {"errorMessage": job.error})

    def _results(self, request: Request, job: Job, faults: list[Fault]) -> Response:
        if job.state != "JobComplete":
            return salesforce.error(400, "INVALIDJOBSTATE", "The job is not complete")
        most = min(int(request.query_params.get("maxRecords", self.largest)), self.largest)
        first = int(request.query_params.get("locator") or 0)
        rows = self._vendor.selected(job.found, first, most, faults)
        more = first + most < job.found.total
        headers = {"Sforce-NumberOfRecords": str(len(rows)), "Sforce-Locator": str(first + most) if more else "null"}
        return Response(_csv(list(job.found.fields), rows), 200, headers, "text/csv; charset=UTF-8")


def _csv(fields: list[str], rows: list[dict[str, Any]]) -> bytes:
    """All values in quotes, as the service writes them; nothing for null, `Z` in times."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows([_text(_at(row, name)) for name in fields] for row in rows)
    return out.getvalue().encode()


def _at(row: dict[str, Any], name: str) -> Any:
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.replace(".000+0000", ".000Z")
    return orjson.dumps(value).decode()
