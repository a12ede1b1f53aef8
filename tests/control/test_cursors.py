"""Cursors can be seen, set and rewound by hand, but not into nonsense."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest

from spine.control import audit
from spine.control.cursors import Cursors, Scale
from spine.control.database import TenantDatabase
from spine.control.variables import MemoryVariables
from spine.core import clock
from spine.core.errors import ConfigError

pytestmark = pytest.mark.postgres
CONNECTION = "ipai_connector_salesforce"
NAME = f"spine.cursor.{CONNECTION}.contacts"


@pytest.fixture
def cursors(control: TenantDatabase) -> Cursors:
    return Cursors(MemoryVariables(), control, CONNECTION)


def test_a_sync_moves_the_cursor_of_its_stream(cursors: Cursors) -> None:
    assert cursors.show("contacts") is None
    moved = cursors.move("contacts", "2026-01-31T08:15:00.000+0000", "run-1")
    assert cursors.show("contacts") == moved
    assert moved.run_id == "run-1"
    assert cursors.streams() == ["contacts"]
    assert orjson.loads(cursors.variables.get(NAME) or "")["value"] == "2026-01-31T08:15:00.000+0000"


def test_rewinding_goes_back_and_leaves_a_trace(cursors: Cursors) -> None:
    cursors.move("contacts", "2026-01-31T00:00:00Z", "run-1")
    cursors.rewind("contacts", "2026-01-01", by="ana")
    found = cursors.show("contacts")
    assert found is not None
    assert (found.value, found.run_id) == ("2026-01-01", "manual:ana")
    (row,) = audit.entries(cursors.database)
    assert (row["action"], row["resource_id"]) == ("cursor_rewound", f"{CONNECTION}.contacts")
    assert (row["old_value"], row["new_value"]) == ({"value": "2026-01-31T00:00:00Z", "run_id": "run-1"}, {"value": "2026-01-01"})


@pytest.mark.parametrize(
    ("value", "scale", "why"),
    [
        ("yesterday", "time", "not an ISO 8601 time"),
        (clock.to_text(clock.now() + timedelta(days=1)), "time", "future"),
        ("2026-02-01T00:00:00Z", "time", "not before"),
        ("12a", "number", "whole number"),
        ("", "text", "empty"),
    ],
    ids=["no time", "future", "forward", "no number", "empty"],
)
def test_a_rewind_that_makes_no_sense_is_refused_and_changes_nothing(cursors: Cursors, value: str, scale: Scale, why: str) -> None:
    before = cursors.move("contacts", "2026-01-31T00:00:00Z", "run-1")
    with pytest.raises(ConfigError, match=why):
        cursors.rewind("contacts", value, by="ana", scale=scale)
    assert cursors.show("contacts") == before
    assert audit.entries(cursors.database) == []


def test_there_must_be_a_cursor_to_rewind(cursors: Cursors) -> None:
    with pytest.raises(ConfigError, match="no cursor"):
        cursors.rewind("contacts", "2026-01-01", by="ana")


def test_numbers_are_compared_as_numbers(cursors: Cursors) -> None:
    cursors.set("contacts", "1000", by="ana", scale="number")
    cursors.rewind("contacts", "99", by="ana", scale="number")
    with pytest.raises(ConfigError, match="not before"):
        cursors.rewind("contacts", "100", by="ana", scale="number")


def test_setting_may_go_forward_up_to_now(cursors: Cursors) -> None:
    cursors.set("contacts", "2026-01-01", by="ana")
    cursors.set("contacts", clock.to_text(clock.now()), by="ana")
    with pytest.raises(ConfigError, match="future"):
        cursors.set("contacts", "2999-01-01", by="ana")


@pytest.mark.parametrize("raw", ["2026-01-01", '{"value": 1}', "[]", "null"])
def test_a_variable_that_somebody_spoilt_is_named(cursors: Cursors, raw: str) -> None:
    cursors.variables.set(NAME, raw)
    with pytest.raises(ConfigError, match=NAME.replace(".", r"\.")):
        cursors.show("contacts")
    cursors.set("contacts", "2026-01-01", by="ana")
    assert cursors.show("contacts") is not None


def test_memory_variables_forget_what_is_deleted() -> None:
    variables = MemoryVariables({"a.1": "x", "a.2": "y", "b": "z"})
    variables.delete("a.1")
    variables.delete("never there")
    assert variables.keys("a.") == ["a.2"]
