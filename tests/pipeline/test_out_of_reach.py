"""Records that tell too little to be one are said so, by the result and by an event; each becomes a golden record all the same."""

from __future__ import annotations

from typing import Any

import pytest

from spine.control import events
from spine.pipeline.resolve import resolve

pytestmark = pytest.mark.postgres


def _told(database: Any, *runs: str) -> list[Any]:
    told = [event.event for event in events.recent(database.of("default")) if event.event.kind == "identity.out_of_reach"]
    return [event for event in told if event.run_id in runs]


def _namesakes() -> list[dict[str, Any]]:
    given, family = ([f"{letter}{end}" for letter in "bcdfglmnpr"] for end in ("anna", "owski"))
    names = [(one, other) for one in given for other in family for _ in range(3)]
    return [{"id": f"n{number}", "given_name": one, "family_name": other} for number, (one, other) in enumerate(names)]


def test_names_alone_are_told_once_to_reach_nothing(gold_world, database):
    gold_world.put("salesforce", _namesakes())
    found = resolve(None, "person", "r1", database=database)
    (facts,) = found["could_not"]
    assert (found["entities"], found["accepted"], facts["tenant"], facts["records"]) == (300, 0, "default", 300)
    assert facts["out_of_reach"].startswith("no two of the 300 records can be one: even with the same person name two are one with")
    assert facts["out_of_reach"].endswith("a street and postcode or a number that one has alone)")
    (event,) = _told(database, "r1")
    assert (event.entity, event.run_id, event.records, event.message) == ("person", "r1", 300, facts["out_of_reach"])
    gold_world.put("salesforce", [{"id": "late", "given_name": "Zoë", "family_name": "Quist"}])
    assert resolve(None, "person", "r2", database=database)["could_not"] == []
    assert len(_told(database, "r1", "r2")) == 1


def test_records_that_tell_enough_are_told_how_rare_a_match_is(gold_world, database):
    gold_world.put("salesforce", gold_world.crowd())
    (facts,) = resolve(None, "person", "e1", database=database)["could_not"]
    assert facts["out_of_reach"] is None
    assert _told(database, "e1") == []
    gold_world.put("hubspot", gold_world.crowd()[:40])
    (facts,) = resolve(None, "person", "e2", database=database)["could_not"]
    assert any(line.startswith("By the weights 1 of ") for line in facts["lines"])
