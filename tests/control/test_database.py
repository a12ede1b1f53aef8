"""Sessions of the control plane: pooled, and replaced when the server has ended them."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import text

from spine.control.database import Database

pytestmark = pytest.mark.postgres
_OTHERS = text("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()")


def wait_until_gone(database: Database, sessions: set[int]) -> None:
    for _ in range(100):
        with database.begin() as connection:
            alive = set(connection.scalars(text("SELECT pid FROM pg_stat_activity")))
        if not alive & sessions:
            return
        time.sleep(0.05)


def test_a_session_that_the_server_has_ended_is_replaced(database: Database) -> None:
    mine, other = Database(database.url), Database(database.url)
    with mine.begin() as first, mine.begin() as second:
        before = {connection.scalar(text("SELECT pg_backend_pid()")) for connection in (first, second)}
    with other.begin() as connection:
        assert connection.scalar(_OTHERS) >= len(before)
    wait_until_gone(other, before)
    with mine.begin() as first, mine.begin() as second:
        assert {connection.scalar(text("SELECT pg_backend_pid()")) for connection in (first, second)}.isdisjoint(before)
    mine.close()
    other.close()
