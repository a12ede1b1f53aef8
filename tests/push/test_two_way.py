"""Contacts of Salesforce and HubSpot, kept alike by one file: no loop, no loss, whoever changes what and whatever fails meanwhile."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from deltalake import DeltaTable

from spine.control import locks, push_conflicts
from spine.core import clock
from spine.core.errors import ApprovalNeeded, SpineError
from spine.core.names import bronze_table
from spine.lake.paths import table_uri
from tests.push.conftest import Way
from tests.push.crms import Crms

PROVES = "own sandbox"
FIELDS = {"Email": "email", "FirstName": "firstname", "LastName": "lastname", "Phone": "phone"}


@pytest.fixture
def both(crms: Crms) -> Crms:
    declare(crms)
    return crms


def declare(crms: Crms, rule: str = "latest_wins", **changes: Any) -> Way:
    mapping = changes.pop("mapping", FIELDS)
    crms.way.declare(
        source={"_instead": True, "connector": "salesforce", "object": "contacts"},
        destination={"_instead": True, "connector": "hubspot", "object": "contacts", "mapping": mapping, "match_key": ["Email"]},
        direction="bidirectional", conflict_resolution=rule, **changes,
    )  # fmt: skip
    return crms.way


def read(crms: Crms, name: str) -> None:
    for source in ("salesforce", "hubspot"):
        crms.read(source, f"{name}-{source}")


def held(crms: Crms, source: str) -> list[tuple[Any, ...]]:
    names = FIELDS.values() if source == "hubspot" else FIELDS
    rows = (tuple(row.get(name) or None for name in names) for row in crms.rows(source))
    return sorted(((str(mail).lower(), *rest) for mail, *rest in rows), key=repr)


def salesforce_contact(number: int, **values: Any) -> dict[str, Any]:
    return {
        "Email": f"S{number}@Example.com",
        "FirstName": f"Given{number}",
        "LastName": f"Family{number}",
        "Phone": f"+49 30 {number}",
        **values,
    }


def hubspot_contact(number: int, **values: Any) -> dict[str, Any]:
    return {
        "email": f"h{number}@example.com",
        "firstname": f"Given{number}",
        "lastname": f"Family{number}",
        "phone": f"+49 40 {number}",
        **values,
    }


def test_each_side_gets_what_only_the_other_has_and_then_both_are_left_alone(both: Crms) -> None:
    both.load("salesforce", *(salesforce_contact(number) for number in range(3)))
    both.load("hubspot", *(hubspot_contact(number) for number in range(2)))
    read(both, "first")
    found = both.way.run()
    assert (found.status, found.counts["creates"], found.counts["creates_here"]) == ("done", 3, 2)
    assert held(both, "salesforce") == held(both, "hubspot")
    assert len(held(both, "hubspot")) == 5
    writes = both.calls("batch/up") + both.calls("composite")
    for number in range(10):
        read(both, f"quiet{number}")
        assert both.way.run().counts["changes"] == 0, f"round {number}"
    assert both.calls("batch/up") + both.calls("composite") == writes


def test_contacts_that_both_have_are_one_and_each_fills_what_the_other_lacks(both: Crms) -> None:
    both.load("salesforce", salesforce_contact(1, Email="Ada@Example.com", Phone=None))
    both.load("hubspot", hubspot_contact(1, email="ada@example.com", firstname=None))
    read(both, "first")
    both.way.run()
    assert held(both, "salesforce") == held(both, "hubspot") == [("ada@example.com", "Given1", "Family1", "+49 40 1")]


def test_a_change_on_one_side_comes_to_the_other_also_of_the_key(both: Crms) -> None:
    both.load("salesforce", salesforce_contact(1), salesforce_contact(2))
    read(both, "first")
    both.way.run()
    read(both, "second")
    first = next(row for row in both.rows("salesforce") if row["FirstName"] == "Given1")
    other = next(row for row in both.rows("hubspot") if row["firstname"] == "Given2")
    both.edit("salesforce", first["Id"], Email="new@example.com", Phone=None)
    both.edit("hubspot", other["hs_object_id"], phone="+1")
    read(both, "third")
    found = both.way.run()
    assert (found.counts["updates"], found.counts["updates_here"]) == (1, 1)
    assert (
        held(both, "salesforce")
        == held(both, "hubspot")
        == [
            ("new@example.com", "Given1", "Family1", None),
            ("s2@example.com", "Given2", "Family2", "+1"),
        ]
    )


@pytest.mark.parametrize("side", ["salesforce", "hubspot"])
def test_a_record_that_was_deleted_and_made_again_is_kept_on_both_sides(crms: Crms, side: str) -> None:
    way = declare(crms, deletes={"mode": "hard_delete", "max_share": 1.0})
    crms.load("salesforce", salesforce_contact(1))
    read(crms, "first")
    way.run()
    read(crms, "second")
    crms.server.sandbox.advance(source=side, stream="contacts", tenant=way.tenant, deleted=1, at=clock.to_text(clock.now()))
    crms.touched = time.time()
    again = salesforce_contact(1, Phone="+7") if side == "salesforce" else hubspot_contact(1, email="s1@example.com", phone="+7")
    crms.load(side, again)
    read(crms, "third")
    found = way.run()
    assert (found.counts["deletes"], found.counts.get("deletes_here", 0)) == (0, 0)
    assert held(crms, "salesforce") == held(crms, "hubspot") == [("s1@example.com", "Given1", "Family1", "+7")]
    read(crms, "fourth")
    assert way.run().counts["changes"] == 0


@pytest.mark.parametrize("side", ["salesforce", "hubspot"])
def test_many_deletes_on_either_side_need_a_persons_word_and_a_few_do_not(crms: Crms, side: str) -> None:
    way = declare(crms, deletes={"mode": "hard_delete", "max_share": 0.5})
    crms.load("salesforce", *(salesforce_contact(number) for number in range(4)))
    read(crms, "first")
    way.run()
    read(crms, "second")
    for name, deleted in (("few", 1), ("many", 2)):
        crms.server.sandbox.advance(source=side, stream="contacts", tenant=way.tenant, deleted=deleted, at=clock.to_text(clock.now()))
        crms.touched = time.time()
        read(crms, name)
        if name == "few":
            assert way.run().status == "done"
    with pytest.raises(ApprovalNeeded, match="2 of 3 records"):
        way.run()
    assert len(crms.rows("hubspot" if side == "salesforce" else "salesforce")) == 3


def test_records_that_bronze_keeps_no_more_are_not_taken_for_deleted(crms: Crms) -> None:
    way = crms.way
    way.declare(
        source={"_instead": True, "connector": "salesforce", "object": "contacts", "filters": [{"field": "Phone", "none_of": ["secret"]}]},
        destination={"_instead": True, "connector": "hubspot", "object": "contacts", "mapping": FIELDS, "match_key": ["Email"]},
        deletes={"mode": "hard_delete", "max_share": 1.0},
    )  # fmt: skip
    ids = crms.load("salesforce", *(salesforce_contact(number) for number in range(3)))
    read(crms, "first")
    way.run()
    DeltaTable(table_uri(bronze_table("salesforce", "contacts"))).delete(f"tenant_id = '{way.tenant}'")  # its days are over
    assert way.run().counts["deletes"] == 0
    crms.edit("salesforce", ids[0], Phone="secret")
    crms.touched = time.time()
    crms.server.sandbox.advance(source="salesforce", stream="contacts", tenant=way.tenant, deleted=1, at=clock.to_text(clock.now()))
    read(crms, "second")
    left = {row["Email"].lower() for row in crms.rows("salesforce") if row["Phone"] != "secret"}
    way.run()
    assert {row["email"] for row in crms.rows("hubspot")} == left


@pytest.mark.parametrize(("rule", "winner"), [("source_wins", "ours"), ("target_wins", "theirs"), ("latest_wins", "theirs")])
def test_where_both_have_changed_a_field_the_rule_decides_and_other_fields_go_both_ways(crms: Crms, rule: str, winner: str) -> None:
    way = declare(crms, rule)
    (mine,) = crms.load("salesforce", salesforce_contact(1))
    read(crms, "first")
    way.run()
    read(crms, "second")
    its = crms.rows("hubspot")[0]["hs_object_id"]
    crms.edit("salesforce", mine, FirstName="ours", LastName="Mine")
    crms.edit("hubspot", its, firstname="theirs", phone="+2")

    read(crms, "third")
    way.run()
    assert held(crms, "salesforce") == held(crms, "hubspot") == [("s1@example.com", winner, "Mine", "+2")]


def test_a_person_decides_and_the_others_do_not_wait(crms: Crms) -> None:
    way = declare(crms, "manual")
    (mine,) = crms.load("salesforce", salesforce_contact(1))
    read(crms, "first")
    way.run()
    read(crms, "second")
    crms.edit("salesforce", mine, FirstName="ours", LastName="Mine")
    crms.edit("hubspot", crms.rows("hubspot")[0]["hs_object_id"], firstname="theirs")
    read(crms, "third")
    assert way.run().counts["conflicts"] == 1
    assert (crms.rows("hubspot")[0]["firstname"], crms.rows("hubspot")[0]["lastname"]) == ("theirs", "Mine")
    (waiting,) = push_conflicts.waiting(way.database, way.name)
    assert (waiting["field"], waiting["ours"], waiting["theirs"]) == ("firstname", "ours", "theirs")
    push_conflicts.decide(way.database, way.name, waiting["record_key"], "firstname", "target", by="ada")
    read(crms, "fourth")
    way.run()
    assert crms.rows("salesforce")[0]["FirstName"] == "theirs"
    assert push_conflicts.waiting(way.database, way.name) == []


def test_a_field_goes_the_way_that_it_may(crms: Crms) -> None:
    mapping = {**FIELDS, "FirstName": {"to": "firstname", "direction": "push"}, "Phone": {"to": "phone", "direction": "pull"}}
    way = declare(crms, mapping=mapping)
    (mine,) = crms.load("salesforce", salesforce_contact(1))
    read(crms, "first")
    way.run()
    read(crms, "second")
    crms.edit("salesforce", mine, Phone="mine")
    crms.edit("hubspot", crms.rows("hubspot")[0]["hs_object_id"], firstname="theirs", phone="+9")
    read(crms, "third")
    way.run()
    assert held(crms, "salesforce") == held(crms, "hubspot") == [("s1@example.com", "Given1", "Family1", "+9")]


@pytest.mark.slow
def test_ten_rounds_of_changes_faults_and_kills_end_alike(both: Crms, killed: Callable[..., tuple[int, dict[str, Any]]]) -> None:
    chance = random.Random(7)
    both.load("salesforce", *(salesforce_contact(number) for number in range(12)))
    both.load("hubspot", *(hubspot_contact(number) for number in range(8)))
    told: dict[str, str] = {}  # the last value of each field that one side alone has changed: none of them may be lost
    places = ("push_sending:1", "push_sent:2", "push_settled:1", "push_confirmed:1", "push_compared:1")
    for number in range(10):
        read(both, f"r{number}")
        if number % 2:
            killed(both.way, f"run{number}", places[number // 2])
            locks.release(both.way.database, f"push {both.way.name}", f"run{number}")
        if number % 3 == 1:
            both.server.sandbox.faults.add("cut", vendor="hubspot", path="/batch/up", nth=1)
            both.server.sandbox.faults.add("server_error", vendor="salesforce", path="/composite", nth=1)
        for attempt in range(4):
            try:
                both.way.run(f"run{number}-{attempt}")
                break
            except SpineError:
                continue
        mine, its = both.rows("salesforce"), both.rows("hubspot")
        chosen = chance.sample(range(len(mine)), 6)
        for place in chosen[:3]:
            both.edit("salesforce", mine[place]["Id"], Phone=f"+1 {number} {place}")
            told[str(mine[place]["Email"]).lower()] = f"+1 {number} {place}"
        touched = {str(mine[place]["Email"]).lower() for place in chosen}
        for row in chance.sample([row for row in its if row["email"] not in touched], 3):
            both.edit("hubspot", row["hs_object_id"], phone=f"+2 {number} {row['email']}")
            told[row["email"]] = f"+2 {number} {row['email']}"
        both.load("salesforce", salesforce_contact(100 + number))
        both.load("hubspot", hubspot_contact(100 + number))
    for number in range(2):
        read(both, f"end{number}")
        both.way.run()
    assert held(both, "salesforce") == held(both, "hubspot")
    assert len(held(both, "hubspot")) == 40
    phones = {mail: phone for mail, _, _, phone in held(both, "hubspot")}
    assert {mail: phones[mail] for mail in told} == told
    for number in range(3):
        read(both, f"quiet{number}")
        assert both.way.run().counts["changes"] == 0
