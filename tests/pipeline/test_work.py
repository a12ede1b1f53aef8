"""A planned work crosses tasks, and updates of the code, as JSON."""

from __future__ import annotations

import orjson
import pytest

from spine.core.errors import ConfigError
from spine.pipeline.work import StreamWork

PLANNED = {
    "source": "hubspot",
    "stream": "contacts",
    "tenant": "acme",
    "connection_id": "ipai_connector_hubspot__acme",
    "mode": "incremental",
    "run_id": "scheduled__1",
    "window_start": None,
    "window_end": "2026-01-31T08:15:00.000000Z",
    "full": True,
    "backfill": False,
    "dry_run": False,
    "label": "acme · contacts",
    "job": "sync_hubspot_contacts_incremental",
    "triggered_by": "scheduled",
    "continues": "",
}


def test_a_work_is_the_json_that_it_was_read_from():
    assert orjson.loads(orjson.dumps(StreamWork.from_json(PLANNED).to_json())) == PLANNED


def test_what_other_code_has_added_to_a_plan_is_left_aside():
    assert StreamWork.from_json({**PLANNED, "priority": 3}).to_json() == PLANNED


def test_a_plan_of_before_a_stopped_reading_was_continued_begins_anew():
    assert StreamWork.from_json({key: value for key, value in PLANNED.items() if key != "continues"}).to_json() == PLANNED


def test_a_plan_that_lacks_something_is_refused_by_its_name():
    with pytest.raises(ConfigError, match="lacks tenant, window_end"):
        StreamWork.from_json({key: value for key, value in PLANNED.items() if key not in ("tenant", "window_end")})
