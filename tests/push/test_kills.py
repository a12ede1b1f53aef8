"""A push that is killed (SIGKILL) anywhere and run again ends where the undisturbed one ends: nothing is lost, nothing is there twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spine.control import locks
from tests.push.conftest import Warehouse, Way, person

pytestmark = [pytest.mark.slow]
PLACES = [f"push_{name}:{time}" for name in ("sending", "sent", "settled") for time in (1, 2)] + ["push_confirmed:1", "push_compared:1"]
ALL = "SELECT customer_id, first_name, email, count(*) FROM customer_360.customers GROUP BY 1, 2, 3 ORDER BY 1"


def end_of(warehouse: Warehouse) -> list[Any]:
    return warehouse.ask(ALL)


@pytest.mark.parametrize("same_run", [True, False], ids=["the same run goes on", "another run follows"])
def test_postgresql(way: Way, warehouse: Warehouse, killed: Callable[..., tuple[int, dict[str, Any]]], same_run: bool) -> None:
    way.declare(deletes={"mode": "hard_delete", "max_share": 1.0})
    warehouse.ask("CREATE SCHEMA customer_360")
    # No key and no index: nothing but we keeps a row from being there twice.
    warehouse.ask(
        "CREATE TABLE customer_360.customers (customer_id text, first_name text, email text, born date, score numeric, records int)"
    )
    for number, place in enumerate(PLACES):
        people = [person(one, email=f"p{one}-{number}@example.com") for one in range(number, number + 6)]
        way.put(*people)
        code, _ = killed(way, f"run{number}", place)
        locks.release(way.database, f"push {way.name}", f"run{number}")  # as its lease ends by itself
        code_after, told = killed(way, f"run{number}" if same_run else f"run{number}b")
        assert code_after == 0
        assert told["status"] == "done"
        assert end_of(warehouse) == [(one["entity_id"], one["given_name"], one["email"], 1) for one in people], place
        assert code == -9, f"{place} was passed"
        assert killed(way, f"run{number}c")[1]["counts"]["changes"] == 0
