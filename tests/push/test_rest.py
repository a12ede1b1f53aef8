"""Any API by the `write:` block of its source's file: made, changed and deleted, each record once, whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson
import pytest
import yaml

from spine.control import locks
from spine.control.airflow_state import ConnectionInfo
from spine.core.errors import AuthFailed, ConfigError, PushFailed, SourceUnavailable
from spine.push import running
from spine.sources.spec import load_source
from tests.http.conftest import Answer, Seen, make_vendor  # noqa: F401  # a fixture
from tests.push.conftest import Way, person

KEY = "shop-key-0815-4711"  # pragma: allowlist secret
SINGLE = {
    "create": {"path": "/contacts"},
    "update": {"path": "/contacts/{id}"},
    "delete": {"path": "/contacts/{id}"},
    "find": {"path": "/contacts", "params": {"email": "{record.email}"}, "records": "data"},
    "read": {"path": "/contacts/{id}"},
}
BATCH = {
    "upsert": {
        "path": "/contacts/batch", "batch": 3, "body": {"json": {"contacts": "{records}"}}, "results": "results", "failed": "error",
        "code": "error.code", "message": "error.message", "retried": ["BUSY"],
    },
    "find": SINGLE["find"],
}  # fmt: skip


@dataclass
class Vendor:
    """A CRM with contacts: it gives ids, refuses e-mail addresses without `@`, writes them in small letters, and fails as it is told."""

    contacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    faults: list[Any] = field(default_factory=list)  # one for each write: None, a status, or "lost" (written, and then 500)
    busy: int = 0

    def __call__(self, seen: Seen, _: int = 0) -> Answer:
        if seen.headers.get("authorization") != f"Bearer {KEY}":
            return Answer(401, {"error": "no such key"})
        said = orjson.loads(seen.body) if seen.body else None
        if seen.method == "GET":
            return self.show(seen)
        self.calls.append((seen.method, seen.path))
        self.keys.append(seen.headers.get("idempotency-key", ""))
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, int):
            return Answer(fault, {"error": "try later"}, headers={"Retry-After": "1"} if fault == 429 else {})
        answer = self.write(seen, said)
        return Answer(500, {"error": "oops"}) if fault == "lost" else answer

    def show(self, seen: Seen) -> Answer:
        if seen.path == "/contacts":
            wanted = unquote(seen.query["email"]).lower()
            return Answer(json={"data": [one for one in self.contacts.values() if one["email"] == wanted]})
        found = self.contacts.get(seen.path.split("/")[-1])
        return Answer(json=found) if found else Answer(404, {"error": "no such contact"})

    def write(self, seen: Seen, said: Any) -> Answer:
        if seen.path == "/contacts/batch":
            return Answer(207, {"results": [self.upsert(one) for one in said["contacts"]]})
        if seen.method == "POST":
            return self.create(said)
        number = seen.path.split("/")[-1]
        if number not in self.contacts:
            return Answer(404, {"error": "no such contact"})
        if seen.method == "DELETE":
            del self.contacts[number]
            return Answer(204)
        if refusal := self.refusal(said):
            return refusal
        self.contacts[number] |= self.kept(said)
        return Answer(json=self.contacts[number])

    def create(self, said: dict[str, Any]) -> Answer:
        if refusal := self.refusal(said):
            return refusal
        number = str(len(self.calls) + 100)
        self.contacts[number] = {"id": number, **self.kept(said)}
        return Answer(201, self.contacts[number])

    def upsert(self, said: dict[str, Any]) -> dict[str, Any]:
        if self.busy:
            self.busy -= 1
            return {"error": {"code": "BUSY", "message": "the record is locked"}}
        if self.refusal(said):
            return {"error": {"code": "INVALID", "message": "that is no e-mail address"}}
        number = next((key for key, one in self.contacts.items() if one["email"] == said["email"].lower()), str(len(self.contacts) + 1))
        self.contacts[number] = {**self.contacts.get(number, {}), "id": number, **self.kept(said)}
        return {"id": number}

    @staticmethod
    def refusal(said: dict[str, Any]) -> Answer | None:
        return Answer(422, {"message": "that is no e-mail address"}) if "@" not in said.get("email", "@") else None

    @staticmethod
    def kept(said: dict[str, Any]) -> dict[str, Any]:
        return {**said, **({"email": said["email"].lower()} if "email" in said else {})}

    @property
    def emails(self) -> list[str]:
        return sorted(one["email"] for one in self.contacts.values())


@pytest.fixture
def make(make_way: Callable[..., Way], make_vendor: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    """Makes a vendor, a source's file with this `write:` block, and a way back to it."""

    def made(write: dict[str, Any], vendor: Vendor | None = None) -> tuple[Way, Vendor]:
        vendor = vendor or Vendor()
        folder = tmp_path / "sources"
        folder.mkdir(exist_ok=True)
        spec = {
            "source": "shop", "label": "Shop", "domain": "revops", "auth": {"type": "bearer"}, "write": {"contacts": write},
            "retry": {"max_retries": 1, "base": 0.01},
            "streams": [{"name": "contacts", "path": "/contacts", "key": ["id"]}],
        }  # fmt: skip
        (folder / "shop.yaml").write_text(yaml.safe_dump(spec))
        monkeypatch.setenv("SPINE_SOURCES", str(folder))
        way = make_way(shop=ConnectionInfo("shop", "http", make_vendor(vendor).url, password=KEY))
        way.declare(destination={
            "_instead": True, "connector": "shop", "object": "contacts", "match_key": ["email"],
            "mapping": {"email": "email", "given_name": "first", "family_name": "last"},
        })  # fmt: skip
        return way, vendor

    return made


