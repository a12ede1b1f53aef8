"""The JSON of rows that is written here is that of the server's `row_to_json`, letter by letter, whatever a column holds."""

from __future__ import annotations

from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spine.sources.database import jsontexts
from spine.sources.database.asking import Column, Question
from spine.sources.database.postgresql import Postgresql
from spine.sources.spec import Stream

STREAM = Stream(name="t", key=["id"])
# A value of each kind, as SQL; every kind holds NULL besides.
VALUES: dict[str, tuple[str, ...]] = {
    "int2": ("-32768", "7"), "int4": ("-2147483648", "0"), "int8": ("9223372036854775807", "-1"), "oid": ("4294967295",),
    "bool": ("true", "false"), "numeric": ("1.50", "'NaN'", "'Infinity'", "-0.000001", "1e20", f"'{'9' * 50}.0001'"),
    "numeric(12,2)": ("1", "-0.5"), "float4": ("0.1", "'NaN'", "3.4e38", "1e-10"),
    "float8": ("0.1", "1e21", "'-0'", "'-Infinity'", "1e-7", "123456789012345680"),
    "text": ("''", "'a\"b\\\\c'", "E'\\n\\r\\t\\b\\f\\x01\\x1f\\x7f'", "'é€😀/'", "'null'", "' T '"),
    "varchar(5)": ("'ab'",), "char(4)": ("'ab'", "'\"'"), "name": ("'n\\m'",), '"char"': ("'x'",), "uuid": (f"'{'1' * 32}'",),
    "bytea": ("'\\x00ff'", "''"), "date": ("'2026-01-31'", "'infinity'", "'0044-03-15 BC'", "'12026-01-01'"),
    "timestamp": ("'2026-01-31 01:00:00.000001'", "'-infinity'", "'0044-03-15 01:00 BC'", "'2026-01-31'", "'12026-01-01'"),
    "timestamptz": ("'2026-01-31 01:00:00.120+02'", "'infinity'", "'0044-03-15 01:00 BC'", "'12026-01-01'"),
    "time": ("'23:59:59.5'",), "timetz": ("'23:59:59.5+02'",), "interval": ("'1 year 2 days 3.5 s'", "'-1 month'"),
    "money": ("'12.50'",), "inet": ("'10.0.0.1/8'",), "macaddr": ("'08:00:2b:01:02:03'",), "bit(3)": ("B'101'",),
    "json": ("'{\"a\" : [1, 1.10]}'", "' null '", "'\"x\"'"), "jsonb": ("'{\"b\": {\"c\": null}}'", "'1.50'"),
    "int[]": ("'{{1,2},{3,NULL}}'", "'{}'"), "text[]": ("ARRAY['a\"b', NULL, '']",), "point": ("'(1,2)'",), "tsvector": ("'a b'",),
    "int4range": ("'[1,5)'",), "mood_of_rows": ("'glad'",), "number_of_rows": ("5",), "pair_of_rows": ("ROW(1, 'x')",),
    "timestamptz[]": ("ARRAY['2026-01-31 01:00+02'::timestamptz]",),
}  # fmt: skip
TYPES = """
    DROP TABLE IF EXISTS every, texts; DROP TYPE IF EXISTS mood_of_rows, pair_of_rows; DROP DOMAIN IF EXISTS number_of_rows;
    CREATE TYPE mood_of_rows AS ENUM ('glad'); CREATE DOMAIN number_of_rows AS int; CREATE TYPE pair_of_rows AS (a int, b text)
"""


def payloads(server: Any, table: str) -> list[str]:
    """What this package makes of a table's rows, in the order of their ids."""
    with Postgresql(server.access) as opened:
        described = opened.describe(None, table)
        question = Question(None, table, tuple(described.columns), (described.columns["id"],))
        found: list[str] = []
        for rows in opened.rows(question, STREAM):
            batch = rows.records.batch.column("payload").to_pylist() if rows.records is not None else None
            found += batch or []
        return found


def told(admin_url: str, table: str) -> list[str]:
    """What the server makes of them."""
    with psycopg.connect(admin_url, autocommit=True) as opened:
        for said in ("SET TIME ZONE 'UTC'", "SET IntervalStyle = iso_8601", "SET bytea_output = hex"):
            opened.execute(said)
        return [row[0] for row in opened.execute(f"SELECT row_to_json({table})::text FROM {table} ORDER BY id").fetchall()]


@pytest.mark.parametrize("style", ["ISO, MDY", "German"])
def test_every_type_is_written_as_the_server_writes_it(postgresql, admin_url, monkeypatch, style):
    kinds = list(VALUES)
    columns = ", ".join(f'"c{number} ""x\\" {kind}' for number, kind in enumerate(kinds))
    most = max(map(len, VALUES.values()))
    rows = [", ".join([str(at), *(VALUES[kind][at] if at < len(VALUES[kind]) else "NULL" for kind in kinds)]) for at in range(most)]
    postgresql.say(TYPES, f"CREATE TABLE every (id int PRIMARY KEY, {columns})", *(f"INSERT INTO every VALUES ({row})" for row in rows))
    postgresql.say(f"ALTER ROLE postgres SET DateStyle = '{style}'")
    made: list[str] = []
    write = jsontexts.written
    monkeypatch.setattr(
        "spine.sources.database.postgresql.written", lambda *said: (found := write(*said), made.extend(found.to_pylist()))[0]
    )
    try:
        payloads(postgresql, "every")
    finally:
        postgresql.say("ALTER ROLE postgres RESET DateStyle")
    assert [one.decode() for one in made] == told(admin_url, "every")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(
        st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=6
    )
)
def test_whatever_a_text_holds(postgresql, admin_url, texts):
    with psycopg.connect(admin_url, autocommit=True) as opened:
        opened.execute("DROP TABLE IF EXISTS texts")
        opened.execute("CREATE TABLE texts (id int PRIMARY KEY, t text, v varchar)")
        with opened.cursor() as cursor:
            cursor.executemany("INSERT INTO texts VALUES (%s, %s, %s)", [(at, one, one) for at, one in enumerate(texts)])
    assert payloads(postgresql, "texts") == told(admin_url, "texts")


def test_rows_keep_the_order_of_a_column_whatever_columns_are_called(postgresql):
    postgresql.say("DROP TABLE IF EXISTS named", "CREATE TABLE named (id int PRIMARY KEY, c0 int, c1 int, c_0 text, v0 int)")
    postgresql.say("INSERT INTO named SELECT n, -n, n % 3, 'x', n FROM generate_series(1, 30) n")
    found = postgresql.reading(table={"name": "named"}, key=["c0"]).records()
    assert [int(record.record_id) for record in found] == list(range(-30, 0))


def test_bytes_that_are_no_utf_8_stay_what_they_are():
    columns = [Column("id", form="whole"), Column("t", form="text")]
    made = jsontexts.written([pa.array([1, None], pa.int64()), pa.array([b'\xff"\x01', None], pa.binary())], columns)
    assert made.to_pylist() == [b'{"id":1,"t":"\xff\\"\\u0001"}', b'{"id":null,"t":null}']
