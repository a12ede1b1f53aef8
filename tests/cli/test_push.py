"""`spine push …` from the command line, to a real PostgreSQL: plan, run, look, decide, undo, and what a script sees of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from spine.cli import world
from spine.cli.commands import app
from tests.push.conftest import Warehouse, Way, make_way, person, relay, warehouse, way  # noqa: F401  # fixtures

Spine = Callable[..., Any]


@pytest.fixture
def spine(way: Way, monkeypatch: pytest.MonkeyPatch) -> Spine:  # noqa: F811
    monkeypatch.setattr(world, "services", lambda: way.services)

    def run(*words: str) -> Any:
        done = CliRunner().invoke(app, ["push", *words, "--tenant", way.tenant], prog_name="spine")
        return done

    return run


def test_plan_shows_run_sends_show_tells_and_undo_takes_back(spine: Spine, way: Way, warehouse: Warehouse) -> None:  # noqa: F811
    way.put(person(1), person(2))
    planned = spine("plan", way.name)
    assert planned.exit_code == 0, planned.output
    assert "p1@example.com" in planned.stdout
    assert json.loads(spine("plan", way.name, "--json").stdout)[0]["counts"]["creates"] == 2
    assert spine("run", way.name).exit_code == 0
    (done,) = json.loads(spine("runs", way.name, "--json").stdout)
    assert (done["status"], done["changes"]) == ("done", 2)
    changes = json.loads(spine("show", way.name, done["run_id"], "--json").stdout)
    assert [(one["op"], one["state"]) for one in changes] == [("create", "confirmed")] * 2
    assert spine("undo", way.name, done["run_id"], "--dry-run").exit_code == 0
    assert len(warehouse.ask("SELECT * FROM customer_360.customers")) == 2
    assert spine("undo", way.name, done["run_id"]).exit_code == 0
    assert warehouse.ask("SELECT * FROM customer_360.customers") == []


def test_what_needs_a_persons_word_is_refused_clearly_and_passes_with_it(spine: Spine, way: Way, warehouse: Warehouse) -> None:  # noqa: F811
    way.declare(max_changes=1)
    way.put(person(1), person(2))
    refused = spine("run", way.name)
    assert refused.exit_code == 1
    assert "[APPROVAL_NEEDED] 2 changes are more than the 1 of `max_changes`" in refused.stderr
    assert "--approve" in refused.stderr
    assert spine("run", way.name, "--approve").exit_code == 0
    assert len(warehouse.ask("SELECT * FROM customer_360.customers")) == 2


def test_what_a_table_refuses_is_told_in_its_words(spine: Spine, way: Way, warehouse: Warehouse) -> None:  # noqa: F811
    way.put(person(1))
    spine("run", way.name)
    warehouse.ask("ALTER TABLE customer_360.customers ADD CONSTRAINT no_bots CHECK (email NOT LIKE 'bot%')")
    way.put(person(1, email="bot@example.com"))
    refused = spine("run", way.name)
    assert refused.exit_code == 1, "nothing of it arrived"
    assert "no_bots" in refused.output


def test_mistakes_end_with_code_two(spine: Spine, way: Way) -> None:  # noqa: F811
    assert "there is no way back named 'nothing'" in spine("plan", "nothing").stderr
    assert "has no run 'x'" in spine("show", way.name, "x").stderr
    assert "no conflict waits" in spine("decide", way.name, "key", "email", "--take", "source").stderr
    assert spine("decide", way.name, "key", "email", "--take", "mine").exit_code == 2
    assert json.loads(spine("conflicts", way.name, "--json").stdout) == []
    way.declare(enabled=False)
    assert "is not enabled" in spine("run", way.name).stderr
