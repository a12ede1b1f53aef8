"""Asynchronous jobs: ordered, waited for, fetched; a vendor that counts its orders tells whether any was made twice."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from spine.core.errors import SourceRejected, SourceUnavailable
from spine.sources.reading import State, Window
from tests.http.conftest import Answer
from tests.sources.rest.conftest import ids


class Exports:
    """A vendor of exports: each is `running` for a while, then `ready` with two files of CSV; the `fails` first ones end as `error`."""

    def __init__(self, patience: int = 2, fails: int = 0, forgets: bool = False, state: str = "ready", files: int = 2) -> None:
        self.orders: list[Any] = []
        self.keys: list[str] = []
        self.cancelled: list[str] = []
        self.asked: dict[str, int] = {}
        self.patience, self.fails, self.forgets, self.state, self.files = patience, fails, forgets, state, files

    def __call__(self, seen: Any) -> Any:
        name = seen.path.rpartition("/")[2]
        if seen.method == "POST":
            self.orders.append(seen.body)
            self.keys.append(seen.headers.get("idempotency-key", ""))
            return {"export": {"id": f"e{len(self.orders)}"}, "secret": "not for keeping"}  # pragma: allowlist secret
        if seen.method == "DELETE":
            self.cancelled.append(name)
            return Answer(204, body=b"")
        if seen.path.startswith("/files/"):
            start = int(name) * 5
            return Answer(body=b"id,at\n" + b"".join(b"%d,2026-01-01T00:00:00Z\n" % number for number in range(start + 1, start + 6)))
        number = int(name[1:])
        self.asked[name] = self.asked.get(name, 0) + 1
        if self.forgets and number < len(self.orders):
            return Answer(404, json={})
        if number <= self.fails:
            return {"state": "error"}
        if self.asked[name] <= self.patience:
            return {"state": "running"}
        host = f"http://{seen.headers['host']}"
        return {"state": self.state, "parts": [{"url": f"{host}/files/{part}"} for part in range(self.files)]}


JOB = {
    "create": {"method": "POST", "path": "/exports", "headers": {"Idempotency-Key": "{job.key}"}, "body": {"json": {"since": "{start}"}}},
    "poll": {"path": "/exports/{job.export.id}"}, "status": "state", "done": ["Ready"], "failed": ["error"], "empty": ["nothing"],
    "cancel": {"method": "DELETE", "path": "/exports/{job.export.id}"}, "files": "parts[].url",
}  # fmt: skip


def stream(**job: Any) -> dict[str, Any]:
    return {"path": "", "response": "csv", "paging": {"size": 2}, "job": {**JOB, **job}}


ALL = [str(number) for number in range(1, 11)]


def test_a_job_is_ordered_once_and_its_files_are_read(reading):
    vendor = Exports()
    told = reading(vendor, stream())
    pages = told.pages()
    assert (ids(pages), len(vendor.orders)) == (ALL, 1)
    assert [page.kept for page in pages] == [True] + [False] * (len(pages) - 1)
    assert "not for keeping" not in str([page.next_token for page in pages])
    assert "/files/" not in str([page.next_token for page in pages])


def test_a_reading_killed_between_any_two_pages_orders_no_second_job(reading):
    vendor = Exports()
    told = reading(vendor, stream())
    rough = told.killed()
    assert (ids(rough), len(vendor.orders)) == (ALL, 1)
    assert [page.records for page in rough] == [page.records for page in told.pages()]


def test_the_order_of_a_step_has_one_key_until_it_fails(reading):
    vendor = Exports()
    told = reading(vendor, stream())
    first, again = (next(iter(told.reader.read(told.source.streams[0], State(), Window(full=True)))) for _ in range(2))
    assert len(set(vendor.keys)) == 1
    assert vendor.keys[0]
    later = Window(end=datetime(2026, 1, 1, tzinfo=UTC), full=True)
    next(iter(told.reader.read(told.source.streams[0], State(), later)))
    assert len(set(vendor.keys)) == 2
    assert first.next_token
    assert again.next_token


def test_a_job_that_fails_is_told_and_the_next_attempt_orders_another(reading):
    vendor = Exports(fails=1)
    told = reading(vendor, stream())
    pages = iter(told.reader.read(told.source.streams[0], State(), Window(full=True)))
    ordered = next(pages)
    with pytest.raises(SourceUnavailable, match="ended as 'error'"):
        next(pages)
    assert ids(told.pages(token=ordered.next_token)) == ALL
    assert (len(vendor.orders), len(set(vendor.keys))) == (2, 2)


def test_a_job_that_the_vendor_has_forgotten_is_ordered_anew(reading):
    vendor = Exports(forgets=True)
    told = reading(vendor, stream())
    first = next(iter(told.reader.read(told.source.streams[0], State(), Window(full=True))))
    vendor.orders.append(b"another")
    assert ids(told.pages(token=first.next_token)) == ALL


def test_a_job_that_takes_too_long_is_cancelled(reading):
    vendor = Exports(patience=10**6)
    told = reading(vendor, stream(within="1s", every="1s"))
    with pytest.raises(SourceUnavailable, match="not done within"):
        told.pages()
    assert vendor.cancelled == ["e1"]


def test_waiting_is_done_by_the_clients_sleep(reading):
    slept = []
    told = reading(Exports(patience=3), stream(every="7s"))
    told.client.sleep = slept.append
    told.pages()
    assert slept == [7.0] * 3


@pytest.mark.parametrize("vendor", [Exports(state="nothing"), Exports(files=0)], ids=["its state says so", "no file"])
def test_a_job_without_a_record_is_no_failure(reading, vendor):
    pages = reading(vendor, stream()).pages()
    assert (ids(pages), pages[-1].next_token) == ([], None)


def test_the_stream_may_be_what_is_fetched(reading):
    vendor = Exports()

    def serve(seen):
        if seen.path.startswith("/results/"):
            assert seen.path == "/results/e1"
            start = int(seen.query.get("locator", 0))
            return Answer(body=b"id\n%d\n" % (start + 1), headers={"Locator": str(start + 1)} if start < 3 else {})
        return vendor(seen)

    paging = {"type": "next_token", "from_header": "Locator", "param": "locator"}
    job = {name: value for name, value in JOB.items() if name != "files"}
    told = reading(serve, {"path": "/results/{job.export.id}", "response": "csv", "job": job, "paging": paging})
    assert ids(told.killed()) == ["1", "2", "3", "4"]
    assert len(vendor.orders) == 1


def test_each_span_has_a_job_of_its_own(reading):
    vendor = Exports()
    cursor = {"field": "at", "since": None, "start": "2026-01-01", "windows": {"step": "10d"}, "format": "date"}
    told = reading(vendor, {**stream(), "cursor": cursor})
    window = Window(end=datetime(2026, 1, 25, tzinfo=UTC), full=True)
    told.killed(window)
    assert vendor.orders == [b'{"since":"2026-01-01"}', b'{"since":"2026-01-11"}', b'{"since":"2026-01-21"}']


def test_files_on_other_hosts_are_fetched_where_they_are_listed_and_without_credentials(reading, make_vendor):
    from spine.http.auth import Credentials
    from spine.http.auth.bearer import Bearer

    store = make_vendor(lambda seen, number: Answer(body=b"id\n7\n"))
    auth = Bearer(Credentials("", password="s3cret-token"))

    def serve(seen):
        return {"id": "e1", "state": "ready", "url": f"{store.url}/part?signature=x"}

    job = {
        "create": {"method": "POST", "path": "/exports"},
        "poll": {"path": "/exports/{job.id}"},
        "status": "state",
        "done": ["ready"],
        "files": "url",
    }
    given = {"response": "csv", "job": job}
    told = reading(serve, given, client={"auth": auth, "open_hosts": [store.url.removeprefix("http://")]})
    assert ids(told.pages()) == ["7"]
    assert "authorization" not in store.seen[0].headers
    with pytest.raises(SourceRejected, match="another host"):
        reading(serve, given, client={"auth": auth}).pages()