@pytest.mark.parametrize("write", [SINGLE, BATCH], ids=["one by one", "in batches"])
def test_records_are_made_changed_and_then_left_alone(make, write) -> None:
    way, vendor = make(write)
    way.put(*(person(number) for number in range(7)))
    assert way.run().counts["confirmed"] == 7
    calls = len(vendor.calls)
    assert calls == (7 if write is SINGLE else 3)
    assert way.run().counts["changes"] == 0
    assert len(vendor.calls) == calls
    way.put(*(person(number, given_name="New" if number == 3 else f"Given{number}") for number in range(7)))
    assert way.run().counts["updates"] == 1
    assert [one["first"] for one in vendor.contacts.values() if one["email"] == "p3@example.com"] == ["New"]
    assert len(vendor.contacts) == 7


def test_what_the_vendor_writes_in_its_own_way_is_not_sent_again(make) -> None:
    way, vendor = make(SINGLE)
    way.put(person(1, email="Ada@Example.COM"))
    assert way.run().status == "done"
    assert vendor.emails == ["ada@example.com"]
    assert way.run().counts["changes"] == 0


def test_a_record_that_is_there_already_is_changed_and_not_made_twice(make) -> None:
    way, vendor = make(SINGLE, Vendor({"7": {"id": "7", "email": "p1@example.com", "first": "Old", "note": "theirs"}}))
    way.put(person(1))
    way.run()
    assert vendor.contacts == {"7": {"id": "7", "email": "p1@example.com", "first": "Given1", "last": "Family1", "note": "theirs"}}
    assert vendor.calls == [("PATCH", "/contacts/7")]


@pytest.mark.parametrize("write", [SINGLE, BATCH], ids=["one by one", "in batches"])
def test_a_refused_record_keeps_the_vendors_words_and_holds_up_no_other(make, write) -> None:
    way, vendor = make(write)
    way.put(*(person(number, email="nobody" if number == 2 else f"p{number}@example.com") for number in range(5)))
    found = way.run()
    assert (found.status, found.counts["confirmed"], found.counts["failed"]) == ("done", 4, 1)
    assert "that is no e-mail address" in found.failures[0]["message"]
    assert way.run().counts["set_aside"] == 1
    assert "nobody" not in vendor.emails


def test_what_may_pass_another_time_is_tried_again_in_the_same_run(make) -> None:
    way, vendor = make(BATCH)
    vendor.busy = 2
    way.put(person(1), person(2))
    found = way.run()
    assert (found.status, found.counts["confirmed"], len(vendor.contacts)) == ("done", 2, 2)
    assert way.slept == [2.0]


def test_what_stays_busy_is_told_and_sent_by_the_next_run(make) -> None:
    way, vendor = make(BATCH)
    vendor.busy = 3
    way.put(person(1))
    found = way.run()
    assert (found.status, found.counts["waiting"]) == ("failed", 1)
    with pytest.raises(PushFailed, match="the record is locked"):
        running.require_well(found, way.name)
    assert way.run().counts["confirmed"] == 1


