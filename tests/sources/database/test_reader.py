"""Tables are read whole, in the order of key or cursor, from any row on; what holds for every kind of server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import orjson
import pytest

from spine.core.addresses import Networks
from spine.core.errors import AuthFailed, ConfigError, SchemaMismatch, SourceRejected, SourceTooLarge, SourceUnavailable
from spine.http.allowance import Allowance, Limits
from spine.sources.check import mistakes_of
from spine.sources.reading import State, Window
from tests.sources.database.conftest import END, FULL, Server, source_with

TIME = {"postgresql": "timestamptz", "mariadb": "datetime(6)", "sqlite": "text"}
READS = {"sqlite": {"reads": "%Y-%m-%d %H:%M:%S"}}


def fill(server: Server, count: int = 2500) -> None:
    """People of whom three share each moment, and every tenth has none."""
    schema = "shop." if server.kind == "mariadb" else ""
    server.say(f"CREATE TABLE {schema}people (id integer PRIMARY KEY, name varchar(40), at {TIME[server.kind]} NULL)")
    rows = [(n, f"n{n}", "NULL" if n % 10 == 0 else f"'2026-01-{1 + n // 3 // 60 % 28:02d} 00:{n // 3 % 60:02d}:00'") for n in range(count)]
    server.say(f"INSERT INTO {schema}people VALUES " + ",".join(f"({n},'{name}',{at})" for n, name, at in rows))


def cursor(server: Server, **words: Any) -> dict[str, Any]:
    return {"field": "at", **READS.get(server.kind, {}), **words}


def resumed(reading: Any, window: Window, state: State) -> list[Any]:
    """Each page by a reading of its own."""
    found = []
    while True:
        page = next(iter(reading.reader.read(reading.stream, state, window)))
        found += page.records
        if page.next_token is None:
            return found
        state = State(state.cursor, page.next_token, page.high_water)


def test_a_whole_table_is_read_from_any_page_on(server):
    fill(server)
    reading = server.reading(cursor=cursor(server))
    straight = reading.records()
    assert [record.record_id for record in straight] == [str(number) for number in range(2500)]
    assert resumed(reading, FULL, State()) == straight
    assert reading.pages()[-1].high_water == max(record.cursor for record in straight if record.cursor)
    assert straight[1].cursor == "2026-01-01T00:00:00.000000Z"
    assert straight[0].cursor is None


def test_changes_come_in_the_order_of_the_cursor_and_rows_without_one_each_time(server):
    fill(server)
    reading = server.reading(cursor=cursor(server))
    window = Window(start=datetime(2026, 1, 3, tzinfo=UTC), end=datetime(2026, 1, 9, tzinfo=UTC))
    found = reading.records(window)
    cursors = [record.cursor for record in found if record.cursor]
    assert cursors == sorted(cursors)
    assert min(cursors) > "2026-01-03T00:00:00.000000Z"
    assert max(cursors) <= "2026-01-09T00:00:00.000000Z"
    assert len([record for record in found if record.cursor is None]) == 250
    assert resumed(reading, window, State()) == found
    whole = {record.record_id: record.cursor for record in reading.records()}
    meant = {name for name, at in whole.items() if at is None or "2026-01-03T00:00:00.000000Z" < at <= "2026-01-09T00:00:00.000000Z"}
    assert {record.record_id for record in found} == meant


def test_a_backfill_is_its_interval_alone(server):
    fill(server, 600)
    window = Window(start=datetime(2026, 1, 1, 0, 5, tzinfo=UTC), end=datetime(2026, 1, 1, 0, 10, tzinfo=UTC), backfill=True)
    found = server.reading(cursor=cursor(server)).records(window)
    assert {record.cursor[14:16] for record in found} == {"05", "06", "07", "08", "09"}


def test_chunks_are_statements_that_go_on_behind_each_other(server):
    fill(server)
    reading = server.reading(cursor=cursor(server), table={"chunk": 1000})
    assert reading.records() == server.reading(cursor=cursor(server)).records()
    window = Window(start=datetime(2025, 1, 1, tzinfo=UTC), end=END)
    assert reading.records(window) == server.reading(cursor=cursor(server)).records(window)


def test_numbers_are_cursors_as_well(server):
    fill(server, 300)
    reading = server.reading(cursor={"field": "id", "type": "number"})
    found = reading.records(Window(end=END), State(cursor="250".zfill(20)))
    assert [record.record_id for record in found] == [str(number) for number in range(251, 300)]
    assert found[-1].cursor == "299".zfill(20)


def test_columns_and_rows_are_chosen_by_the_file(server):
    fill(server, 50)
    table = {"columns": ["id", "name"], "filters": [{"field": "name", "one_of": ["n1", "n2", "it's\" \\ `; DROP TABLE people %s"]}]}
    assert server.reading(table=table).rows() == {"1": {"id": 1, "name": "n1"}, "2": {"id": 2, "name": "n2"}}
    others = server.reading(
        table={"filters": [{"field": "at", "none_of": ["2026-01-01 00:00:00"]}, {"field": "id", "one_of": ["1", "3", "10"]}]}
    )
    assert set(others.rows()) == {"3", "10"}


def test_a_compound_key_with_odd_names_is_read_from_any_row_on(server):
    schema, quote = ("shop.", "`") if server.kind == "mariadb" else ("", '"')
    odd = f"{quote}Or der%{'`' * 2 if quote == '`' else chr(34) * 2}{quote}"
    server.say(f"CREATE TABLE {schema}people ({odd} varchar(20) NOT NULL, line int NOT NULL, PRIMARY KEY ({odd}, line))")
    names = ["a", "a|b", "b\\\\c" if server.kind == "mariadb" else "b\\c", "z"]
    server.say(f"INSERT INTO {schema}people VALUES " + ",".join(f"('{names[n // 600 % 4]}', {n})" for n in range(2400)))
    field = f"Or der%{quote}"
    reading = server.reading(key=[field, "line"])
    straight = reading.records()
    assert len({record.record_id for record in straight}) == 2400
    assert resumed(reading, FULL, State()) == straight
    assert "a\\|b|600" in {record.record_id for record in straight}


def test_rows_without_a_key_are_kept_as_what_they_are(server):
    schema = "shop." if server.kind == "mariadb" else ""
    server.say(f"CREATE TABLE {schema}people (id varchar(9), n int)")
    server.say(f"INSERT INTO {schema}people VALUES ('a', 1), (NULL, 2), ('b', 3), (NULL, 4)")
    found = server.reading().records()
    assert [record.record_id for record in found[:2]] == ["a", "b"]
    assert {orjson.loads(record.payload)["_error"] for record in found[2:]} == {"id is missing"}
    assert {orjson.loads(orjson.loads(record.payload)["_raw"])["n"] for record in found[2:]} == {2, 4}


def test_what_a_flag_calls_deleted_is_a_delete(server):
    schema = "shop." if server.kind == "mariadb" else ""
    server.say(f"CREATE TABLE {schema}people (id integer PRIMARY KEY, gone integer)")
    server.say(f"INSERT INTO {schema}people VALUES (1, 0), (2, 1), (3, NULL)")
    found = server.reading(deletes={"detect": "flag", "field": "gone"}).records()
    assert [(record.record_id, record.op) for record in found] == [("1", "upsert"), ("2", "delete"), ("3", "upsert")]


def test_fields_are_shaped_before_they_are_kept(server):
    fill(server, 20)
    reading = server.reading(
        rename={"id": "number", "at": "changed"}, compute={"kind": "'person'"}, personal={"name": "mask"}, key=["number"],
        cursor={**cursor(server), "field": "changed"}, filters=[{"field": "name", "none_of": ["n3"]}],
    )  # fmt: skip
    window = Window(start=datetime(2025, 1, 1, tzinfo=UTC), end=END)
    found = {record.record_id: record for record in reading.records(window)}
    assert orjson.loads(found["1"].payload)["name"] == "***"
    assert orjson.loads(found["1"].payload)["kind"] == "person"
    assert found["3"].op == "delete"
    assert resumed(reading, window, State()) == reading.records(window)


def test_a_table_or_column_that_is_not_there_is_named(server):
    fill(server, 1)
    with pytest.raises(SchemaMismatch, match="nobody"):
        server.reading(table={"name": "nobody"}).records()
    with pytest.raises(SchemaMismatch, match=r"'nme', which `table.columns` names, did you mean 'name'"):
        server.reading(table={"columns": ["id", "nme"]}).records()


def test_a_stream_brings_no_more_than_its_limits(server):
    fill(server, 2500)
    reading = server.reading()
    access = replace(
        server.access, allowance=Allowance(Limits(pages=1)) if server.kind != "postgresql" else Allowance(Limits(megabytes=1), 0, 990_000)
    )
    pages = type(reading.reader)(reading.source, access).read(reading.stream, State(), FULL)
    with pytest.raises(SourceTooLarge):
        list(pages)


def test_a_table_is_only_read(server):
    """A view that writes is refused by the transaction, not by luck."""
    if server.kind != "postgresql":
        pytest.skip("no function that writes can stand in a view there")
    server.say(
        "DROP VIEW IF EXISTS sly", "CREATE TABLE IF NOT EXISTS written (n int)",
        "CREATE OR REPLACE FUNCTION write() RETURNS int LANGUAGE sql AS 'INSERT INTO written VALUES (1) RETURNING n'",
        "CREATE VIEW sly AS SELECT write() AS id",
    )  # fmt: skip
    with pytest.raises((SourceRejected, SourceUnavailable)):
        server.reading(table={"name": "sly"}).records()


def test_an_address_that_the_operator_does_not_list_is_not_called(server, monkeypatch):
    if server.kind == "sqlite":
        pytest.skip("a file has no address")
    fill(server, 1)
    monkeypatch.setenv("SPINE_PRIVATE_NETWORKS", "10.9.0.0/16")
    before = server.relay.asked if server.relay else 0
    with pytest.raises(ConfigError, match="no address that may be called"):
        server.reading().records()
    assert before == (server.relay.asked if server.relay else 0)
    assert Networks.parse("10.9.0.0/16").allowed


def test_what_does_not_fit_is_told_before_anything_is_read():
    def told(reader: str, **stream: Any) -> list[str]:
        return [f"{'.'.join(map(str, place))}: {why}" for place, why in mistakes_of(source_with(reader, **stream))]

    assert told("postgresql") == []
    assert "reader: a database is read by one of" in told("postgres")[0]
    assert "streams.0.table.columns: 'id' is missing" in told("mariadb", table={"columns": ["name"]})[0]
    assert "streams.0.paging.size: nothing reads it" in told("sqlite", paging={"size": 5})[0]


def test_only_what_is_wanted_is_fetched(server):
    fill(server)
    reading = server.reading()
    assert len(list(islice(reading.reader.read(reading.stream, State(), FULL), 1))) == 1


def test_refused_credentials_pause_the_connection_and_stand_in_no_message(server):
    if server.kind != "mariadb":
        pytest.skip("the embedded PostgreSQL asks nobody, and a file has no login")
    wrong = replace(server.access, password="wrong-secret")
    reading = server.reading()
    with pytest.raises(AuthFailed) as caught:
        list(type(reading.reader)(reading.source, wrong).read(reading.stream, State(), FULL))
    assert "wrong-secret" not in str(caught.value)
