"""Extraction end to end at the level of Bronze: real HTTP, real PostgreSQL, real Delta."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.postgres


def test_smoke(make_spine):
    spine = make_spine()
    import time
    for source in ("salesforce", "hubspot", "people_files"):
        t = time.time()
        print([(r["stream"], r["rows"], r["cursor_to"] and r["cursor_to"][:60]) for r in spine.sync(source, "r1")], time.time() - t)
        t = time.time()
        print([(r["stream"], r["rows"], r["deletes"]) for r in spine.sync(source, "r2")], time.time() - t)
    print(spine.bronze("people_files", "people", ("record_id", "payload"))[-3:])
