"""BigQuery's queries: their pages, which are turned at another address than they begin at, and rows without names and types.

A query is ordered by POST and goes on as GET of its job (https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/query), which may
have to be asked until it is done. A row is `{f: [{v: …}, …]}`, whose names and types are in the answer's `schema`; all values are texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

import orjson

from spine.core import clock, times
from spine.http.paging import Fetched, Paging
from spine.http.paging.pages import named, with_body
from spine.http.transport import Request
from spine.sources.rest import stages


class Results(Paging):
    """The job and the page of its results; of a job that is not done, how often it was asked."""

    type: Literal["results"] = "results"

    def sized(self, request: Request) -> Request:
        """The query with the size of its pages."""
        return with_body(request, "maxResults", self.size)

    def at(self, request: Request, token: str | None) -> Request:
        """The query, or what asks for its results."""
        if token is None:
            return request
        job, location, page, _ = orjson.loads(token)
        asked = {"pageToken": page, "location": location, "maxResults": str(self.size), "formatOptions.useInt64Timestamp": "true"}
        params = {name: value for name, value in asked.items() if value}
        return replace(request, method="GET", url=f"{request.url}/{job}", params=params, json=None)

    def next_token(self, page: Fetched) -> str | None:
        """The next page of the job. Its place, where the answer has one, names it: ids of jobs are told apart by it."""
        job, location, after, before = *(named(page, path) for path in _PLACES), orjson.loads(page.token)[3] if page.token else 0
        waiting = isinstance(page.body, dict) and page.body.get("jobComplete") is False
        return orjson.dumps([job, location, after, before + 1]).decode() if job and (after or waiting) else None


_PLACES = ("jobReference.jobId", "jobReference.location || location", "pageToken")


class Stages(stages.Stages):
    """The steps of a page, of which paginator and selector are those of queries where a stream is one."""

    def paging(self) -> Paging:
        """Results of a query."""
        return Results(size=self.stream.paging.size, stop=self.stream.paging.stop) if self.stream.body else super().paging()

    def select(self, body: Any) -> list[Any]:
        """The rows by name, with their types; none of a query that is not done."""
        if not self.stream.body or not isinstance(body, dict):
            return super().select(body)
        fields = (body.get("schema") or {}).get("fields") or []
        return [_record(fields, row) for row in body.get("rows") or []]


def _record(fields: Sequence[Mapping[str, Any]], row: Any) -> Any:
    """A row by the names of its columns; one that has others stays as it is, and is told as malformed if it is no object."""
    cells = row.get("f") if isinstance(row, Mapping) else None
    if not isinstance(cells, list) or len(cells) != len(fields):
        return row
    return {field["name"]: _value(field, cell.get("v")) for field, cell in zip(fields, cells, strict=True)}


def _value(field: Mapping[str, Any], value: Any) -> Any:
    """A value in its type; exact numbers stay texts, and so does what is of another type than the schema says."""
    if isinstance(value, list):
        return [_value({**field, "mode": "NULLABLE"}, cell.get("v")) for cell in value]
    if isinstance(value, Mapping):
        return _record(field.get("fields") or [], value)
    with suppress(ValueError, OverflowError):
        return _TYPES.get(field.get("type", ""), _as_it_is)(value) if value is not None else None
    return value


def _as_it_is(value: Any) -> Any:
    return value


def _float(value: Any) -> Any:
    number = float(value)
    return number if abs(number) < float("inf") else value  # JSON has no others


def _time(value: Any) -> str:
    """A time of microseconds since 1970, which were asked for, or of seconds with a point, which some servers send all the same."""
    text = str(value)
    if any(mark in text for mark in ".eE"):
        return clock.to_text(times.read(text, "epoch"))
    return clock.to_text(times.EPOCH + timedelta(microseconds=int(text)))


_TYPES: dict[str, Callable[[Any], Any]] = {
    "INTEGER": int, "INT64": int, "FLOAT": _float, "FLOAT64": _float, "TIMESTAMP": _time, "JSON": orjson.loads,
    "BOOLEAN": lambda value: str(value).lower() == "true", "BOOL": lambda value: str(value).lower() == "true",
}  # fmt: skip
