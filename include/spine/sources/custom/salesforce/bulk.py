"""Query jobs of Bulk API 2.0: ordered, waited for, read as CSV by locators, and taken away.

A job is ordered without ORDER BY, so that Salesforce reads a large object in chunks of its keys. Facts: developer.salesforce.com, Bulk API
2.0 and Bulk API Developer Guide ("Create a Query Job", "Get Results for a Query Job": `Sforce-Locator`, `null` at the end; "Queries": no
compound fields, meant for 10,000 records and more; "Limits": 10,000 jobs a day, results are kept for 7 days).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from spine.core.errors import ConnectorError, SchemaMismatch, SourceRejected, SourceUnavailable
from spine.http.transport import Request
from spine.sources.custom.salesforce.faults import raise_of_query
from spine.sources.custom.salesforce.fields import Fields
from spine.sources.custom.salesforce.service import Service
from spine.sources.custom.salesforce.soql import END, NAME
from spine.sources.reading import lookup

_ROWS = 25_000  # of one answer: some 20 MB of contacts
_FIRST, _LONGEST, _WITHIN = 1.0, 30.0, 3600.0  # seconds between questions, and until a job is given up
_WAITING = frozenset({"uploadcomplete", "inprogress", "queued", "open", ""})


class JobGone(Exception):
    """A job that will never have results: it failed, was ended, or is not known any more. What is said of it is its text."""


@dataclass
class Bulk:
    """The jobs of one account."""

    service: Service
    fields: Fields

    def order(self, query: str) -> str:
        """Order a job; its id. Raises SourceRejected where the account has no such jobs or refuses this one.

        A job that was ordered twice, since an answer was lost, harms nothing: nobody reads it.
        """
        body = {"operation": self.service.word, "query": query, "contentType": "CSV", "columnDelimiter": "COMMA", "lineEnding": "LF"}
        told = self.service.send("POST", "jobs/query", body).json()
        job = str(lookup(told, "id") or "")
        if not NAME.fullmatch(job) and not job.isalnum():
            raise SourceRejected("the answer to the order of a job has no id of it")
        return job

    def wait(self, job: str) -> None:
        """Return when a job is done. Raises JobGone, SourceUnavailable if that takes too long, SourceRejected for a field that is lost."""
        pause, waited = _FIRST, 0.0
        while True:
            try:
                told = self.service.get(f"jobs/query/{job}")
            except SourceRejected as error:
                raise JobGone(error.message) from error
            state = str(lookup(told, "state") or "").lower()
            if state == "jobcomplete":
                return
            if state not in _WAITING:
                message = str(lookup(told, "errorMessage") or "")
                raise_of_query(message)
                raise JobGone(f"the job ended as {state[:40]}: {message[:200]}")
            if waited >= _WITHIN:
                self.remove(job, abort=True)
                raise SourceUnavailable(f"the bulk job was not done within {_WITHIN:g} s", hint="The next attempt orders another one")
            self.service.client.sleep(pause)
            waited, pause = waited + pause, min(_LONGEST, pause * 2)

    def results(self, job: str, name: str, locator: str | None, asked: Sequence[str]) -> tuple[list[dict[str, Any]], str]:
        """Rows of an object at a locator, as the REST API would give them, and the locator after them or END. Raises JobGone.

        Where an answer has no line of names, its columns are the `asked` fields.
        """
        params = {"maxRecords": str(_ROWS)} | ({"locator": locator} if locator else {})
        address = f"{self.service.root}/jobs/query/{job}/results"
        try:
            response = self.service.client.request(Request("GET", address, params=params, headers={"Accept": "text/csv"}, answer="bytes"))
        except SourceRejected as error:
            raise JobGone(error.message) from error
        following = response.headers.get("sforce-locator", "")
        return self._rows(response.body, name, asked), END if following in ("", END) else following

    def remove(self, job: str, *, abort: bool = False) -> None:
        """Take a job and its results away, as well as the account lets us: after a week they go by themselves."""
        with suppress(ConnectorError):
            if abort:
                self.service.send("PATCH", f"jobs/query/{job}", {"state": "Aborted"})
            self.service.send("DELETE", f"jobs/query/{job}")

    def _rows(self, body: bytes, name: str, asked: Sequence[str]) -> list[dict[str, Any]]:
        try:
            header, columns = _table(body, asked)
        except (pa.ArrowInvalid, csv.Error, UnicodeDecodeError) as error:
            raise SchemaMismatch(f"the results of the job are no CSV: {str(error)[:200]}") from error
        made = []
        for column, texts in zip(header, columns, strict=True):
            make = self.fields.reader(name, column)
            made.append([make(text) if text else None for text in texts])
        if not any("." in column for column in header):
            return [dict(zip(header, row, strict=True)) for row in zip(*made, strict=True)]
        paths = [column.split(".") for column in header]
        return [_nested(paths, row) for row in zip(*made, strict=True)]


def _table(body: bytes, asked: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Names and columns of CSV, all of it texts; nothing of an empty answer."""
    first = body.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0].decode()
    header = next(csv.reader([first]), [])
    if not header:
        return [], []
    named = {item.lower() for item in header} <= {item.lower() for item in asked}
    header = header if named else list(asked)
    table = pacsv.read_csv(
        io.BytesIO(body),
        pacsv.ReadOptions(use_threads=False, block_size=len(body), column_names=header, skip_rows=1 if named else 0),
        pacsv.ParseOptions(newlines_in_values=True),
        pacsv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False),
    )
    return header, [column.to_pylist() for column in table.columns]


def _nested(paths: list[list[str]], values: tuple[Any, ...]) -> dict[str, Any]:
    """A row with its parents as objects; a parent of which nothing is known is none."""
    row: dict[str, Any] = {}
    for path, value in zip(paths, values, strict=True):
        holder = row
        for part in path[:-1]:
            holder = holder.setdefault(part, {})
        holder[path[-1]] = value
    return {key: _none_if_empty(value) for key, value in row.items()}


def _none_if_empty(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _none_if_empty(item) for key, item in value.items()}
    return inner if any(item is not None for item in inner.values()) else None
