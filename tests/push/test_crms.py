"""Golden persons in Salesforce and HubSpot, by the sandbox: batches, ids, refusals, limits, kills; what is known from Bronze."""

from __future__ import annotations

from typing import Any

import pytest

from spine.control import locks
from spine.core import clock
from spine.core.errors import SpineError
from tests.push.conftest import Way, person
from tests.push.crms import Crms

PROVES = "own sandbox"
HUBSPOT = {"connector": "hubspot", "object": "contacts", "match_key": ["email"],
           "mapping": {"email": "email", "given_name": "firstname", "family_name": "lastname"}}  # fmt: skip
SALESFORCE = {"connector": "salesforce", "object": "contacts", "match_key": ["email"],
              "mapping": {"email": "Email", "given_name": "FirstName", "family_name": "LastName"}}  # fmt: skip


def to(crms: Crms, destination: dict[str, Any], **changes: Any) -> Way:
    crms.way.declare(destination={**destination, "_instead": True}, **changes)
    return crms.way


BOTH = pytest.mark.parametrize(
    ("source", "destination", "part", "most"),
    [("hubspot", HUBSPOT, "/batch/upsert", 100), ("salesforce", SALESFORCE, "/composite/sobjects", 200)],
    ids=["hubspot", "salesforce"],
)


@BOTH
def test_persons_are_made_in_full_batches_and_then_left_alone(crms, source, destination, part, most) -> None:
    way, count = to(crms, destination), most + 20
    way.put(*(person(number) for number in range(count)))
    found = way.run()
    assert (found.status, found.counts["confirmed"]) == ("done", count)
    assert crms.people(source) == sorted((f"p{number}@example.com", f"Given{number}", f"Family{number}") for number in range(count))
    assert crms.calls(part) == 2
    assert way.run().counts["changes"] == 0
    assert crms.calls(part) == 2


@BOTH
def test_only_what_differs_is_changed_by_id(crms, source, destination, part, most) -> None:
    way = to(crms, destination)
    way.put(person(1), person(2))
    way.run()
    way.put(person(1, given_name="Ada"), person(2))
    found = way.run("change")
    assert found.counts["updates"] == 1
    assert crms.people(source)[0][1] == "Ada"
    assert len(crms.rows(source)) == 2
    way.run("back", undoes="change")
    assert crms.people(source)[0][1] == "Given1"
    assert way.run().counts["changes"] == 0


@BOTH
def test_a_contact_that_is_there_is_met_and_keeps_what_we_do_not_send(crms, source, destination, part, most) -> None:
    mine = {"email": "p1@example.com", "phone": "+49 30 1"}
    crms.load(source, mine if source == "hubspot" else {"Email": "P1@example.com", "LastName": "Old", "Phone": "+49 30 1"})
    way = to(crms, destination)
    way.put(person(1))
    way.run()
    (row,) = crms.rows(source)
    assert (row.get("phone") or row.get("Phone"), row.get("lastname") or row.get("LastName")) == ("+49 30 1", "Family1")


@BOTH
def test_a_refused_contact_keeps_the_vendors_words_and_holds_up_no_other(crms, source, destination, part, most) -> None:
    way = to(crms, destination)
    way.put(*(person(number, email="nobody" if number == 3 else f"p{number}@example.com") for number in range(7)))
    found = way.run()
    assert (found.status, found.counts["confirmed"], found.counts["failed"]) == ("done", 6, 1)
    assert "invalid" in found.failures[0]["message"]
    assert way.run().counts["set_aside"] == 1


@BOTH
def test_hard_deletes_take_what_we_have_made(crms, source, destination, part, most) -> None:
    way = to(crms, destination, deletes={"mode": "hard_delete", "max_share": 1.0})
    way.put(person(1), person(2))
    way.run()
    way.put(person(2))
    assert way.run().counts["deletes"] == 1
    assert [row[0] for row in crms.people(source)] == ["p2@example.com"]


@BOTH
def test_limits_failures_and_lost_answers_make_nothing_twice(crms, source, destination, part, most) -> None:
    way = to(crms, destination)
    way.put(*(person(number) for number in range(30)))
    crms.server.sandbox.faults.add("rate_limit", vendor=source, path=part, nth=1, retry_after=0.01)
    crms.server.sandbox.faults.add("cut", vendor=source, path=part, nth=2)
    for number in range(3):
        try:
            way.run(f"try{number}")
            break
        except SpineError:
            continue
    assert way.run().counts["changes"] == 0
    assert len(crms.rows(source)) == 30


@BOTH
def test_what_they_hold_is_known_from_bronze(crms, source, destination, part, most) -> None:
    crms.load(source, {"email": "p1@example.com", "firstname": "Given1", "lastname": "Family1"} if source == "hubspot"
              else {"Email": "p1@example.com", "FirstName": "Given1", "LastName": "Family1"})  # fmt: skip
    crms.read(source, "read")
    before = len(crms.server.sandbox.calls)
    way = to(crms, destination)
    way.put(person(1))
    found = way.run()
    assert (found.counts["unchanged"], found.counts["changes"]) == (1, 0)
    assert len(crms.server.sandbox.calls) == before, "nobody was asked"


@BOTH
def test_what_was_deleted_there_is_not_made_again(crms, source, destination, part, most) -> None:
    way = to(crms, destination)
    way.put(person(1))
    way.run()
    crms.read(source, "one")
    crms.server.sandbox.advance(source=source, stream="contacts", tenant=way.tenant, deleted=1, at=clock.to_text(clock.now()))
    crms.read(source, "two")
    way.put(person(1, given_name="Ada"))
    assert way.run().counts["gone_there"] == 1
    assert crms.rows(source) == []


@BOTH
@pytest.mark.slow
def test_killed_anywhere_each_contact_is_there_once(crms, killed, source, destination, part, most) -> None:
    way = to(crms, destination)
    for number, place in enumerate(("push_sending:1", "push_sent:1", "push_settled:1", "push_confirmed:1")):
        people = [person(one, given_name=f"G{number}") for one in range(3 + number)]
        way.put(*people)
        assert killed(way, f"run{number}", place)[0] == -9, place
        locks.release(way.database, f"push {way.name}", f"run{number}")
        assert killed(way, f"run{number}b")[1]["status"] == "done"
        assert crms.people(source) == [(f"p{one}@example.com", f"G{number}", f"Family{one}") for one in range(3 + number)]
        assert killed(way, f"run{number}c")[1]["counts"]["changes"] == 0
