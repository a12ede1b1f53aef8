"""Brings schema `gold` to a declared shape: adds and drops columns, remakes views, says who may read what. Runs inside a publication."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

from psycopg import sql

from spine.gold.schema import Shape, Table, View

Execute = Callable[[str], list[tuple[Any, ...]]]

_WHY = """
CREATE OR REPLACE FUNCTION gold.why(probability double precision, waterfall jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws(': ', round((probability * 100)::numeric, 1) || ' %', string_agg(
        concat_ws(' ', step ->> 'attribute', coalesce(step ->> 'label', step ->> 'level')) || ' (' || to_char(bits, 'FMSG99990.0') || ')',
        ', ' ORDER BY abs(bits) DESC, step ->> 'attribute') FILTER (WHERE abs(bits) >= 0.05))
    FROM (
        SELECT step, coalesce((step ->> 'weight')::numeric, 0) + coalesce((step ->> 'tf_adjustment')::numeric, 0) AS bits
        FROM jsonb_array_elements(CASE jsonb_typeof(waterfall) WHEN 'array' THEN waterfall ELSE '[]' END) AS step
    ) AS steps
$$
"""
_CURRENT_ID = """
CREATE OR REPLACE FUNCTION gold.current_id(id text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE way (id, step) AS (
        SELECT current_id.id, 0
        UNION ALL
        SELECT r.to_id, way.step + 1 FROM way JOIN gold.identity_redirects r ON r.from_id = way.id WHERE way.step < 100
    )
    SELECT way.id FROM way WHERE EXISTS (SELECT FROM gold.identity_links l WHERE l.entity_id = way.id) ORDER BY step DESC LIMIT 1
$$
"""
_FUNCTIONS = (
    _WHY,
    "COMMENT ON FUNCTION gold.why(double precision, jsonb) IS 'The evidence of a match in words, strongest first, weights in bits'",
    _CURRENT_ID,
    "COMMENT ON FUNCTION gold.current_id(text) IS 'The id that stands now for one that was merged away; null if nobody has it'",
    "REVOKE ALL ON FUNCTION gold.why(double precision, jsonb), gold.current_id(text) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION gold.why(double precision, jsonb), gold.current_id(text) TO analyst",
)
# Asked once per query, since it is a scalar subquery, and not once per row.
_POLICY = "CREATE POLICY tenant ON {} FOR SELECT TO analyst USING (tenant_id = ANY ((SELECT gold.my_tenants())::text[]))"
# Estimates of EXPLAIN come from samples of all tenants' rows: asked often enough they tell others' values, and how many rows who has.
_NO_SAMPLE = "ALTER COLUMN {} SET STATISTICS 0"
_FORGET = (  # from PostgreSQL 18 on; before that set-up does it
    "SELECT count(pg_clear_attribute_stats('gold', tablename::text, attname::text, false)) FROM pg_stats "
    "WHERE schemaname = 'gold' AND tablename = {}"
)
_UNNEST = (
    "CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(t.{0}) WHEN 'array' THEN t.{0} ELSE '[]' END) "
    "WITH ORDINALITY AS e (step, place)"
)


def fingerprint(shape: Shape) -> str:
    """Changes whenever the shape or the statements of this module do."""
    return f"{shape.fingerprint}-{zlib.crc32(''.join((*_FUNCTIONS, _POLICY, _NO_SAMPLE, _FORGET, _UNNEST)).encode()):08x}"


def relations(shape: Shape) -> list[str]:
    """Queries for the name of each table and view that `apply` touches, null for one that is not there yet."""
    names = [table.name for table in shape.every] + [view.name for view in shape.views]
    return [sql.SQL("SELECT to_regclass({})::text").format(sql.Literal(f'gold."{name}"')).as_string(None) for name in names]


def apply(shape: Shape, execute: Execute) -> None:
    """Make tables, policies, functions and views of `shape`; rows stay, but for columns that are no longer declared."""
    for table in shape.every:
        _table(table, shape, execute)
    for statement in _FUNCTIONS if shape.matched else ():  # they read tables of identity
        execute(statement)
    for view in shape.views:
        _view(view, execute)


def _table(table: Table, shape: Shape, execute: Execute) -> None:
    name = sql.Identifier("gold", table.name)
    present = _present(table.name, execute)
    if not present:
        columns = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(c.sql)) for c in table.columns)
        key = sql.SQL(", ").join(map(sql.Identifier, table.key))
        _run(execute, sql.SQL("CREATE TABLE {} ({}, PRIMARY KEY ({}))").format(name, columns, key))
        _run(execute, sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(name))
        _run(execute, sql.SQL(_POLICY).format(name))
        _run(execute, sql.SQL("GRANT SELECT ON {} TO analyst").format(name))
        if table.shared and table.by_entity and any(c.name == "entity_id" for c in table.columns):
            _run(execute, sql.SQL("CREATE INDEX ON {} (tenant_id, entity_id)").format(name))
    else:
        _evolve(table, shape, present, execute)
    _keep_no_samples(table, execute)
    for statement in _comments("TABLE", table.name, table.comment, [(c.name, c.comment) for c in table.columns]):
        _run(execute, statement)


def _keep_no_samples(table: Table, execute: Execute) -> None:
    columns = sql.SQL(", ").join(sql.SQL(_NO_SAMPLE).format(sql.Identifier(c.name)) for c in table.columns)
    _run(execute, sql.SQL("ALTER TABLE {} {}").format(sql.Identifier("gold", table.name), columns))
    if execute("SELECT current_setting('server_version_num')::int >= 180000")[0][0]:
        _run(execute, sql.SQL(_FORGET).format(sql.Literal(table.name)))


def _evolve(table: Table, shape: Shape, present: dict[str, str], execute: Execute) -> None:
    """Columns as declared now; one whose type changed is made anew and filled by the publication."""
    name = sql.Identifier("gold", table.name)
    wanted = {c.name: c.sql for c in table.columns}
    gone = [column for column, kind in present.items() if wanted.get(column) != kind]
    if gone:
        for view in shape.views:
            if view.table == table.name:
                _run(execute, sql.SQL("DROP VIEW IF EXISTS {}").format(sql.Identifier("gold", view.name)))
        for column in gone:
            _run(execute, sql.SQL("ALTER TABLE {} DROP COLUMN {}").format(name, sql.Identifier(column)))
    for column, kind in wanted.items():
        if present.get(column) != kind:
            _run(execute, sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(name, sql.Identifier(column), sql.SQL(kind)))


def _view(view: View, execute: Execute) -> None:
    """PostgreSQL adds columns to a view at its end only, which is enough for a new field and keeps views that people built on ours."""
    name = sql.Identifier("gold", view.name)
    present = list(_present(view.name, execute))
    expressions = {column: expression for column, expression, _ in view.columns}
    unnested = _UNNEST.format(view.unnest) if view.unnest else ""
    order = [*present, *(column for column in expressions if column not in present)]
    if not set(present) <= set(expressions):
        _run(execute, sql.SQL("DROP VIEW {}").format(name))
        order = list(expressions)
    columns = sql.SQL(", ").join(sql.SQL("{} AS {}").format(sql.SQL(expressions[column]), sql.Identifier(column)) for column in order)
    _run(
        execute,
        sql.SQL("CREATE OR REPLACE VIEW {} WITH (security_invoker = true) AS SELECT {} FROM {} AS t {} WHERE {}").format(
            name, columns, sql.Identifier("gold", view.table), sql.SQL(unnested), sql.SQL(view.where)
        ),
    )
    _run(execute, sql.SQL("GRANT SELECT ON {} TO analyst").format(name))
    for statement in _comments("VIEW", view.name, view.comment, [(column, comment) for column, _, comment in view.columns]):
        _run(execute, statement)


def _present(relation: str, execute: Execute) -> dict[str, str]:
    """Columns of a table or view of schema gold in their order, with their types; empty if there is none."""
    query = sql.SQL(
        "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute "
        "WHERE attrelid = to_regclass({}) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    ).format(sql.Literal(f'gold."{relation}"'))
    return dict(execute(query.as_string(None)))


def _comments(kind: str, relation: str, comment: str, columns: list[tuple[str, str]]) -> Iterator[sql.Composed]:
    yield sql.SQL("COMMENT ON {} {} IS {}").format(sql.SQL(kind), sql.Identifier("gold", relation), sql.Literal(comment))
    for column, meaning in columns:
        yield sql.SQL("COMMENT ON COLUMN {} IS {}").format(sql.Identifier("gold", relation, column), sql.Literal(meaning))


def _run(execute: Execute, statement: sql.Composed) -> None:
    execute(statement.as_string(None))
