"""Values keep what they are, whatever a server calls their type; what no JSON can hold costs its own record."""

from __future__ import annotations

import orjson
import pytest

from spine.core import jsontext
from spine.sources.reading import Window
from tests.sources.database.conftest import END

PLAIN = {
    "n": "numeric(30,10)", "big": "bigint", "f": "double precision", "yes": "boolean", "t": "text", "d": "date", "at": "timestamptz",
    "local": "timestamp", "clock": "time", "span": "interval", "raw": "bytea", "ref": "uuid", "mood": "mood", "pad": "char(4)",
}  # fmt: skip


def test_postgresql_writes_the_json_of_every_type(postgresql):
    postgresql.say(
        "DROP TABLE IF EXISTS types", "DROP TYPE IF EXISTS mood", "CREATE TYPE mood AS ENUM ('glad', 'sad')",
        f"CREATE TABLE types (id int PRIMARY KEY, {', '.join(f'{name} {kind}' for name, kind in PLAIN.items())})",
        """INSERT INTO types VALUES (1, 12345678901234567890.0123456789, 9223372036854775807, 0.1, true, 'a"\\\u00e9\t', '2026-01-31',
           '2026-01-31 01:00+02', '2026-01-31 01:00:00.000001', '23:59:59.5', '1 year 2 days', '\\x00ff',
           '11111111-2222-3333-4444-555555555555', 'sad', 'ab')""",
        "INSERT INTO types VALUES (2, 'NaN', -1, 'NaN', false, '', 'infinity', '-infinity', 'infinity', NULL, NULL, '', NULL, NULL, NULL)",
        "INSERT INTO types (id, f, at) VALUES (3, '-Infinity', '0044-03-15 BC')",
    )  # fmt: skip
    rows = postgresql.reading(table={"name": "types"}).records()
    one, two, three = (orjson.loads(row.payload) for row in rows)
    assert '"n":12345678901234567890.0123456789' in rows[0].payload
    assert (one["big"], one["f"], one["yes"], one["t"]) == (9223372036854775807, 0.1, True, 'a"\\\u00e9\t')
    assert (one["d"], one["at"], one["local"]) == ("2026-01-31", "2026-01-30T23:00:00+00:00", "2026-01-31T01:00:00.000001")
    assert (one["clock"], one["span"], one["raw"], one["pad"]) == ("23:59:59.5", "P1Y2D", "\\x00ff", "ab  ")
    assert (one["ref"], one["mood"]) == ("11111111-2222-3333-4444-555555555555", "sad")
    assert (two["n"], two["f"], two["d"], two["at"], two["local"]) == ("NaN", "NaN", "infinity", "-infinity", "infinity")
    assert two["clock"] is None
    assert three["f"] == "-Infinity"


def test_what_is_nested_in_postgresql_stays_nested(postgresql):
    postgresql.say(
        "DROP TABLE IF EXISTS nested",
        "CREATE TABLE nested (id int PRIMARY KEY, j json, b jsonb, list int[], texts text[], n numeric)",
        """INSERT INTO nested VALUES (1, '{"a": [1, {"b": 1.10}]}', '{"a": null}', '{{1,2},{3,NULL}}', '{"a\\"b", NULL}', 1.50)""",
        """INSERT INTO nested (id, j) VALUES (2, '{"bad": "\\ud800"}')""",
        "INSERT INTO nested (id, n) VALUES (3, repeat('9', 400)::numeric)",
        """INSERT INTO nested (id, j) VALUES (4, '{"huge": 1e999}')""",
    )
    rows = {row.record_id: row for row in postgresql.reading(table={"name": "nested"}).records()}
    assert list(rows) == ["1", "2", "3", "4"]
    one = orjson.loads(rows["1"].payload)
    assert one["j"] == {"a": [1, {"b": 1.1}]}
    assert (one["b"], one["list"], one["texts"]) == ({"a": None}, [[1, 2], [3, None]], ['a"b', None])
    assert "surrogate" in orjson.loads(rows["2"].payload)["_error"]
    assert orjson.loads(rows["3"].payload)["n"] == "9" * 400
    assert orjson.loads(rows["4"].payload)["j"] == {"huge": "1e999"}


