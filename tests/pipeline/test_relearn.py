"""A tenant's weights are learned anew in the run that outgrows them: told in the result and as an event, once, whatever dies on the way."""

from __future__ import annotations

import os
from typing import Any

import pytest

from spine.control import events
from spine.core.entities import load_entity
from spine.gold.evidence import why
from spine.gold.store import newest_model
from spine.lake import gold
from spine.pipeline.resolve import resolve

pytestmark = pytest.mark.postgres
REASON = "there are 60 records, 30 when the weights were learned"
RESOLVE = "from spine.pipeline.resolve import resolve; resolve(None, 'person', 'k2')"


def _told(database: Any, run_id: str) -> list[Any]:
    told = [event.event.facts() for event in events.recent(database.of("default")) if event.event.kind == "weights.relearned"]
    return [facts for facts in told if facts["run_id"] == run_id]


def test_new_weights_are_told_by_result_and_event(gold_world, database):
    gold_world.put("salesforce", gold_world.crowd(30))
    assert resolve(None, "person", "r1", database=database)["relearned"] == []
    gold_world.put("salesforce", gold_world.crowd(60)[30:])
    (facts,) = resolve(None, "person", "r2", database=database)["relearned"]
    assert (facts["tenant"], facts["reason"], facts["records"], facts["way"]) == ("default", REASON, 60, "learn")
    assert _told(database, "r2") == [{name: value for name, value in facts.items() if name != "tenant"}]
    assert resolve(None, "person", "r3", database=database)["no_op"]
    assert len(_told(database, "r2")) == 1


def test_new_weights_of_a_run_that_was_killed_are_told_once_by_the_next(gold_world, database, run_program, tmp_path):
    gold_world.put("salesforce", gold_world.crowd(30))
    resolve(None, "person", "k1", database=database)
    gold_world.put("salesforce", gold_world.crowd(60)[30:])
    (tmp_path / "job.py").write_text(RESOLVE)
    killed = run_program(tmp_path / "job.py", env=os.environ | {"SPINE_FAILPOINT": "resolve.after_models"})
    assert killed.returncode == -9, killed.stderr[-2000:]
    assert _told(database, "k2") == []
    for run_id in ("k2", "k3"):
        resolve(None, "person", run_id, database=database)
        (facts,) = _told(database, "k2")
        assert (facts["run_id"], facts["reason"]) == ("k2", REASON)


def test_counts_that_have_risen_are_what_the_next_run_and_every_reader_go_by(gold_world):
    gold_world.put("salesforce", gold_world.crowd())
    gold_world.resolve()
    staff = [row | {"id": f"n{number}", "phone": "+442079460000"} for number, row in enumerate(gold_world.crowd(80)[60:])]
    gold_world.put("salesforce", staff)
    gold_world.resolve()
    model = newest_model(load_entity("person"), "default")
    assert model is not None
    assert model.terms["phone"]["1"].counts["2079460000"] > 10
    told = why("salesforce:contacts:n0", "salesforce:contacts:n1")
    assert any(step["attribute"] == "phone" and step["level"] == 1 for step in told["steps"])
    versions = gold.versions(load_entity("person"))
    gold_world.resolve()
    assert gold.versions(load_entity("person")) == versions