def test_an_answer_that_was_lost_makes_no_second_record(make) -> None:
    way, vendor = make(SINGLE)
    vendor.faults = [None, "lost"]
    way.put(person(1), person(2), person(3))
    with pytest.raises(SourceUnavailable):
        way.run("first")
    assert vendor.emails == ["p1@example.com", "p2@example.com"]
    assert way.run("second").status == "done"
    assert vendor.emails == ["p1@example.com", "p2@example.com", "p3@example.com"]
    assert len(vendor.calls) == 3


def test_a_limit_is_waited_for(make) -> None:
    way, vendor = make(BATCH)
    vendor.faults = [429]
    way.put(person(1))
    assert way.run().status == "done"
    assert len(vendor.contacts) == 1


def test_a_key_makes_a_create_that_nobody_can_look_up_safe(make) -> None:
    write = {"create": {"path": "/contacts", "headers": {"Idempotency-Key": "{idempotency_key}"}}}
    way, vendor = make(write)
    vendor.faults = [500]
    way.put(person(1))
    assert way.run().status == "done"
    assert len(set(vendor.keys)) == 1
    assert len(vendor.keys) == 2, "sent again under the same key"


def test_deletes_and_undo(make) -> None:
    way, vendor = make(SINGLE)
    way.declare(deletes={"mode": "hard_delete", "max_share": 1.0}, destination={
        "_instead": True, "connector": "shop", "object": "contacts", "match_key": ["email"],
        "mapping": {"email": "email", "given_name": "first"},
    })  # fmt: skip
    way.put(person(1), person(2))
    way.run()
    way.put(person(2, given_name="Other"))
    found = way.run("gone")
    assert (found.counts["deletes"], found.counts["updates"], vendor.emails) == (1, 1, ["p2@example.com"])
    way.run("back", undoes="gone")
    assert vendor.emails == ["p1@example.com", "p2@example.com"]
    assert {one["first"] for one in vendor.contacts.values()} == {"Given1", "Given2"}


def test_refused_credentials_pause_the_connection(make) -> None:
    way, _ = make(SINGLE)
    for name, info in list(way.connections.items()):
        way.connections[name] = ConnectionInfo(info.conn_id, info.conn_type, info.host, password="other")
    way.put(person(1))
    for _ in range(2):
        with pytest.raises(AuthFailed):
            way.run()


@pytest.mark.parametrize(
    ("write", "told"),
    [
        ({"create": {"path": "/contacts"}}, "could make a record twice after a failure"),
        ({"delete": {"path": "/contacts/{id}"}}, "writes nothing"),
        ({"upsert": {"path": "/x", "batch": 9, "failed": "error"}}, "nobody knows which record of a batch was refused"),
    ],
)
def test_a_block_that_cannot_be_trusted_is_refused(make, write: dict[str, Any], told: str) -> None:
    make(write)
    with pytest.raises(ConfigError, match=told):
        load_source("shop")


@pytest.mark.slow
def test_killed_anywhere_each_record_is_there_once(make, killed: Callable[..., tuple[int, dict[str, Any]]]) -> None:
    way, vendor = make(SINGLE)
    for number, place in enumerate(("push_sending:2", "push_sent:2", "push_settled:2", "push_confirmed:1")):
        people = [person(one, given_name=f"G{number}") for one in range(3 + number)]
        way.put(*people)
        assert killed(way, f"run{number}", place)[0] == -9, place
        locks.release(way.database, f"push {way.name}", f"run{number}")
        assert killed(way, f"run{number}b")[1]["status"] == "done"
        there = [(one["email"], one["first"]) for one in vendor.contacts.values()]
        assert there == [(f"p{one}@example.com", f"G{number}") for one in range(3 + number)]
        assert killed(way, f"run{number}c")[1]["counts"]["changes"] == 0


def test_what_a_vendor_quotes_of_our_request_is_kept_nowhere(make) -> None:
    class Quoting(Vendor):
        def upsert(self, said: dict[str, Any]) -> dict[str, Any]:
            return {"error": {"code": "INVALID", "message": f"{KEY} may not write {said['email']}"}}

    way, _ = make(BATCH, Quoting())
    way.put(person(1))
    found = way.run()
    with pytest.raises(PushFailed) as caught:
        running.require_well(found, way.name)
    for words in (str(caught.value), found.failures[0]["message"]):
        assert "may not write" in words
        assert KEY not in words
        assert "p1@example.com" not in words


def test_the_words_are_those_of_the_source_language(make) -> None:
    make(BATCH)
    assert load_source("shop").write["contacts"].upsert is not None