def test_long_numerics_are_found_among_plain_columns(postgresql):
    postgresql.say(
        "DROP TABLE IF EXISTS longs", "CREATE TABLE longs (id int PRIMARY KEY, n numeric)",
        "INSERT INTO longs VALUES (1, 2.5), (2, repeat('9', 400)::numeric)",
    )  # fmt: skip
    rows = postgresql.reading(table={"name": "longs"}).rows()
    assert rows == {"1": {"id": 1, "n": 2.5}, "2": {"id": 2, "n": "9" * 400}}


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
def test_cursors_of_postgresql_are_times_of_any_kind(postgresql, kind):
    postgresql.say(
        "DROP TABLE IF EXISTS timed", f"CREATE TABLE timed (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), at {kind})",
        "INSERT INTO timed (at) VALUES ('2026-01-02 00:00:00+00'), ('2026-01-03'), (NULL), ('infinity'), ('12026-01-01')",
    )  # fmt: skip
    reading = postgresql.reading(table={"name": "timed"}, cursor={"field": "at"})
    found = reading.records(Window(start=END.replace(month=1, day=2, hour=1), end=END))
    assert sorted(str(record.cursor) for record in found) == ["2026-01-03T00:00:00.000000Z", "None"]
    whole = reading.records()
    assert sum("_error" in orjson.loads(record.payload) for record in whole) == 2, "what is no time of ours costs its own record"
    assert len({record.record_id for record in whole}) == 5


def test_a_column_of_numbers_says_what_it_counts(postgresql):
    postgresql.say("DROP TABLE IF EXISTS epochs", "CREATE TABLE epochs (id int PRIMARY KEY, at bigint)")
    postgresql.say("INSERT INTO epochs VALUES (1, 1767225600), (2, 1767312000)")
    reading = postgresql.reading(table={"name": "epochs"}, cursor={"field": "at", "reads": "epoch"})
    found = reading.records(Window(start=END.replace(month=1, day=1, hour=1), end=END))
    assert [record.cursor for record in found] == ["2026-01-02T00:00:00.000000Z"]


def test_mariadb_keeps_its_types(mariadb):
    mariadb.say(
        "DROP TABLE IF EXISTS shop.types",
        """CREATE TABLE shop.types (id decimal(20,2) PRIMARY KEY, n decimal(38,10), u bigint unsigned, f double, yes bit(1), t text, d date,
           at datetime(6), stamp timestamp NULL, clock time(3), raw varbinary(9), j json, mood enum('glad','sad'), y year)""",
        """INSERT INTO shop.types VALUES (1001.00, 12345678901234567890.0123456789, 18446744073709551615, 0.1, 1, 'a"\\\\é', '2026-01-31',
           '2026-01-31 01:00:00.000001', '2026-01-31 01:00:00', '-838:59:59.5', x'00ff', '{"a": [1.10]}', 'sad', 2026)""",
    )
    (row,) = mariadb.reading(table={"name": "types"}, cursor={"field": "at"}).records()
    one = jsontext.parse(row.payload.encode())
    assert (row.record_id, row.cursor) == ("1001.00", "2026-01-31T01:00:00.000001Z")
    assert (one["n"], one["u"], one["yes"]) == ("12345678901234567890.0123456789", 18446744073709551615, True)
    assert (one["t"], one["d"], one["at"]) == ('a"\\é', "2026-01-31", "2026-01-31T01:00:00.000001")
    assert (one["clock"], one["raw"], one["mood"], one["y"]) == ("-838:59:59.5", "00ff", "sad", 2026)


def test_sqlite_holds_any_value_in_any_column(sqlite):
    sqlite.say("CREATE TABLE types (id PRIMARY KEY, a, b, c)")
    sqlite.say("INSERT INTO types VALUES (1, 9223372036854775807, 0.5, x'00ff')", "INSERT INTO types VALUES ('x', 9e999, NULL, 'é')")
    sqlite.say("INSERT INTO types VALUES (x'01', 1, 2, CAST(x'ff' AS TEXT))")
    rows = {row.record_id: orjson.loads(row.payload) for row in sqlite.reading(table={"name": "types"}).records()}
    assert rows["1"] == {"id": 1, "a": 9223372036854775807, "b": 0.5, "c": "00ff"}
    assert rows["x"] == {"id": "x", "a": "Infinity", "b": None, "c": "é"}
    assert "UTF-8" in rows["01"]["_error"]
