"""Golden records as they were: values, sources and records of a past time, redirects followed, also when old files are gone."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from deltalake import DeltaTable

from spine.core import clock
from spine.core.errors import ConfigError, LakeError
from spine.gold import stewardship as overrides
from spine.gold.history import golden_record
from spine.lake import gold
from spine.lake.paths import table_uri
from spine.lake.reading import table_names
from spine.pipeline import resolve as module
from spine.pipeline.resolve import resolve

pytestmark = pytest.mark.slow  # each test resolves a lake several times

WHO: dict[str, Any] = {"tenant": "default", "actor": "anna", "reason": "I asked them"}


def pause() -> datetime:
    """A moment between two runs."""
    time.sleep(0.005)
    moment = clock.now()
    time.sleep(0.005)
    return moment


def forget_old_files() -> int:
    """A vacuum that keeps nothing but the newest version of every table; the number of files that went."""
    removed = 0
    for name in table_names():
        table = DeltaTable(table_uri(name))
        table.optimize.compact()
        removed += len(table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True))
    return removed


def value(found: dict[str, Any], name: str) -> tuple[Any, Any]:
    return found["values"][name]["value"], found["values"][name]["source"]


@pytest.fixture
def story(people: Any) -> dict[str, Any]:
    """Jane moves, a second record joins her, she is merged with Jim, the merge is undone, Jim's record is deleted; then a vacuum."""
    jane, jim = people.JANE, people.JIM
    people.put("salesforce", [{"id": "1", **jane}, {"id": "2", **jim}])
    resolve(None, "person", "r1")
    ids = people.links()
    told = {"jane": ids["1"], "jim": ids["2"], "first": pause()}
    people.put("salesforce", [{"id": "1", **jane, "city": "York", "emitted_at": datetime(2026, 2, 1, tzinfo=UTC)}])
    people.put("hubspot", [{"id": "9", **jane, "phone": "+441132000123"}])
    resolve(None, "person", "r2")
    told["moved"] = pause()
    change = overrides.order("merge", entities=[ids["1"], ids["2"]], run_id="s1", **WHO)["change_id"]
    told["merged"] = pause()
    overrides.undo(change, run_id="s2", **WHO)
    told["undone"] = pause()
    people.put("salesforce", [{"id": "2", **jim, "is_deleted": True}])
    resolve(None, "person", "r3")
    told["after"] = pause()
    assert forget_old_files() > 10
    return told


def test_a_past_golden_record_can_be_told_after_old_files_are_gone(story):
    first = golden_record(story["jane"], tenant="default", moment=story["first"])
    assert value(first, "city") == ("Leeds", "salesforce")
    assert (first["records"], value(first, "phone")[0]) == (["salesforce:contacts:1"], None)
    moved = golden_record(story["jane"], tenant="default", moment=story["moved"])
    assert value(moved, "city") == ("York", "salesforce")
    assert value(moved, "phone") == ("+441132000123", "hubspot")
    assert moved["records"] == ["hubspot:contacts:9", "salesforce:contacts:1"]
    now = golden_record(story["jane"], tenant="default")
    assert {**now, "as_of": 0} == {**golden_record(story["jane"], tenant="default", moment=story["after"]), "as_of": 0}


def test_an_id_that_was_merged_at_the_time_leads_to_the_other_one(story):
    both = {golden_record(story[who], tenant="default", moment=story["merged"])["entity_id"] for who in ("jane", "jim")}
    assert both <= {story["jane"], story["jim"]}
    assert len(both) == 1
    assert len(golden_record(story["jim"], tenant="default", moment=story["merged"])["records"]) == 3
    for when in ("moved", "undone"):
        jim = golden_record(story["jim"], tenant="default", moment=story[when])
        assert (jim["entity_id"], jim["records"]) == (story["jim"], ["salesforce:contacts:2"])


def test_what_was_not_there_yet_or_not_any_more_is_said(story):
    with pytest.raises(ConfigError, match="was not there yet"):
        golden_record(story["jane"], tenant="default", moment=datetime(2020, 1, 1, tzinfo=UTC))
    for moment in (story["after"], None):
        with pytest.raises(ConfigError, match="came to an end"):
            golden_record(story["jim"], tenant="default", moment=moment)
    with pytest.raises(ConfigError, match="Tenant acme has no person"):
        golden_record(story["jane"], tenant="acme", moment=story["after"])


def test_a_change_can_be_undone_after_old_files_are_gone(people):
    people.put("salesforce", [{"id": "1", **people.JANE}, {"id": "2", **people.JIM}])
    resolve(None, "person", "r1")
    ids = people.links()
    change = overrides.order("merge", entities=[ids["1"], ids["2"]], run_id="s1", **WHO)["change_id"]
    forget_old_files()
    overrides.undo(change, run_id="s2", **WHO)
    assert people.links() == ids


def test_where_matching_is_unavailable_gold_stays_and_the_next_run_catches_up(people, monkeypatch):
    people.put("salesforce", [{"id": "1", **people.JANE}, {"id": "2", **people.JIM}])
    resolve(None, "person", "r1")
    ids = people.links()
    before = {name: version for name, version in people.versions().items() if name.startswith("gold")}
    people.put("hubspot", [{"id": "9", **people.JANE}])

    def unavailable(*_: Any, **__: Any) -> Any:
        raise LakeError("no engine to match with")

    with monkeypatch.context() as broken:
        broken.setattr(module, "resolve_tenant", unavailable)
        with pytest.raises(LakeError, match="no engine"):
            resolve(None, "person", "r2")
    assert {name: version for name, version in people.versions().items() if name.startswith("gold")} == before
    assert "9" not in people.links()
    assert resolve(None, "person", "r3")["changed_records"] == 1
    assert people.links() == {**ids, "9": ids["1"]}
    assert [row["kind"] for row in people.rows(gold.CHANGES)].count("joined") == 1
