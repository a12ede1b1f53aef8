"""Golden persons in a table of PostgreSQL: made, kept up to date, and only written where something differs."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from decimal import Decimal

import psycopg
import pytest
from sqlalchemy import text

from spine.control import connections, locks, pushes
from spine.control.pushes import Change
from spine.core.errors import ApprovalNeeded, AuthFailed, ConfigError, SourceRejected, SourceUnavailable, SpineError, SyncInProgress
from spine.core.names import connection_id
from spine.push import running
from spine.push.destination import Outcome
from spine.push.destinations import postgresql
from spine.push.destinations.postgresql import Postgresql
from spine.push.spec import load_push
from tests.push.conftest import Warehouse, Way, person

ALL = "SELECT customer_id, first_name, email, records FROM customer_360.customers ORDER BY 1"


def rows(warehouse: Warehouse) -> list[tuple[object, ...]]:
    return warehouse.ask(ALL)


def test_the_first_run_makes_the_table_with_our_types(way: Way, warehouse: Warehouse) -> None:
    way.put(person(1, birth_date=dt.date(1990, 5, 17), score=Decimal("12.500000")), person(2, email=None))
    found = way.run()
    assert (found.status, found.counts["creates"], found.counts["confirmed"]) == ("done", 2, 2)
    assert warehouse.ask("SELECT born, score, records FROM customer_360.customers ORDER BY 1") == [
        (dt.date(1990, 5, 17), Decimal("12.5"), 1),
        (None, None, 2),
    ]


def test_a_run_that_changes_nothing_sends_nothing(way: Way, warehouse: Warehouse) -> None:
    way.put(person(1), person(2))
    way.run()
    before = warehouse.ask("SELECT xmin::text, * FROM customer_360.customers ORDER BY customer_id")
    again = way.run()
    assert (again.counts["changes"], again.counts["unchanged"], again.status) == (0, 2, "done")
    assert warehouse.ask("SELECT xmin::text, * FROM customer_360.customers ORDER BY customer_id") == before


def test_only_fields_that_differ_are_sent(way: Way, warehouse: Warehouse) -> None:
    way.put(person(1), person(2))
    way.run()
    warehouse.ask("UPDATE customer_360.customers SET first_name = 'theirs' WHERE customer_id = 'per_0001'")
    way.put(person(1, email="new@example.com"), person(2))
    assert way.run().counts["updates"] == 1
    assert rows(warehouse)[0] == ("per_0001", "theirs", "new@example.com", 1), "a field that we have not changed is not written"


def test_a_full_run_writes_every_row_again(way: Way, warehouse: Warehouse) -> None:
    way.put(person(1), person(2))
    way.run()
    warehouse.ask("UPDATE customer_360.customers SET first_name = 'theirs' WHERE customer_id = 'per_0001'")
    warehouse.ask("DELETE FROM customer_360.customers WHERE customer_id = 'per_0002'")
    way.declare(sync_mode="full")
    way.run()
    assert [row[1] for row in rows(warehouse)] == ["Given1", "Given2"]


def test_a_value_that_we_clear_is_cleared_there(way: Way, warehouse: Warehouse) -> None:
    way.put(person(1))
    way.run()
    way.put(person(1, email=None))
    way.run()
    assert rows(warehouse)[0][2] is None


def test_filters_say_which_rows_are_sent(way: Way, warehouse: Warehouse) -> None:
    way.declare(source={"filters": [{"field": "country", "one_of": ["FR"]}]})
    way.put(person(1), person(2, country="FR"))
    way.run()
    assert [row[0] for row in rows(warehouse)] == ["per_0002"]


def test_another_tenant_sees_and_sends_its_own_rows_alone(way: Way, warehouse: Warehouse) -> None:
    way.put(person(1))
    from tests.push.conftest import put_gold

    put_gold([person(9)], "acme")
    way.run()
    assert [row[0] for row in rows(warehouse)] == ["per_0001"]


def test_append_adds_and_never_changes(way: Way, warehouse: Warehouse) -> None:
    way.declare(destination={"operation": "append"})
    way.put(person(1))
    way.run()
    way.put(person(1, email="new@example.com"), person(2))
    found = way.run()
    assert (found.counts["creates"], found.counts["left"]) == (1, 1)
    assert [row[2] for row in rows(warehouse)] == ["p1@example.com", "p2@example.com"]


def test_update_makes_no_row(way: Way, warehouse: Warehouse) -> None:
    way.put(person(1))
    way.run()
    way.declare(destination={"operation": "update"})
    way.put(person(1, email="new@example.com"), person(2))
    found = way.run()
    assert (found.counts["updates"], found.counts["absent"]) == (1, 1)
    assert [row[0] for row in rows(warehouse)] == ["per_0001"]


def test_overwrite_takes_away_what_is_not_ours(way: Way, warehouse: Warehouse) -> None:
    way.declare(deletes={"max_share": 1.0}, destination={"operation": "overwrite"})
    way.put(person(1), person(2))
    way.run()
    warehouse.ask("INSERT INTO customer_360.customers (customer_id) VALUES ('foreign')")
    way.run()
    assert [row[0] for row in rows(warehouse)] == ["per_0001", "per_0002"]


def test_overwrite_deletes_each_row_once_so_that_undo_makes_it_once(way: Way, warehouse: Warehouse) -> None:
    way.declare(destination={"operation": "overwrite"}, deletes={"mode": "hard_delete"})
    warehouse.ask("CREATE SCHEMA customer_360")
    warehouse.ask(
        "CREATE TABLE customer_360.customers (customer_id text, first_name text, email text, born date, score numeric, records int)"
    )
    way.put(person(1), person(2))
    way.run()
    way.put(person(1))
    assert way.run("gone", approved_by="ada").counts["deletes"] == 1
    way.run(undoes="gone")
    assert [row[0] for row in rows(warehouse)] == ["per_0001", "per_0002"]


def test_a_row_that_somebody_removed_is_written_anew_as_soon_as_it_changes(way: Way, warehouse: Warehouse) -> None:
    way.put(person(1))
    way.run()
    warehouse.ask("DELETE FROM customer_360.customers")
    way.put(person(1, email="new@example.com"))
    way.run()
    assert rows(warehouse) == [("per_0001", "Given1", "new@example.com", 1)]


def test_rows_that_are_there_already_are_met_and_not_made_twice(way: Way, warehouse: Warehouse) -> None:
    warehouse.ask("CREATE SCHEMA customer_360")
    warehouse.ask(
        "CREATE TABLE customer_360.customers (customer_id text, first_name text, email text, born date, score numeric, records int)"
    )
    warehouse.ask("INSERT INTO customer_360.customers VALUES ('per_0001', 'Given1', 'old@example.com', NULL, NULL, 1)")
    way.put(person(1), person(2))
    found = way.run()
    assert found.status == "done"
    assert rows(warehouse) == [("per_0001", "Given1", "p1@example.com", 1), ("per_0002", "Given2", "p2@example.com", 2)]


def test_a_row_that_is_refused_keeps_the_words_and_holds_up_no_other(way: Way, warehouse: Warehouse) -> None:
    way.put(*(person(number) for number in range(8)))
    way.run()
    warehouse.ask("ALTER TABLE customer_360.customers ADD CONSTRAINT no_bots CHECK (email NOT LIKE 'bot%')")
    way.put(*(person(number, email=f"bot{number}@x.com" if number == 5 else f"n{number}@x.com") for number in range(8)))
    found = way.run()
    assert (found.status, found.counts["confirmed"], found.counts["failed"]) == ("done", 7, 1)
    assert found.failures[0]["code"] == "23514"
    assert "no_bots" in found.failures[0]["message"]
    again = way.run()
    assert (again.counts["changes"], again.counts["set_aside"]) == (0, 1), "the same values are not sent again"
    way.put(*(person(number, email=f"m{number}@x.com") for number in range(8)))
    assert way.run().counts["confirmed"] == 8


def test_deletes_are_ignored_unless_the_file_says_otherwise(way: Way, warehouse: Warehouse) -> None:
    way.put(person(1), person(2))
    way.run()
    way.put(person(1))
    assert way.run().counts["gone"] == 1
    assert len(rows(warehouse)) == 2


def test_a_hard_delete_takes_only_what_we_have_sent(way: Way, warehouse: Warehouse) -> None:
    way.declare(deletes={"mode": "hard_delete", "max_share": 0.5})
    way.put(person(1), person(2))
    way.run()
    warehouse.ask("INSERT INTO customer_360.customers (customer_id) VALUES ('foreign')")
    way.put(person(1))
    way.run()
    assert [row[0] for row in rows(warehouse)] == ["foreign", "per_0001"]
    way.put(person(1), person(2))
    way.run()
    assert [row[0] for row in rows(warehouse)] == ["foreign", "per_0001", "per_0002"]


def test_a_soft_delete_marks_and_a_row_that_comes_back_is_unmarked(way: Way, warehouse: Warehouse) -> None:
    way.declare(deletes={"mode": "soft_delete", "field": "gone", "value": True, "max_share": 1.0})
    way.put(person(1), person(2))
    way.run()
    way.put(person(1))
    assert way.run().counts["marked"] == 1
    assert way.run().counts["changes"] == 0
    marks = "SELECT customer_id, gone FROM customer_360.customers ORDER BY 1"
    assert warehouse.ask(marks) == [("per_0001", None), ("per_0002", True)]
    way.put(person(1), person(2))
    way.run()
    assert warehouse.ask(marks)[1] == ("per_0002", False)


def test_deletes_of_too_many_and_too_many_changes_need_a_persons_word(way: Way, warehouse: Warehouse) -> None:
    way.declare(max_changes=3, deletes={"mode": "hard_delete"})
    way.put(*(person(number) for number in range(5)))
    with pytest.raises(ApprovalNeeded, match="5 changes are more than the 3"):
        way.run("first")
    assert warehouse.ask("SELECT to_regclass('customer_360.customers') IS NULL") == [(True,)]
    assert way.run(approved_by="ada").counts["confirmed"] == 5
    way.put(person(0), person(1), person(2))
    with pytest.raises(ApprovalNeeded, match="2 of 5 records would be deleted"):
        way.run()
    assert len(rows(warehouse)) == 5
    assert [run.approved_by for run in pushes.runs(way.database, way.name)][1] == "ada"


def test_a_plan_shows_the_rows_and_writes_nothing(way: Way, warehouse: Warehouse) -> None:
    way.put(person(1))
    found = way.plan()
    assert found.counts["creates"] == 1
    assert found.shown[0].fields["email"] == "p1@example.com"
    assert pushes.runs(way.database, way.name) == []
    assert warehouse.ask("SELECT 1 FROM pg_namespace WHERE nspname = 'customer_360'") == [], "no table is made for a plan"
    assert way.run().counts["creates"] == 1


def test_undo_sends_back_what_stood_there_and_the_next_run_leaves_it_so(way: Way, warehouse: Warehouse) -> None:
    way.put(person(1), person(2))
    way.run()
    before = rows(warehouse)
    way.put(person(1, email="wrong@example.com"), person(2, email="wrong2@example.com"), person(3))
    way.run("bad")
    warehouse.ask("UPDATE customer_360.customers SET email = 'a person' WHERE customer_id = 'per_0002'")
    found = way.run("back", undoes="bad")
    assert (found.counts["updates"], found.counts["deletes"], found.counts["changed_since"]) == (1, 1, 1)
    assert rows(warehouse) == [before[0], ("per_0002", "Given2", "a person", 2)]
    assert way.run().counts["changes"] == 0, "what was taken back is not sent again"
    way.put(person(1, email="right@example.com"), person(2), person(3, email="other@example.com"))
    way.run()
    assert [row[2] for row in rows(warehouse)] == ["right@example.com", "p2@example.com", "other@example.com"]


def test_undo_leaves_rows_that_were_there_before_the_run(way: Way, warehouse: Warehouse) -> None:
    way.put(person(1))
    way.run()
    with way.database.begin() as connection:
        connection.execute(text("DELETE FROM spine.push_records"))  # as for a table that somebody else has filled
    way.put(person(1), person(2))
    way.run("met")
    assert len(rows(warehouse)) == 2
    assert way.run(undoes="met").counts["deletes"] == 1
    assert [row[0] for row in rows(warehouse)] == ["per_0001"], "what the run has made is gone, what it has met stays"


def test_values_of_people_are_forgotten_after_thirty_days_also_of_a_run_that_died(way: Way) -> None:
    way.put(person(1))
    dead = way.work("dead")
    running.begin(dead, load_push(way.name), way.services)
    running.compare(dead, way.services)
    locks.release(way.database, dead.lock, dead.run_id)
    with way.database.begin() as connection:
        connection.execute(text("UPDATE spine.push_runs SET started_at = started_at - interval '31 days'"))
    way.run()
    assert pushes.changes(way.database, way.name, "dead", pushes.Wanted()) == []


def test_two_runs_do_not_write_at_once(way: Way, warehouse: Warehouse) -> None:
    way.put(person(1))
    running.plan(way.name, "one", way.services, tenants=[way.tenant])
    with pytest.raises(SyncInProgress):
        running.plan(way.name, "two", way.services, tenants=[way.tenant])


def test_a_run_that_another_has_followed_meanwhile_sends_nothing_more(
    way: Way, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    way.put(person(1), person(2))
    slow, send, calls = way.work("slow"), Postgresql.send, []
    running.begin(slow, load_push(way.name), way.services)
    running.compare(slow, way.services)

    def lasting(self: Postgresql, changes: Sequence[Change]) -> list[Outcome]:
        outcomes = send(self, changes)
        calls.append(len(changes))
        if len(calls) == 1:  # it takes so long that its lease ends, and another run does all the work
            locks.release(way.database, slow.lock, slow.run_id)
            way.put(person(1), person(2, email="new@example.com"))
            way.run("next")
        return outcomes

    monkeypatch.setattr(Postgresql, "send", lasting)
    monkeypatch.setattr(Postgresql, "size", lambda self, op: 1)
    with pytest.raises(SyncInProgress):
        running.send(slow, way.services)
    assert [row[2] for row in rows(warehouse)] == ["p1@example.com", "new@example.com"]
    running.send(slow, way.services)
    assert [row[2] for row in rows(warehouse)] == ["p1@example.com", "new@example.com"]


def test_a_tenant_who_cannot_be_sent_to_stops_no_other(way: Way) -> None:
    way.put(person(1))
    paused = way.services.database.of(f"{way.tenant}b")
    connection = connection_id("warehouse", paused.tenant)
    way.connections[connection] = way.connections[connection_id("warehouse", way.tenant)]
    connections.failed(paused, connection, AuthFailed("no"))
    works = running.plan(way.name, "one", way.services, tenants=[paused.tenant, way.tenant])
    assert [work.tenant for work in works] == [way.tenant]
    assert running.run_push(works[0], way.services).status == "done"
    with pytest.raises(SpineError):
        running.plan(way.name, "two", way.services, tenants=[paused.tenant])


def test_a_plan_that_meets_another_run_gives_back_the_locks_that_it_took(way: Way) -> None:
    other = f"{way.tenant}b"
    busy = running.PushWork(way.name, other, "another")
    locks.acquire(way.services.database.of(other), busy.lock, "another")
    way.connections[connection_id("warehouse", other)] = way.connections[connection_id("warehouse", way.tenant)]
    with pytest.raises(SyncInProgress):
        running.plan(way.name, "one", way.services, tenants=[way.tenant, other])
    assert locks.held(way.database, busy.lock) is None
    assert pushes.runs(way.database, way.name) == []


def test_a_table_that_somebody_has_locked_is_waited_for_once_and_not_by_each_row(
    way: Way, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    way.put(person(1))
    way.run()
    way.put(*(person(number) for number in range(1, 9)))
    monkeypatch.setattr(postgresql, "_SECONDS", 1)
    with psycopg.connect(warehouse.url) as other:
        other.execute("LOCK TABLE customer_360.customers IN SHARE ROW EXCLUSIVE MODE")
        began = time.monotonic()
        with pytest.raises(SourceUnavailable, match="timeout"):
            way.run("one")
        assert time.monotonic() - began < 4
    found = way.run("one")
    assert (found.status, len(rows(warehouse))) == ("done", 8)


def test_a_table_without_the_column_is_told(way: Way, warehouse: Warehouse) -> None:
    warehouse.ask("CREATE SCHEMA customer_360")
    warehouse.ask("CREATE TABLE customer_360.customers (other text)")
    way.put(person(1))
    with pytest.raises(SourceRejected, match="customer_id"):
        way.run()


def test_a_run_that_was_not_compared_does_its_work_when_it_is_tried_again(way: Way) -> None:
    with pytest.raises(ConfigError, match="has no table"):
        way.run("one")
    way.put(person(1))
    found = way.run("one")
    assert (found.status, found.counts["confirmed"]) == ("done", 1)


def test_a_run_that_nobody_let_pass_is_sent_when_it_is_asked_about_again(way: Way, warehouse: Warehouse) -> None:
    way.declare(max_changes=1)
    way.put(person(1), person(2))
    with pytest.raises(ApprovalNeeded):
        way.run("one")
    again = running.compared(way.work("one"), way.services)
    assert again is not None
    assert again.reasons
    running.require_approved(again, way.services, by="ada")
    running.send(way.work("one"), way.services)
    running.confirm(way.work("one"), way.services)
    assert running.report(way.work("one"), way.services).status == "done"
    assert running.compared(way.work("one"), way.services) is None
